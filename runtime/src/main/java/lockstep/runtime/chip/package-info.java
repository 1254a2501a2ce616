/**
 * The PC's interrupt controllers and interval timer in Java, for accelerators that do not have them in the kernel: two
 * 8259A, an 82093AA, a local APIC for each vCPU, an 8254. {@link lockstep.runtime.chip.ChipSet} wires them up. Sections
 * are those of the kernel's chips, and of QEMU's in either place, so that a machine moves between all of them. What the
 * chips do where the datasheets leave a choice is what QEMU's do.
 *
 * <p>Any thread may raise an interrupt: the monitor of the {@link lockstep.runtime.chip.ApicBus} guards PIC, IOAPIC and
 * local APICs. Nothing is called with it held but {@link lockstep.runtime.chip.InterruptTarget#changed} and timers. The
 * 8254 belongs to the machine lock.
 *
 * <p>Not modelled: x2APIC mode, performance and thermal interrupts, counting in BCD, the null count bit.
 */
package lockstep.runtime.chip;
