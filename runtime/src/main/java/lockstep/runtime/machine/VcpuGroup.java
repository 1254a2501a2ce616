package lockstep.runtime.machine;

/** All vCPUs of a machine, as run control sees them. Called under the machine lock. */
public interface VcpuGroup {
    /**
     * Takes every vCPU out of the guest and waits until each of them is out. The machine lock is
     * released while waiting, so that a vCPU in the middle of a device access can finish it.
     */
    void pauseAll();

    /** Lets every vCPU run again. */
    void resumeAll();

    /** Puts every vCPU into its state after reset. Only while paused. */
    void resetAll();

    /** Ends and joins the vCPU threads. */
    void close();
}
