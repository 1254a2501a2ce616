package lockstep.runtime.chardev;

import lockstep.linux.abi.LinuxAbi;
import lockstep.linux.abi.pollfd;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.Terminal;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The master side of a pseudo terminal. Linux reports a hang-up as long as nobody has the other side open,
 * so the device looks once a second whether somebody has; output without a reader is dropped.
 */
final class PtyChardev extends Backend {
    private static final long SECOND = 1_000_000_000L;

    private final Fd master;
    private final String path;
    private final @Nullable Path link;
    private final Timer timer;
    private final byte[] input = new byte[4096];
    private EventLoop.@Nullable Watch watch;
    private final SendQueue queue = new SendQueue(FileIo::write);
    private boolean reading = true;
    private volatile boolean open;

    PtyChardev(String id, ChardevConfig.Pty config, ChardevHost host) throws ChardevException {
        super(id, host.mainLoop());
        try {
            Terminal.Pty pty = Terminal.openPty();
            master = pty.master();
            path = pty.path();
            Path wanted = config.path() == null ? null : Path.of(config.path());
            if (wanted != null) {
                Files.createSymbolicLink(wanted, Path.of(path));
            }
            link = wanted;
        } catch (IOException e) {
            throw new ChardevException("Failed to create PTY: " + e.getMessage());
        }
        timer = mainLoop.timer(ClockType.REALTIME, this::look);
        mainLoop.execute(this::look);
    }

    /** The path of the other side. */
    String path() {
        return path;
    }

    private void look() {
        if (master.isClosed()) {
            return;
        }
        boolean reader;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment p = pollfd.allocate(arena);
            pollfd.fd(p, master.number());
            pollfd.events(p, (short) LinuxAbi.POLLIN());
            FileCalls.poll(p, 1, 0);
            reader = (pollfd.revents(p) & LinuxAbi.POLLHUP()) == 0;
        }
        if (!reader) {
            lookAgain();
            return;
        }
        synchronized (this) {
            open = true;
            serve(loop());
        }
        loop().execute(this::tellOpened);
    }

    private void lookAgain() {
        timer.arm(mainLoop.clocks().now(ClockType.REALTIME) + SECOND);
    }

    @Override
    synchronized void serve(EventLoop loop) {
        if (watch != null) {
            watch.close();
            watch = null;
        }
        if (open && !master.isClosed()) {
            watch = loop.watch(master.number(), 0, this::ready);
            reading = true; // Whoever is the front end now has not been asked yet.
            interest();
        }
    }

    private void ready(int events) {
        if ((events & EventLoop.WRITE) != 0) {
            flush();
        }
        if ((events & (EventLoop.READ | EventLoop.ERROR)) == 0) {
            return;
        }
        int room = room();
        if (room == 0) {
            if ((events & EventLoop.ERROR) != 0) {
                hangUp();
                return;
            }
            reading(false);
            if (room() > 0) {
                reading(true);
            }
            return;
        }
        int n = FileIo.read(master.number(), input, 0, Math.min(room, input.length));
        if (n > 0) {
            deliver(input, 0, n);
        } else if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
            hangUp();
        }
    }

    private void hangUp() {
        synchronized (this) {
            open = false;
            queue.clear();
            serve(loop());
        }
        drained();
        tellClosed();
        lookAgain();
    }

    private synchronized void reading(boolean wanted) {
        reading = wanted;
        interest();
    }

    private void interest() {
        if (watch != null) {
            watch.interest(
                    (reading ? EventLoop.READ : 0) | (queue.isEmpty() ? 0 : EventLoop.WRITE));
        }
    }

    @Override
    void resumeInput() {
        reading(true);
    }

    @Override
    boolean connected() {
        return open;
    }

    @Override
    public boolean movable() {
        return true;
    }

    @Override
    long pending() {
        return queue.bytes();
    }

    @Override
    synchronized void send(ByteBuffer data) {
        if (open && !master.isClosed() && queue.push(master, data)) {
            interest();
        } // Without a reader output is dropped; a broken terminal tells by its hang-up.
    }

    private void flush() {
        synchronized (this) {
            if (!open || master.isClosed()) {
                return;
            }
            queue.flush(master);
            interest();
        }
        drained();
    }

    @Override
    public String type() {
        return "chardev-pty";
    }

    @Override
    public String filename() {
        return "pty:" + path;
    }

    @Override
    public void close() {
        timer.cancel();
        open = false;
        serve(mainLoop);
        master.close();
        if (link != null) {
            FileIo.unlink(link.toString());
        }
        super.close();
    }
}
