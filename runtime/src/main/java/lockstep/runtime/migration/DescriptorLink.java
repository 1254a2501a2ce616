package lockstep.runtime.migration;

import static lockstep.linux.abi.LinuxAbi.O_NONBLOCK;
import static lockstep.linux.abi.LinuxAbi.POLLIN;
import static lockstep.linux.abi.LinuxAbi.POLLOUT;
import static lockstep.linux.abi.LinuxAbi.SHUT_RDWR;

import lockstep.linux.abi.pollfd;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.EventFd;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Sockets;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A stream over descriptors as they are: a socket, pipe or file that another process handed over, where it stands at
 * that moment, or the two pipes of a command.
 *
 * <p>Whoever waits for a peer waits in poll(2) for the end of this link as well: that is what lets another thread break
 * it off.
 */
final class DescriptorLink implements MigrationChannel {
    private final String kind;
    private final @Nullable Fd in;
    private final @Nullable Fd out;
    private final @Nullable Process command;
    private final boolean socket;
    private final boolean inBlocked;
    private final boolean outBlocked;
    private final EventFd end;

    private volatile boolean ended;

    // Under this.
    private boolean closing;
    private int calls;

    private DescriptorLink(
            String kind, @Nullable Fd in, @Nullable Fd out, @Nullable Process command)
            throws LinuxException {
        this.kind = kind;
        this.in = in;
        this.out = out;
        this.command = command;
        this.socket = kind.equals("socket");
        this.end = new EventFd();
        this.inBlocked = in != null && unblock(in);
        this.outBlocked = out != null && out != in && unblock(out);
    }

    /** Over one descriptor, which is taken over, for the direction the stream takes; a socket has both. */
    static DescriptorLink of(Fd fd, boolean write) throws LinuxException {
        if (Sockets.isSocket(fd.number())) {
            Sockets.noDelay(fd, true);
            return new DescriptorLink("socket", fd, fd, null);
        }
        return new DescriptorLink("file", write ? null : fd, write ? fd : null, null);
    }

    /** Over a command's output and input, which are taken over. */
    static DescriptorLink of(Process command, Fd output, Fd input) throws LinuxException {
        return new DescriptorLink("command", output, input, command);
    }

    /** Returns whether calls did block: other processes hold the same open file, and want it back as it was. */
    private static boolean unblock(Fd fd) throws LinuxException {
        boolean blocks = (FileIo.flags(fd.number()) & O_NONBLOCK()) == 0;
        FileIo.nonBlocking(fd.number(), true);
        return blocks;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        Fd fd = enter(in);
        try {
            while (await(fd, POLLIN())) {
                int n =
                        FileIo.read(
                                fd.number(),
                                target.array(),
                                target.arrayOffset() + target.position(),
                                target.remaining());
                if (n > 0) {
                    target.position(target.position() + n);
                    return n;
                }
                if (n == 0) {
                    return -1;
                }
                check(n, "read from");
            }
            return -1;
        } finally {
            leave();
        }
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        Fd fd = enter(out);
        try {
            while (source.hasRemaining()) {
                if (!await(fd, POLLOUT())) {
                    throw new LinuxException("write", Errno.EPIPE);
                }
                MemorySegment rest = MemorySegment.ofBuffer(source);
                long n = FileCalls.write(fd.number(), rest, rest.byteSize());
                check(n, "write to");
                source.position(source.position() + (int) Math.max(0, n));
            }
        } finally {
            leave();
        }
    }

    /** Throws for an errno that is not "try again". */
    private void check(long result, String what) throws LinuxException {
        if (result != -Errno.EAGAIN && result != -Errno.EINTR) {
            Errno.check(result, "Unable to " + what + " " + kind);
        }
    }

    /** Waits until a call can go on; false if the link ends first. */
    private boolean await(Fd fd, int events) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment both = pollfd.allocateArray(2, arena);
            MemorySegment peer = pollfd.asSlice(both, 0);
            MemorySegment own = pollfd.asSlice(both, 1);
            pollfd.fd(peer, fd.number());
            pollfd.events(peer, (short) events);
            pollfd.fd(own, end.number());
            pollfd.events(own, (short) POLLIN());
            while (!ended) {
                if (FileCalls.poll(both, 2, -1) > 0 && pollfd.revents(peer) != 0) {
                    return !ended;
                }
            }
            return false;
        }
    }

    private synchronized Fd enter(@Nullable Fd fd) throws IOException {
        if (closing) {
            throw new LinuxException(kind, Errno.EPIPE);
        }
        if (fd == null) {
            throw new LinuxException(kind, Errno.EBADF);
        }
        calls++;
        return fd;
    }

    private synchronized void leave() {
        if (--calls == 0 && closing) {
            release();
        }
    }

    @Override
    public synchronized void shutdown() {
        if (ended) {
            return;
        }
        ended = true;
        end.signal();
        if (socket && in != null) {
            Sockets.shutdown(in, SHUT_RDWR());
        }
        if (command != null) {
            command.destroy();
        }
    }

    @Override
    public String kind() {
        return kind;
    }

    /** The descriptors go when the last call has returned: their numbers must not be another's meanwhile. */
    @Override
    public synchronized void close() {
        if (closing) {
            return;
        }
        closing = true;
        if (calls == 0) {
            release();
        } else {
            shutdown();
        }
    }

    private void release() {
        // A command sees the end of its input and ends by itself; the runtime library waits for it.
        let(in, inBlocked);
        let(out, outBlocked);
        end.close();
        ended = true;
    }

    private static void let(@Nullable Fd fd, boolean blocked) {
        if (fd == null || fd.isClosed()) {
            return;
        }
        try {
            FileIo.nonBlocking(fd.number(), !blocked);
        } catch (LinuxException e) {
            // It is open, so this cannot fail; and it is being let go of.
            return;
        } finally {
            fd.close();
        }
    }
}
