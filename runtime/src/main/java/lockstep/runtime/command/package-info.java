/** What the runtime's own QMP and HMP commands do. */
package lockstep.runtime.command;
