package lockstep.x86;

/**
 * What a processor reaches outside itself. Called on the thread that runs the processor; may block for as long as a
 * device access lasts.
 */
public interface Bus {
    /** Reads device registers at a physical address; {@code size} is 1, 2, 4 or 8 bytes, the rest of the value zero. */
    long readMemory(long address, int size);

    /** Writes device registers at a physical address. */
    void writeMemory(long address, int size, long value);

    /** Reads a port; {@code size} is 1, 2 or 4 bytes. */
    int readPort(int port, int size);

    /** Writes a port. */
    void writePort(int port, int size, int value);

    /** Takes the interrupt that the controllers want served; its vector, or -1 when none is left. */
    int acknowledge();

    /** The time stamp counter. */
    long timestamp();

    /** Sets the time stamp counter. */
    void setTimestamp(long value);

    /** Reads a model-specific register of the local APIC, or any other that is not the processor's own. */
    long readMsr(int number) throws MsrException;

    /** Writes one likewise. */
    void writeMsr(int number, long value) throws MsrException;

    /** The task priority, 0 to 15, as CR8 shows it. */
    int taskPriority();

    /** Sets the task priority. */
    void setTaskPriority(int priority);

    /** The guest spins: another processor might be let run. */
    default void pause() {}

    /** Does something while no other processor of the machine runs; it accesses memory, and no device. */
    default void alone(Runnable change) {
        change.run();
    }
}
