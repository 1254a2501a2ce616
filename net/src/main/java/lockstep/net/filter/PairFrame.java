package lockstep.net.filter;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * A frame by which the filters of a COLO pair's two sides tell each other something in the stream of their guests'
 * packets, where it belongs. Its type is IEEE 802's first one for local experiments and its destination an address that
 * no bridge forwards (IEEE 802.1Q, table 8-1); eight letters say what it is. Not in QEMU, whose comparison drops it like
 * every packet of the secondary that is not IPv4.
 */
public final class PairFrame {
    private static final long DESTINATION = 0x0180_C200_000EL;
    private static final long SOURCE = 0x0200_0000_0000L;
    private static final short LOCAL_EXPERIMENT_1 = (short) 0x88B5;
    private static final int TYPE_AT = 12;
    private static final int NAME = 8;
    private static final int HEADER = 14 + NAME;
    private static final int SHORTEST = 60;

    private PairFrame() {}

    /**
     * A frame to be filled in, big endian, at its position.
     *
     * @param vnetHeader how many bytes of virtio header stand in front of it
     * @param name eight letters
     * @param bytes of content
     */
    public static ByteBuffer begin(int vnetHeader, String name, int bytes) {
        int length = vnetHeader + Math.max(SHORTEST, HEADER + bytes);
        ByteBuffer b = ByteBuffer.allocate(length).position(vnetHeader);
        b.putShort((short) (DESTINATION >>> 32)).putInt((int) DESTINATION);
        b.putShort((short) (SOURCE >>> 32)).putInt((int) SOURCE);
        return b.putShort(LOCAL_EXPERIMENT_1).put(name.getBytes(StandardCharsets.US_ASCII));
    }

    /** The content of a frame of that name, with what fills it up; null if it is another frame. */
    public static @Nullable ByteBuffer content(
            byte[] frame, int offset, int length, int vnetHeader, String name) {
        int at = offset + vnetHeader;
        int type = at + TYPE_AT;
        if (vnetHeader < 0
                || length - vnetHeader < SHORTEST
                || frame[type] != (byte) (LOCAL_EXPERIMENT_1 >> 8)
                || frame[type + 1] != (byte) LOCAL_EXPERIMENT_1) {
            return null;
        }
        for (int i = 0; i < 6; i++) {
            // What a host of the network addresses otherwise, so that it gets here, is not ours.
            if (frame[at + i] != (byte) (DESTINATION >>> 8 * (5 - i))) {
                return null;
            }
        }
        for (int i = 0; i < NAME; i++) {
            if (frame[type + 2 + i] != name.charAt(i)) {
                return null;
            }
        }
        int from = offset + vnetHeader + HEADER;
        return ByteBuffer.wrap(frame, from, offset + length - from);
    }
}
