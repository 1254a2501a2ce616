package lockstep.runtime.chardev;

import java.nio.ByteBuffer;

/** Keeps the last bytes that were written, for ringbuf-read. Any thread. */
public final class RingbufChardev extends Backend {
    private static final long MAXIMUM = 1 << 30;

    private final byte[] ring;
    private long written;
    private long read;

    RingbufChardev(String id, long size, ChardevHost host) throws ChardevException {
        super(id, host.mainLoop());
        if (Long.bitCount(size) != 1 || size < 0) {
            throw new ChardevException("size of ringbuf chardev must be power of two");
        }
        if (size > MAXIMUM) {
            throw new ChardevException("size of ringbuf chardev must be at most " + MAXIMUM);
        }
        try {
            ring = new byte[(int) size];
        } catch (OutOfMemoryError e) {
            throw new ChardevException("ringbuf chardev: Cannot allocate memory");
        }
    }

    @Override
    boolean connected() {
        return true;
    }

    @Override
    synchronized void send(ByteBuffer data) {
        while (data.hasRemaining()) {
            ring[(int) (written++ & ring.length - 1)] = data.get();
        }
        read = Math.max(read, written - ring.length);
    }

    /** Takes at most {@code size} of the oldest bytes out. */
    public synchronized byte[] take(long size) {
        byte[] result = new byte[(int) Math.max(0, Math.min(size, written - read))];
        for (int i = 0; i < result.length; i++) {
            result[i] = ring[(int) (read++ & ring.length - 1)];
        }
        return result;
    }

    /** Puts bytes in, as if a front end had written them. */
    public void put(byte[] data) {
        send(ByteBuffer.wrap(data));
    }

    @Override
    public String type() {
        return "chardev-ringbuf";
    }

    @Override
    public String filename() {
        return "ringbuf";
    }
}
