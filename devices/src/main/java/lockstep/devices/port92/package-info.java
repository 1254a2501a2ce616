/**
 * System control port A at 0x92 (IBM PS/2 hardware interface technical reference, "System Control Port
 * A"): fast reset and the A20 gate. Section spoken: {@code port92} v1. Also the ports that only have to be
 * there: the POST code port 0x80 and the coprocessor port 0xf0. A20 is always open to the guest, as the
 * accelerator has no gate; the bit is kept.
 */
package lockstep.devices.port92;
