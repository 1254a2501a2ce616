/**
 * The high precision event timer: IA-PC HPET specification 1.0a. Three 64-bit timers on the guest's
 * clock, each able to replace nothing, or timers 0 and 1 the interval timer's and the RTC's interrupts.
 * Section spoken: {@code hpet} v2. Not modelled: front side bus interrupt delivery.
 */
package lockstep.devices.hpet;
