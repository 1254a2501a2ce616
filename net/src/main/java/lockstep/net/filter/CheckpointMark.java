package lockstep.net.filter;

import java.nio.ByteBuffer;

/**
 * A frame by which a side of a COLO pair tells where in the stream of its guest's packets a checkpoint lies: what stands
 * before it was sent by the guest as it was before.
 */
public final class CheckpointMark {
    private static final String NAME = "lockstep";

    private CheckpointMark() {}

    /**
     * The frame.
     *
     * @param vnetHeader how many bytes of virtio header stand in front of it
     * @param checkpoint its number in this session; 0 for the beginning
     */
    public static byte[] frame(int vnetHeader, long checkpoint) {
        return PairFrame.begin(vnetHeader, NAME, Long.BYTES).putLong(checkpoint).array();
    }

    /** Whether that frame is a mark. */
    static boolean is(byte[] frame, int offset, int length, int vnetHeader) {
        return PairFrame.content(frame, offset, length, vnetHeader, NAME) != null;
    }

    /** The checkpoint's number if that frame is a mark, else -1. */
    public static long read(byte[] frame, int length, int vnetHeader) {
        ByteBuffer content = PairFrame.content(frame, 0, length, vnetHeader, NAME);
        return content == null ? -1 : Math.max(-1, content.getLong());
    }
}
