package lockstep.runtime.accelerator;

import org.jspecify.annotations.Nullable;

/**
 * What the object tree calls the chips that an accelerator brings; QEMU has names of their own for those of the kernel.
 *
 * @param pic an 8259A
 * @param timer the 8254
 * @param ioapic the 82093AA
 * @param localApic a local APIC
 * @param clock the clock of a paravirtual guest, null where there is none
 */
public record ChipNames(
        String pic, String timer, String ioapic, String localApic, @Nullable String clock) {
    /** Of those in the package {@code chip}. */
    public static final ChipNames SOFTWARE =
            new ChipNames("isa-i8259", "isa-pit", "ioapic", "apic", null);
}
