/** The PC as a whole: which devices it has and how they are wired. */
package lockstep.devices.pc;
