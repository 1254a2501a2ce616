package lockstep.net.user;

import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.BigEndian;

import org.jspecify.annotations.Nullable;

/**
 * A segment of TCP (RFC 9293 3.1) as it came. The bytes are only valid while it is dealt with.
 *
 * @param dataOffset where in {@code data} the payload is
 */
record TcpSegment(
        int sourcePort,
        int destinationPort,
        int sequence,
        int acknowledgement,
        int flags,
        int window,
        int maximum,
        byte[] data,
        int dataOffset,
        int dataLength) {
    private static final int MAXIMUM_SEGMENT_SIZE = 2;

    /** Reads a segment; null when it is broken. */
    static @Nullable TcpSegment parse(int source, int destination, byte[] f, int at, int length) {
        if (length < TcpFlow.HEADER) {
            return null;
        }
        int header = (Ip.get8(f, at + 12) >> 4) * 4;
        long sum =
                Checksum.sum(f, at, length)
                        + Checksum.pseudoHeader(source, destination, Ip.TCP, length);
        if (header < TcpFlow.HEADER || header > length || Checksum.fold(sum) != 0) {
            return null;
        }
        return new TcpSegment(
                BigEndian.get16(f, at),
                BigEndian.get16(f, at + 2),
                BigEndian.get32(f, at + 4),
                BigEndian.get32(f, at + 8),
                Ip.get8(f, at + 13),
                BigEndian.get16(f, at + 14),
                maximum(f, at + TcpFlow.HEADER, at + header),
                f,
                at + header,
                length - header);
    }

    private static int maximum(byte[] f, int from, int end) {
        for (int p = from; p < end && f[p] != 0; ) {
            if (f[p] == 1) {
                p++;
                continue;
            }
            int size = p + 1 < end ? Ip.get8(f, p + 1) : 0;
            if (size < 2 || p + size > end) {
                return 0;
            }
            if (f[p] == MAXIMUM_SEGMENT_SIZE && size == 4) {
                return BigEndian.get16(f, p + 2);
            }
            p += size;
        }
        return 0;
    }

    boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /** How much of the sequence it takes: its data, SYN and FIN. */
    int length() {
        return dataLength + (has(TcpFlow.SYN) ? 1 : 0) + (has(TcpFlow.FIN) ? 1 : 0);
    }

    /** The size of a segment that its sender can take; {@code usual} when it does not say. */
    int segmentSize(int usual) {
        return maximum == 0 ? usual : Math.clamp(maximum, 64, TcpFlow.SEGMENT);
    }
}
