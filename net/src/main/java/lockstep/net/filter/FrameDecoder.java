package lockstep.net.filter;

import java.nio.ByteBuffer;

/**
 * Cuts a byte stream into packets: 4 bytes length, with virtio headers 4 bytes length of that
 * header, then the packet, which begins with the header. Words are big endian. One thread.
 */
public final class FrameDecoder {
    /** The longest packet, QEMU's NET_BUFSIZE. */
    public static final int MAX_FRAME = 4096 + 65536;

    /** What QEMU prints when a frame is longer. */
    public static final String OVERSIZED =
            "serious error: oversized packet received,connection terminated.";

    /** Takes the packets. */
    @FunctionalInterface
    public interface Sink {
        /** Takes one packet of at least one byte; the bytes are only valid during the call. */
        void frame(byte[] data, int length, int vnetHeaderLength);
    }

    private final boolean vnetHeader;
    private final Sink sink;
    private byte[] buffer = new byte[4096];
    private int wordBytes;
    private int word;
    private boolean inPacket;
    private boolean lengthKnown;
    private int length;
    private int vnetLength;
    private int filled;

    /**
     * A decoder at the start of a stream.
     *
     * @param vnetHeader whether the second word is there; both ends must agree
     */
    public FrameDecoder(boolean vnetHeader, Sink sink) {
        this.vnetHeader = vnetHeader;
        this.sink = sink;
    }

    /**
     * Takes the next bytes of the stream, all of them.
     *
     * @return false when a frame is too long: the rest of {@code data} is left, the decoder starts
     *     anew, and the stream is of no more use
     */
    public boolean feed(ByteBuffer data) {
        while (data.hasRemaining()) {
            if (inPacket) {
                int n = Math.min(length - filled, data.remaining());
                data.get(buffer, filled, n);
                filled += n;
                if (filled == length) {
                    inPacket = false;
                    sink.frame(buffer, length, vnetLength);
                }
            } else if (word(data) && !header()) {
                return false;
            }
        }
        return true;
    }

    private boolean word(ByteBuffer data) {
        word = word << 8 | data.get() & 0xff;
        if (++wordBytes < 4) {
            return false;
        }
        wordBytes = 0;
        return true;
    }

    private boolean header() {
        if (!lengthKnown) {
            length = word;
            vnetLength = 0;
            if (vnetHeader) {
                lengthKnown = true;
                return true;
            }
        } else {
            lengthKnown = false;
            vnetLength = word;
        }
        if (Integer.compareUnsigned(length, MAX_FRAME) > 0) {
            reset();
            return false;
        }
        if (length > buffer.length) {
            buffer = new byte[MAX_FRAME];
        }
        filled = 0;
        inPacket = length != 0; // An empty packet means nothing; QEMU never sends one.
        return true;
    }

    /** Forgets a frame cut in the middle. */
    public void reset() {
        wordBytes = 0;
        inPacket = false;
        lengthKnown = false;
    }
}
