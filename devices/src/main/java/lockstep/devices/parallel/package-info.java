/**
 * The parallel port at 0x378 as a PC/AT has it: data, status and control (IBM PC/AT technical reference,
 * "Printer Adapter"). Section spoken: {@code parallel_isa} v1. What a guest prints goes to the character
 * device; EPP and ECP are not modelled.
 */
package lockstep.devices.parallel;
