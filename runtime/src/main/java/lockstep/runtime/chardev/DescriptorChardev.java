package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.POLLOUT;

import lockstep.linux.abi.pollfd;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Plain descriptors that need no peer: standard input and output, files, pipes, host devices. Output is
 * written in pieces that a ready descriptor takes without blocking (PIPE_BUF), so that a stalled reader
 * never stalls the virtual machine, and without changing modes that other processes share.
 */
class DescriptorChardev extends Backend {
    private static final int PIECE = 4096;

    private final String filename;
    private final int in;
    private final int out;
    private final Runnable onClose;
    private final byte[] input = new byte[PIECE];
    private final ReentrantLock lock = new ReentrantLock();
    private final ArrayDeque<byte[]> queue = new ArrayDeque<>();
    private final Arena arena = Arena.ofAuto();
    private final MemorySegment poll = pollfd.allocate(arena);
    private int headSent;
    private volatile long pending;
    private EventLoop.@Nullable Watch inWatch;
    private EventLoop.@Nullable Watch outWatch;
    private volatile boolean ended;
    private boolean closed;

    /**
     * Over open descriptors.
     *
     * @param in where input comes from, or -1
     * @param out where output goes, or -1
     * @param onClose lets go of the descriptors
     */
    DescriptorChardev(
            String id, ChardevHost host, String filename, int in, int out, Runnable onClose) {
        super(id, host.mainLoop());
        this.filename = filename;
        this.in = in;
        this.out = out;
        this.onClose = onClose;
    }

    @Override
    public String type() {
        return "chardev-" + filename;
    }

    @Override
    public String filename() {
        return filename;
    }

    @Override
    public boolean movable() {
        return true;
    }

    @Override
    boolean connected() {
        return !ended;
    }

    @Override
    long pending() {
        return pending;
    }

    @Override
    void serve(EventLoop loop) {
        lock.lock();
        try {
            if (inWatch != null) {
                inWatch.close();
                inWatch = null;
            }
            if (!closed && !ended && in >= 0 && frontendOpen()) {
                inWatch = loop.watch(in, EventLoop.READ, this::readable);
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    void resumeInput() {
        EventLoop.Watch w = inWatch;
        if (w != null) {
            w.interest(EventLoop.READ);
        }
    }

    private void readable(int events) {
        EventLoop.Watch w = inWatch;
        if (w == null) {
            return;
        }
        int room = room();
        if (room == 0 && (events & EventLoop.READ) != 0) {
            w.interest(0);
            if (room() > 0) {
                w.interest(EventLoop.READ);
            }
            return;
        }
        int n = FileIo.read(in, input, 0, Math.min(Math.max(room, 1), input.length));
        if (n == -Errno.EAGAIN || n == -Errno.EINTR) {
            return;
        }
        if (n <= 0) {
            lock.lock();
            try {
                ended = true;
                w.close();
                inWatch = null;
            } finally {
                lock.unlock();
            }
            tellClosed();
            return;
        }
        deliver(input, 0, n);
    }

    @Override
    void send(ByteBuffer data) throws IOException {
        lock.lock();
        try {
            if (closed) {
                throw new ChardevException("chardev '" + id + "' is closed");
            }
            if (out < 0) {
                return;
            }
            byte[] copy = new byte[data.remaining()];
            data.get(copy);
            queue.add(copy);
            pending += copy.length;
            pump();
        } finally {
            lock.unlock();
        }
    }

    private void pump() {
        while (!queue.isEmpty() && writable()) {
            byte[] head = queue.getFirst();
            int n = FileIo.write(out, head, headSent, Math.min(PIECE, head.length - headSent));
            if (n == -Errno.EAGAIN) {
                break;
            }
            if (n == -Errno.EINTR) {
                continue;
            }
            if (n < 0) {
                // Nobody will ever read this: drop it, as a terminal that went away does.
                queue.clear();
                headSent = 0;
                pending = 0;
                break;
            }
            pending -= n;
            headSent += n;
            if (headSent == head.length) {
                queue.removeFirst();
                headSent = 0;
            }
        }
        if (queue.isEmpty()) {
            if (outWatch != null) {
                outWatch.close();
                outWatch = null;
            }
        } else if (outWatch == null) {
            outWatch = mainLoop.watch(out, EventLoop.WRITE, events -> outputReady());
        }
    }

    private void outputReady() {
        lock.lock();
        try {
            pump();
        } finally {
            lock.unlock();
        }
        drained();
    }

    private boolean writable() {
        pollfd.fd(poll, out);
        pollfd.events(poll, (short) POLLOUT());
        pollfd.revents(poll, (short) 0);
        return FileCalls.poll(poll, 1, 0) > 0;
    }

    /** Writes what is queued while the other side takes it; for the end of the process. */
    @Override
    public void close() {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            pump();
            closed = true;
            if (inWatch != null) {
                inWatch.close();
                inWatch = null;
            }
            if (outWatch != null) {
                outWatch.close();
                outWatch = null;
            }
        } finally {
            lock.unlock();
        }
        onClose.run();
        loop().execute(this::tellClosed);
    }
}
