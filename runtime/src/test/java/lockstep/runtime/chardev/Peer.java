package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.O_NONBLOCK;
import static lockstep.linux.abi.LinuxAbi.O_RDWR;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import java.util.function.IntSupplier;

/**
 * The far side of a device, over descriptors that do not block. Every call waits until it is done, and
 * gives up loudly when that never happens.
 */
final class Peer implements AutoCloseable {
    private static final long PATIENCE_NS = 30_000_000_000L;

    private final Fd in;
    private final Fd out;
    private final int piece;

    /** Reads from {@code in} and writes to {@code out}, at most {@code piece} bytes a call. */
    Peer(Fd in, Fd out, int piece) {
        this.in = in;
        this.out = out;
        this.piece = piece;
    }

    /** Over a connected stream socket or a terminal. */
    static Peer of(Fd both) {
        return new Peer(both, both, 64 * 1024);
    }

    /** Connects to a stream socket that listens. */
    static Peer connect(SocketName name) throws LinuxException {
        Fd socket = Sockets.stream(name.family());
        int result = until(() -> Sockets.connect(socket, name));
        if (result < 0 && result != -Errno.EINPROGRESS) {
            throw new AssertionError("connect: " + Errno.text(-result));
        }
        return of(socket);
    }

    /** Takes the connection that the device makes. */
    static Peer accept(Fd listener) {
        return of(new Fd(until(() -> Sockets.accept(listener))));
    }

    /** Opens a file, pipe or terminal for both directions. */
    static Fd open(String path, int flags) throws LinuxException {
        return FileIo.open(path, O_RDWR() | O_NONBLOCK() | flags, 0);
    }

    /** The next {@code length} bytes. */
    byte[] read(int length) {
        byte[] data = new byte[length];
        int at = 0;
        long end = System.nanoTime() + PATIENCE_NS;
        while (at < length) {
            int n = FileIo.read(in.number(), data, at, length - at);
            if (n > 0) {
                at += n;
            } else {
                rest(end, at + " of " + length + " bytes came");
            }
        }
        return data;
    }

    /** Sends everything. */
    void write(byte[] data) {
        int at = 0;
        while (at < data.length) {
            int from = at;
            int n = Math.min(piece, data.length - at);
            at += until(() -> FileIo.write(out.number(), data, from, n));
        }
    }

    /** Repeats a call as long as it would have blocked. */
    private static int until(IntSupplier call) {
        long end = System.nanoTime() + PATIENCE_NS;
        int n = call.getAsInt();
        while (n == -Errno.EAGAIN || n == -Errno.EINTR) {
            rest(end, "the call never succeeded");
            n = call.getAsInt();
        }
        return n;
    }

    private static void rest(long end, String complaint) {
        if (System.nanoTime() > end) {
            throw new AssertionError(complaint);
        }
        try {
            Thread.sleep(1);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        in.close();
        out.close();
    }
}
