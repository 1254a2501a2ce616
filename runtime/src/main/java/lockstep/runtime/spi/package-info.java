/** What the rooms above the runtime plug into. */
package lockstep.runtime.spi;
