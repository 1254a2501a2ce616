package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.POLLIN;
import static lockstep.linux.abi.LinuxAbi.POLLOUT;
import static lockstep.linux.abi.LinuxAbi.SHUT_RDWR;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.tls.TlsStream;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * A socket below TLS. It waits during the handshake, which has a thread of its own; from {@link #settle} on nothing
 * waits: what is not there yet is read as no bytes, and what the peer does not take is queued. Then under the device's
 * lock.
 */
final class TlsSocket implements TlsStream.Raw {
    private final Fd fd;
    private final BooleanSupplier givenUp;
    private final SendQueue queue = new SendQueue(Sockets::send);
    private boolean settled;

    /** Over a connected socket that does not block; waits end when {@code givenUp} says so. */
    TlsSocket(Fd fd, BooleanSupplier givenUp) {
        this.fd = fd;
        this.givenUp = givenUp;
    }

    Fd fd() {
        return fd;
    }

    /** What the peer has not taken yet. */
    SendQueue queue() {
        return queue;
    }

    /** The handshake is over. */
    void settle() {
        settled = true;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        while (true) {
            int n =
                    (int)
                            FileCalls.read(
                                    fd.number(),
                                    MemorySegment.ofBuffer(target),
                                    target.remaining());
            if (n > 0) {
                target.position(target.position() + n);
                return n;
            }
            if (n == 0) {
                return -1;
            }
            if (n == -Errno.EAGAIN) {
                if (settled) {
                    return 0;
                }
                SocketConnector.await(fd, POLLIN(), givenUp);
            } else if (n != -Errno.EINTR) {
                throw new IOException(Errno.text(-n));
            }
        }
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        if (settled) {
            if (!queue.push(fd, source)) {
                throw new IOException("The peer is gone");
            }
            return;
        }
        while (source.hasRemaining()) {
            int n = (int) Sockets.send(fd.number(), MemorySegment.ofBuffer(source));
            if (n >= 0) {
                source.position(source.position() + n);
            } else if (n == -Errno.EAGAIN) {
                SocketConnector.await(fd, POLLOUT(), givenUp);
            } else if (n != -Errno.EINTR) {
                throw new IOException(Errno.text(-n));
            }
        }
    }

    @Override
    public void cut() {
        Sockets.shutdown(fd, SHUT_RDWR());
    }
}
