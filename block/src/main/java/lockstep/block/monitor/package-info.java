/**
 * The block room's QMP and HMP commands, its command-line options, and its place in the process.
 */
package lockstep.block.monitor;
