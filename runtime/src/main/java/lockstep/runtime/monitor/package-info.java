/** Monitors: QMP sessions for programs and HMP sessions for people, and the table of HMP commands. */
package lockstep.runtime.monitor;
