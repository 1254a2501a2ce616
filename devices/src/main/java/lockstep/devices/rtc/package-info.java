/**
 * The real-time clock with its CMOS RAM: Motorola MC146818A (data sheet ADI1028R1). Section spoken: {@code
 * mc146818rtc} v3. Periodic, alarm and update-ended interrupts run on the host's wall clock by default.
 * Not modelled: square wave output, daylight saving, re-injection of lost periodic interrupts.
 */
package lockstep.devices.rtc;
