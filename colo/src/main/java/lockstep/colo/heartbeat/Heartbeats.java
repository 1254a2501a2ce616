package lockstep.colo.heartbeat;

import org.jspecify.annotations.Nullable;

/** The heartbeat of the process, if it has one; published as a service of the Vmm. Any thread. */
public final class Heartbeats {
    private volatile @Nullable Heartbeat heartbeat;

    Heartbeats() {}

    @Nullable Heartbeat heartbeat() {
        return heartbeat;
    }

    void set(@Nullable Heartbeat now) {
        heartbeat = now;
    }

    /** Waits until a secondary, which grants no lease any more, may be heard. Blocks for a lease at most. */
    public void awaitSilence() {
        Heartbeat h = heartbeat;
        if (h != null) {
            h.awaitSilence();
        }
    }
}
