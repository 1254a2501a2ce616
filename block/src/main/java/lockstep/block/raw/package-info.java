/** The bytes of another node as they are, or a window of them. */
package lockstep.block.raw;
