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
        if (reader && !open) {
            open = true;
            watch = mainLoop.watch(master.number(), EventLoop.READ, this::ready);
            tellOpened();
        }
        if (!reader) {
            timer.arm(mainLoop.clocks().now(ClockType.REALTIME) + SECOND);
        }
    }

    private void ready(int events) {
        EventLoop.Watch w = watch;
        if (w == null) {
            return;
        }
        int room = room();
        if (room == 0 && (events & EventLoop.ERROR) == 0) {
            w.interest(0);
            return;
        }
        int n = FileIo.read(master.number(), input, 0, Math.min(Math.max(room, 1), input.length));
        if (n > 0) {
            deliver(input, 0, n);
        } else if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
            w.close();
            watch = null;
            open = false;
            tellClosed();
            timer.arm(mainLoop.clocks().now(ClockType.REALTIME) + SECOND);
        }
    }

    @Override
    void resumeInput() {
        EventLoop.Watch w = watch;
        if (w != null) {
            w.interest(EventLoop.READ);
        }
    }

    @Override
    boolean connected() {
        return open;
    }

    @Override
    void send(ByteBuffer data) {
        byte[] copy = new byte[data.remaining()];
        data.get(copy);
        int at = 0;
        while (open && at < copy.length) {
            int n = FileIo.write(master.number(), copy, at, copy.length - at);
            if (n <= 0) {
                return; // The terminal's buffer is full: a reader that sleeps loses output.
            }
            at += n;
        }
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
        EventLoop.Watch w = watch;
        if (w != null) {
            w.close();
            watch = null;
        }
        master.close();
        if (link != null) {
            FileIo.unlink(link.toString());
        }
    }
}
