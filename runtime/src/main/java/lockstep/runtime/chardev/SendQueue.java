package lockstep.runtime.chardev;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.Sockets;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/** What a socket's peer has not taken yet, in order. Used under its owner's lock, but for {@link #bytes}. */
final class SendQueue {
    private static final int PIECE = 16 * 1024;

    private final ArrayDeque<byte[]> pieces = new ArrayDeque<>();
    private int headSent;
    private volatile long bytes;

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

    private static int write(Fd fd, ByteBuffer data) {
        if (data.hasArray()) {
            return Sockets.send(
                    fd.number(),
                    data.array(),
                    data.arrayOffset() + data.position(),
                    data.remaining());
        }
        byte[] copy = new byte[Math.min(data.remaining(), PIECE)];
        data.get(data.position(), copy);
        return Sockets.send(fd.number(), copy, 0, copy.length);
    }

    /** Sends what the kernel takes now; false when the connection is broken. */
    boolean flush(Fd fd) {
        while (!pieces.isEmpty()) {
            byte[] head = pieces.getFirst();
            int n = Sockets.send(fd.number(), head, headSent, head.length - headSent);
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
