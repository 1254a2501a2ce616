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
    private boolean ended;
    private volatile boolean closed;

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

    /** The end of the input does not end the output. */
    @Override
    boolean connected() {
        return !closed;
    }

    @Override
    long pending() {
        return pending;
    }

    @Override
    void serve(EventLoop loop) {
        lock.lock();
        try {
            unwatchInput();
            watchInput();
        } finally {
            lock.unlock();
        }
    }

    @Override
    void resumeInput() {
        lock.lock();
        try {
            watchInput();
        } finally {
            lock.unlock();
        }
    }

    /** Under the lock. */
    private void watchInput() {
        if (inWatch == null && !closed && !ended && in >= 0 && frontendOpen()) {
            inWatch = loop().watch(in, EventLoop.READ, events -> readable());
        }
    }

    /** Under the lock. */
    private void unwatchInput() {
        if (inWatch != null) {
            inWatch.close();
            inWatch = null;
        }
    }

    private void readable() {
        int room = room();
        if (room == 0) {
            // Not watched at all meanwhile: a pipe without a writer reports that without being
            // asked,
            // and its end must not be seen before what is in front of it.
            lock.lock();
            try {
                unwatchInput();
            } finally {
                lock.unlock();
            }
            if (room() > 0) {
                resumeInput();
            }
            return;
        }
        int n = FileIo.read(in, input, 0, Math.min(room, input.length));
        if (n > 0) {
            deliver(input, 0, n);
        } else if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
            boolean wait = working();
            lock.lock();
            try {
                ended = !wait;
                unwatchInput();
            } finally {
                lock.unlock();
            }
            if (!wait) {
                tellClosed();
            }
        }
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
            outWatch = loop().watch(out, EventLoop.WRITE, events -> outputReady());
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
            unwatchInput();
            if (outWatch != null) {
                outWatch.close();
                outWatch = null;
            }
        } finally {
            lock.unlock();
        }
        onClose.run();
        super.close();
    }
}
