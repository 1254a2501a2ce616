package lockstep.colo.compare;

import lockstep.net.filter.CheckpointMark;
import lockstep.net.filter.FrameDecoder;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Keeps apart what the secondary's guest sent before a checkpoint and behind it. A packet from before
 * that arrives behind it would answer for a guest that is no more: what it acknowledged, the guest as it
 * is now may never have received. A secondary of ours marks the place in its stream ({@link
 * CheckpointMark}); of one that marks nothing, every packet counts as sent behind the last checkpoint. On
 * the comparison's loop.
 */
final class SecondaryPackets implements FrameDecoder.Sink {
    private static final long NO_MARK = -1;

    private record Early(byte[] frame, int vnetHeader) {}

    private final FrameDecoder.Sink engine;
    private final List<Early> early = new ArrayList<>();
    private long checkpoint;
    private long mark = NO_MARK;
    private long stale;

    /** In a session that has seen so many checkpoints. */
    SecondaryPackets(FrameDecoder.Sink engine, long checkpoint) {
        this.engine = engine;
        this.checkpoint = checkpoint;
    }

    @Override
    public void frame(byte[] data, int length, int vnetHeader) {
        long read = CheckpointMark.read(data, length, vnetHeader);
        if (read >= 0) {
            stale += early.size();
            early.clear();
            mark = read;
        } else if (mark == NO_MARK || mark == checkpoint) {
            engine.frame(data, length, vnetHeader);
        } else if (mark > checkpoint) {
            // The secondary goes on as soon as it has the checkpoint, which is known here a little
            // later.
            early.add(new Early(Arrays.copyOf(data, length), vnetHeader));
        } else {
            stale++;
        }
    }

    /** Whether packets wait for {@link #checkpoint}: no more of them should be read. */
    boolean waits() {
        return !early.isEmpty();
    }

    /** The guests are equal, for that time in this session; 0 when it begins. */
    void checkpoint(long number) {
        checkpoint = number;
        if (mark <= number) {
            List<Early> now = List.copyOf(early);
            early.clear();
            now.forEach(e -> frame(e.frame, e.frame.length, e.vnetHeader));
        }
    }

    /** Another secondary is at the other end from now on. */
    void reset() {
        early.clear();
        mark = NO_MARK;
    }

    /** How many packets were dropped because they came behind the checkpoint that they were sent before. */
    long stale() {
        return stale;
    }
}
