package lockstep.net.wire;

import lockstep.runtime.memory.BigEndian;

/** The checksum of the Internet's protocols (RFC 1071). */
public final class Checksum {
    private Checksum() {}

    /** The sum of 16-bit words that the checksum is made of, not yet folded; an odd last byte is a word's high one. */
    public static long sum(byte[] b, int offset, int length) {
        long sum = 0;
        int end = offset + (length & ~1);
        for (int i = offset; i < end; i += 2) {
            sum += BigEndian.get16(b, i);
        }
        return (length & 1) == 0 ? sum : sum + ((b[end] & 0xff) << 8);
    }

    /** The sum over the header that TCP and UDP take from IP. */
    public static long pseudoHeader(int source, int destination, int protocol, int length) {
        return (source >>> 16)
                + (source & 0xffff)
                + (destination >>> 16)
                + (destination & 0xffff)
                + protocol
                + length;
    }

    /** The checksum of a sum: 0 over what holds its own right one. */
    public static int fold(long sum) {
        long s = sum;
        while (s >>> 16 != 0) {
            s = (s & 0xffff) + (s >>> 16);
        }
        return (int) ~s & 0xffff;
    }
}
