/** Event loops, their timers and the clocks. */
package lockstep.runtime.loop;
