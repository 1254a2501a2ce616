/**
 * QEMU's card for learning to write drivers, {@code edu}: liveness check, factorials, interrupts by pin or message,
 * copying between the guest's memory and a buffer of its own. Described in QEMU's {@code docs/specs/edu.rst}. It has no
 * section: as in QEMU its registers do not travel. Not modelled: that a factorial takes long.
 */
package lockstep.devices.edu;
