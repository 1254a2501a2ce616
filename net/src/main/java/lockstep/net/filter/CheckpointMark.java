package lockstep.net.filter;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * A frame by which a secondary tells, in the stream of its guest's packets, where a checkpoint lies: what
 * stands before it was sent by the guest as it was before. Its type is IEEE 802's first one for local
 * experiments and its destination an address that no bridge forwards (IEEE 802.1Q, table 8-1). A
 * comparison that does not know it, such as QEMU's, drops it like every packet of the secondary that is
 * not IPv4. Not in QEMU.
 */
public final class CheckpointMark {
    private static final long DESTINATION = 0x0180_C200_000EL;
    private static final long SOURCE = 0x0200_0000_0000L;
    private static final int LOCAL_EXPERIMENT_1 = 0x88B5;
    private static final byte[] NAME = "lockstep".getBytes(StandardCharsets.US_ASCII);
    private static final int HEADER = 14;
    private static final int LENGTH = 60; // the shortest frame

    private CheckpointMark() {}

    /**
     * The frame.
     *
     * @param vnetHeader how many bytes of virtio header stand in front of it
     * @param checkpoint its number in this session; 0 for the beginning
     */
    public static byte[] frame(int vnetHeader, long checkpoint) {
        ByteBuffer b = ByteBuffer.allocate(vnetHeader + LENGTH).position(vnetHeader);
        b.putShort((short) (DESTINATION >>> 32)).putInt((int) DESTINATION);
        b.putShort((short) (SOURCE >>> 32)).putInt((int) SOURCE);
        b.putShort((short) LOCAL_EXPERIMENT_1).put(NAME).putLong(checkpoint);
        return b.array();
    }

    /** The checkpoint's number if that frame is a mark, else -1. */
    public static long read(byte[] frame, int length, int vnetHeader) {
        if (vnetHeader < 0
                || length - vnetHeader != LENGTH
                || frame[vnetHeader + 12] != (byte) (LOCAL_EXPERIMENT_1 >>> 8)
                || frame[vnetHeader + 13] != (byte) LOCAL_EXPERIMENT_1) {
            return -1;
        }
        ByteBuffer b = ByteBuffer.wrap(frame, vnetHeader, LENGTH);
        ByteBuffer name = b.slice(vnetHeader + HEADER, NAME.length);
        return name.equals(ByteBuffer.wrap(NAME))
                ? Math.max(-1, b.getLong(vnetHeader + HEADER + NAME.length))
                : -1;
    }
}
