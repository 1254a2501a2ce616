/** A disk that swallows writes and answers reads at once, for tests and measurements. */
package lockstep.block.nullco;
