package lockstep.runtime.accelerator;

/** Told when the vCPUs stop and before they go on. Under the machine lock. */
public interface RunSwitch {
    /** All vCPUs stand still now. */
    void paused() throws AcceleratorException;

    /** They are about to go on. */
    void resuming() throws AcceleratorException;
}
