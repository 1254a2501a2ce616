/**
 * System control port B at 0x61: the gate and output of counter 2 of the interval timer and the speaker's
 * data enable. Section spoken: {@code pcspk} v1. The timer itself is the accelerator's; no sound is made.
 */
package lockstep.devices.pcspk;
