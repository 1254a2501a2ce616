package lockstep.colo.heartbeat;

import lockstep.colo.checkpoint.Silence;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.TimeUnit;

/** The heartbeat of the process, if it has one. Any thread. */
final class Heartbeats implements Silence {
    private volatile @Nullable Heartbeat heartbeat;

    /** Of the last heartbeat: what it promised holds, also when it is gone. */
    private volatile @Nullable Lease lease;

    @Nullable Heartbeat heartbeat() {
        return heartbeat;
    }

    void set(@Nullable Heartbeat now) {
        heartbeat = now;
        if (now != null) {
            lease = now.lease();
        }
    }

    @Override
    public void awaitSilence() {
        Lease last = lease;
        if (last == null) {
            return;
        }
        try {
            for (long left = last.silence(System.nanoTime());
                    left > 0;
                    left = last.silence(System.nanoTime())) {
                TimeUnit.NANOSECONDS.sleep(left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
