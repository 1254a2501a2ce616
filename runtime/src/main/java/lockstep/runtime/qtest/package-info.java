/**
 * Devices driven by a test instead of a guest: an accelerator whose vCPUs execute nothing and whose guest time stands
 * still, and the line protocol through which a test reads and writes ports and memory, moves that time and watches
 * interrupts ({@code -qtest}). The protocol also works beside any other accelerator, without the clock.
 */
package lockstep.runtime.qtest;
