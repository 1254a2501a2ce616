package lockstep.runtime.machine;

/**
 * What a guest can bring on by itself, for run control. Published as a service of the process; called on
 * the main loop under the machine lock. The vCPU that caused it stands still until {@link
 * VcpuGroup#resumeAll}.
 */
public interface GuestEvents {
    /** The guest asks for a system reset; a triple fault counts as that. */
    void reset();

    /** The guest switches itself off. */
    void shutdown();

    /** The guest crashed and says so. */
    void panicked();

    /** The accelerator cannot go on: the run state becomes internal-error. */
    void internalError();
}
