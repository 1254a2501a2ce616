package lockstep.runtime.chardev;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.Consumer;

/**
 * Connects to an address in the background, again and again until it succeeds. Of a series of failures only
 * the first is reported.
 */
final class SocketDialer {
    private static final long MILLISECOND = 1_000_000;

    private final String id;
    private final Address address;
    private final long pauseMs;
    private final ChardevHost host;
    private final Consumer<Fd> established;

    private EventLoop loop;
    private @Nullable Fd attempt;
    private EventLoop.@Nullable Watch watch;
    private @Nullable Timer timer;
    private boolean reported;
    private boolean closed;

    /** Pauses {@code pauseMs} between attempts; {@code established} is called on the loop. */
    SocketDialer(
            String id, Address address, long pauseMs, ChardevHost host, Consumer<Fd> established) {
        this.id = id;
        this.address = address;
        this.pauseMs = pauseMs;
        this.host = host;
        this.loop = host.mainLoop();
        this.established = established;
    }

    /** Tries at once. On the loop. */
    void dial() {
        if (SocketNames.mayBlock(address)) {
            Thread.ofVirtual()
                    .name("resolve-" + id)
                    .start(
                            () -> {
                                List<SocketName> names = resolve();
                                loop().execute(() -> attempt(names, 0));
                            });
        } else {
            attempt(resolve(), 0);
        }
    }

    /** Tries after the pause. */
    synchronized void dialLater() {
        if (closed) {
            return;
        }
        Timer t = timer;
        if (t == null) {
            t = loop.timer(ClockType.REALTIME, this::dial);
            timer = t;
        }
        t.arm(loop.clocks().now(ClockType.REALTIME) + pauseMs * MILLISECOND);
    }

    /** Goes on on another loop. */
    synchronized void move(EventLoop next) {
        Timer old = timer;
        if (loop == next) {
            return;
        }
        loop = next;
        if (old != null) {
            long deadline = old.deadline();
            old.cancel();
            Timer t = next.timer(ClockType.REALTIME, this::dial);
            t.arm(deadline);
            timer = t;
        }
    }

    private synchronized EventLoop loop() {
        return loop;
    }

    private List<SocketName> resolve() {
        try {
            return SocketNames.resolve(address, false);
        } catch (ChardevException e) {
            failed(e.getMessage());
            return List.of();
        }
    }

    private void attempt(List<SocketName> names, int index) {
        if (index >= names.size()) {
            return;
        }
        Fd fd;
        int result;
        try {
            fd = SocketConnector.start(names.get(index));
            result = Sockets.connect(fd, names.get(index));
        } catch (ChardevException | IllegalArgumentException e) {
            failed(e.getMessage());
            return;
        }
        if (result != -Errno.EINPROGRESS) {
            attempted(fd, result, names, index);
            return;
        }
        synchronized (this) {
            if (closed) {
                fd.close();
                return;
            }
            attempt = fd;
            watch =
                    loop.watch(
                            fd.number(),
                            EventLoop.WRITE,
                            events -> attempted(fd, -Sockets.error(fd), names, index));
        }
    }

    private void attempted(Fd fd, int result, List<SocketName> names, int index) {
        synchronized (this) {
            if (watch != null) {
                watch.close();
                watch = null;
            }
            attempt = null;
            if (closed) {
                fd.close();
                return;
            }
        }
        if (result == 0) {
            established.accept(fd);
            return;
        }
        fd.close();
        if (index + 1 < names.size()) {
            attempt(names, index + 1);
        } else {
            failed(SocketConnector.failure(address, -result));
        }
    }

    /** The connection serves: what goes wrong from here on is news. */
    synchronized void served() {
        reported = false;
    }

    /** An attempt failed, or what was agreed on over it; another one follows. */
    void failed(@Nullable String message) {
        boolean first;
        synchronized (this) {
            first = !reported;
            reported = true;
        }
        if (first) {
            host.report("Unable to connect character device " + id + ": " + message);
        }
        dialLater();
    }

    /** Gives up for good. */
    synchronized void close() {
        closed = true;
        if (watch != null) {
            watch.close();
            watch = null;
        }
        if (attempt != null) {
            attempt.close();
            attempt = null;
        }
        if (timer != null) {
            timer.cancel();
        }
    }
}
