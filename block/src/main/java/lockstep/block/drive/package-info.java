/**
 * Drives as the command line and the monitors know them: {@code -drive} texts, their ids, places
 * and error policies.
 */
package lockstep.block.drive;
