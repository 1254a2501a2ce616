package lockstep.net.filter;

import lockstep.runtime.chardev.Chardev;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Writes packets to a character device in the framing that {@link FrameDecoder} reads. Any thread,
 * one at a time.
 */
public final class FrameWriter {
    /** Bytes that may wait for a slow peer before a reader of packets should pause. */
    public static final long HIGH_WATER = 4 << 20;

    /** Bytes that may wait for a slow peer before packets are dropped. */
    public static final long LIMIT = 64 << 20;

    /** Bytes that {@link #append} gathers at most. */
    private static final int GATHERED = 64 << 10;

    private final Chardev.Attachment out;
    private volatile boolean vnetHeader;
    private long written;
    private ByteBuffer buffer = ByteBuffer.allocate(2048); // The device copies what it must keep.

    /** A writer on a device that its owner attached to. */
    public FrameWriter(Chardev.Attachment out, boolean vnetHeader) {
        this.out = out;
        this.vnetHeader = vnetHeader;
    }

    /** Whether frames carry the length of the virtio header. */
    public boolean vnetHeader() {
        return vnetHeader;
    }

    /** Sets that for the packets to come. */
    public void vnetHeader(boolean value) {
        vnetHeader = value;
    }

    /**
     * Sends one packet whole.
     *
     * @param vnetHeaderLength how many bytes of the packet are virtio header; written only if both
     *     ends agreed on that word
     * @throws IOException when no peer is connected, or it has stopped reading: the packet is lost
     */
    public void write(byte[] frame, int offset, int length, int vnetHeaderLength)
            throws IOException {
        append(frame, offset, length, vnetHeaderLength);
        send();
    }

    /**
     * Like {@link #write}, but what is sent may stay here until {@link #send}, so that many packets
     * cost one call of the host.
     */
    public void append(byte[] frame, int offset, int length, int vnetHeaderLength)
            throws IOException {
        if (length == 0) {
            return;
        }
        int needed = length + 8;
        if (buffer.remaining() < needed) {
            if (buffer.position() + needed > GATHERED) {
                send();
            }
            if (buffer.remaining() < needed) {
                int room = Math.max(buffer.position() + needed, 2 * buffer.capacity());
                buffer = ByteBuffer.allocate(room).put(buffer.flip());
            }
        }
        buffer.putInt(length);
        if (vnetHeader) {
            buffer.putInt(vnetHeaderLength);
        }
        buffer.put(frame, offset, length);
    }

    /**
     * Sends what was gathered.
     *
     * @throws IOException as {@link #write}: it is lost
     */
    public void send() throws IOException {
        if (buffer.position() == 0) {
            return;
        }
        try {
            if (out.pending() > LIMIT) {
                throw new IOException("the peer does not read");
            }
            int bytes = buffer.flip().remaining();
            out.write(buffer);
            written += bytes;
        } finally {
            buffer.clear();
        }
    }

    /** Whether so much waits for the peer that whoever reads packets should pause. */
    public boolean congested() {
        return out.pending() > HIGH_WATER;
    }

    /** Bytes that the peer, or the host for it, has taken so far. */
    long taken() {
        return written - out.pending();
    }

    /** The device. */
    public Chardev.Attachment attachment() {
        return out;
    }
}
