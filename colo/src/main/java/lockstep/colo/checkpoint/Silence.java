package lockstep.colo.checkpoint;

/** Knows until when the other side may be heard; published as a service of the Vmm by who does. Any thread. */
public interface Silence {
    /** Waits until a secondary, which grants no lease any more, may be heard. Blocks for a lease at most. */
    void awaitSilence();
}
