/**
 * The boards {@code pc-i440fx-7.2} to {@code pc-i440fx-10.2}: which devices there are, where they sit, and
 * what firmware is told of them. Builds on the accelerator's machine.
 */
package lockstep.devices.pc;
