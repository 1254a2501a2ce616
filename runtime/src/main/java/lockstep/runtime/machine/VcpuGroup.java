package lockstep.runtime.machine;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** All vCPUs of a machine, as run control sees them. Called under the machine lock. */
public interface VcpuGroup {
    /** The kernel's numbers of the vCPU threads, by vCPU index. */
    default List<Integer> threads() {
        return List.of();
    }

    /**
     * Takes every vCPU out of the guest and waits until each of them is out. The machine lock is
     * released while waiting, so that a vCPU in the middle of a device access can finish it.
     */
    void pauseAll();

    /** Lets every vCPU run again. */
    void resumeAll();

    /** Puts every vCPU into its state after reset. Only while paused. */
    void resetAll();

    /** If a vCPU is calling, has it stand still as soon as its present access is over. */
    default void stopCurrent() {}

    /** Raises a non-maskable interrupt on every vCPU. */
    default void injectNmi() {}

    /** The registers of a vCPU as {@code info registers} shows them. Stops the vCPUs for a moment. */
    default String describe(int index) {
        return "";
    }

    /** The local APIC of a vCPU as {@code info lapic} shows it, or null when there is none. Stops likewise. */
    default @Nullable String describeLocalApic(int index) {
        return null;
    }

    /** The registers of a vCPU, or null when there is none. Stops the vCPUs for a moment. */
    default @Nullable CpuRegisters registers(int index) {
        return null;
    }

    /** Ends and joins the vCPU threads. */
    void close();
}
