package lockstep.runtime.chardev;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/** What a peer has not taken yet, in order. Used under its owner's lock, but for {@link #bytes}. */
final class SendQueue {
    /** A system call that takes bytes without blocking; a negative result is an error number. */
    @FunctionalInterface
    interface Call {
        int write(int fd, byte[] source, int offset, int length);
    }

    private static final int PIECE = 16 * 1024;

    private final Call call;
    private final ArrayDeque<byte[]> pieces = new ArrayDeque<>();
    private int headSent;
    private volatile long bytes;

    /** Empty; {@code call} writes to the descriptor. */
    SendQueue(Call call) {
        this.call = call;
    }

    /** Bytes queued. Any thread. */
    long bytes() {
        return bytes;
    }

    boolean isEmpty() {
        return pieces.isEmpty();
    }

    /** Forgets everything. */
    void clear() {
        pieces.clear();
        headSent = 0;
        bytes = 0;
    }

    /** Sends what the kernel takes at once and queues the rest; false when the connection is broken. */
    boolean push(Fd fd, ByteBuffer data) {
        if (pieces.isEmpty()) {
            while (data.hasRemaining()) {
                int n = write(fd, data);
                if (n > 0) {
                    data.position(data.position() + n);
                } else if (n == -Errno.EAGAIN) {
                    break;
                } else if (n != -Errno.EINTR) {
                    return false;
                }
            }
        }
        if (data.hasRemaining()) {
            byte[] rest = new byte[data.remaining()];
            data.get(rest);
            pieces.add(rest);
            bytes = bytes + rest.length;
        }
        return true;
    }

    private int write(Fd fd, ByteBuffer data) {
        if (data.hasArray()) {
            return call.write(
                    fd.number(),
                    data.array(),
                    data.arrayOffset() + data.position(),
                    data.remaining());
        }
        byte[] copy = new byte[Math.min(data.remaining(), PIECE)];
        data.get(data.position(), copy);
        return call.write(fd.number(), copy, 0, copy.length);
    }

    /** Sends what the kernel takes now; false when the connection is broken. */
    boolean flush(Fd fd) {
        while (!pieces.isEmpty()) {
            byte[] head = pieces.getFirst();
            int n = call.write(fd.number(), head, headSent, head.length - headSent);
            if (n < 0) {
                return n == -Errno.EAGAIN || n == -Errno.EINTR;
            }
            bytes = bytes - n;
            headSent += n;
            if (headSent == head.length) {
                pieces.removeFirst();
                headSent = 0;
            }
        }
        return true;
    }
}
