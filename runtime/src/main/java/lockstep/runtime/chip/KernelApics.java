package lockstep.runtime.chip;

/**
 * Local APICs that the kernel has, beside chips that are here. Called with the chips' guard held, from any thread: no lock
 * is taken.
 */
public interface KernelApics {
    /**
     * Delivers a message; whether some APIC took it.
     *
     * @param destination eight bits, an APIC ID or a logical destination
     * @param what delivery mode in bits 10 to 8, vector below
     */
    boolean message(int destination, boolean logical, int what, boolean level);

    /** The first PIC's output, of which the processors know by nobody else. */
    void external(boolean level);

    /** What the IOAPIC's entries are now; the ends of their level-triggered interrupts are to be told. */
    void entries(long[] table);
}
