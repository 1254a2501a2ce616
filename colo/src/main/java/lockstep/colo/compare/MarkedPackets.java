package lockstep.colo.compare;

import lockstep.net.filter.CheckpointMark;
import lockstep.net.filter.FrameDecoder;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Keeps apart what one side's guest sent before a checkpoint and behind it, where that side marks the place in its stream
 * ({@link CheckpointMark}). The primary's goes on before the checkpoint is complete; what it sends then is not to be
 * compared with what the secondary's sent before. A packet that the secondary's sent before, and that arrives behind, would
 * answer for a guest that is no more: what it acknowledged, the guest as it is now may never have received. Of a side that
 * marks nothing, every packet counts as sent behind the last checkpoint. On the comparison's loop.
 */
final class MarkedPackets implements FrameDecoder.Sink {
    private static final long NO_MARK = -1;

    private record Early(byte[] frame, int vnetHeader) {}

    private final FrameDecoder.Sink engine;
    private final boolean primary;
    private final List<Early> early = new ArrayList<>();
    private long checkpoint;
    private long mark = NO_MARK;
    private long stale;
    private long awaited;
    private @Nullable Runnable whenMarked;

    /** Of that side, in a session that has seen so many checkpoints. */
    MarkedPackets(FrameDecoder.Sink engine, boolean primary, long checkpoint) {
        this.engine = engine;
        this.primary = primary;
        this.checkpoint = checkpoint;
    }

    @Override
    public void frame(byte[] data, int length, int vnetHeader) {
        long read = CheckpointMark.read(data, length, vnetHeader);
        if (read >= 0) {
            if (!primary) {
                stale += early.size();
                early.clear();
            }
            mark = read;
            tellMarked();
        } else if (ahead()) {
            // The secondary goes on as soon as it has the checkpoint, which is known here a little
            // later.
            early.add(new Early(Arrays.copyOf(data, length), vnetHeader));
        } else if (primary || mark == NO_MARK || mark == checkpoint) {
            engine.frame(data, length, vnetHeader);
        } else {
            stale++;
        }
    }

    /** Whether what comes now was sent behind a checkpoint that is not complete here. */
    boolean ahead() {
        return mark > checkpoint;
    }

    /** Whether packets wait for {@link #checkpoint}: no more of them should be read. */
    boolean waits() {
        return !early.isEmpty();
    }

    /** Has {@code action} run once the mark of that checkpoint was seen; only the last one asked for. */
    void whenMarked(long number, Runnable action) {
        awaited = number;
        whenMarked = action;
        tellMarked();
    }

    private void tellMarked() {
        Runnable action = whenMarked;
        if (action != null && mark >= awaited) {
            whenMarked = null;
            action.run();
        }
    }

    /** The guests are equal, for that time in this session; 0 when it begins. */
    void checkpoint(long number) {
        checkpoint = number;
        if (mark <= number) {
            passEarly();
        }
    }

    private void passEarly() {
        List<Early> now = List.copyOf(early);
        early.clear();
        now.forEach(e -> frame(e.frame, e.frame.length, e.vnetHeader));
    }

    /** Another peer is at the other end from now on. */
    void reset() {
        early.clear();
        mark = NO_MARK;
    }

    /** Marks count no longer: no session is there, or another. */
    void forgetMark() {
        mark = NO_MARK;
        passEarly();
    }

    /** How many packets were dropped because they came behind the checkpoint that they were sent before. */
    long stale() {
        return stale;
    }
}
