package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.O_APPEND;
import static lockstep.linux.abi.LinuxAbi.O_CLOEXEC;
import static lockstep.linux.abi.LinuxAbi.O_CREAT;
import static lockstep.linux.abi.LinuxAbi.O_TRUNC;
import static lockstep.linux.abi.LinuxAbi.O_WRONLY;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** What all back ends with one front end share: who holds the device and when it is told what. */
abstract class Backend implements Chardev {
    private static final int LOG_MODE = 0666;

    /** One front end's hold. */
    final class Hold implements Attachment {
        private final ChardevFrontend frontend;
        private final EventLoop loop;
        private volatile boolean gone;

        /** Only touched on {@link #loop}: whether the front end was told of the present peer. */
        private boolean told;

        private Hold(ChardevFrontend frontend, EventLoop loop) {
            this.frontend = frontend;
            this.loop = loop;
        }

        @Override
        public boolean connected() {
            return !gone && Backend.this.connected();
        }

        @Override
        public void write(ByteBuffer data) throws IOException {
            if (gone) {
                throw new ChardevException("chardev '" + id + "' is no longer held");
            }
            log(data);
            send(data);
        }

        @Override
        public long pending() {
            return Backend.this.pending();
        }

        @Override
        public void acceptInput() {
            if (!gone) {
                resumeInput();
            }
        }

        @Override
        public boolean poll() {
            return !gone && Backend.this.poll();
        }

        @Override
        public @Nullable Fd takeDescriptor() {
            return Backend.this.takeDescriptor();
        }

        @Override
        public void whenDrained(Runnable task) {
            Backend.this.whenDrained(task, loop);
        }

        @Override
        public void close() {
            synchronized (Backend.this) {
                if (gone) {
                    return;
                }
                gone = true;
                hold = null;
            }
            serve(mainLoop);
        }
    }

    final String id;
    final EventLoop mainLoop;
    private volatile @Nullable Hold hold;
    private final List<Runnable> drainTasks = new ArrayList<>();
    private @Nullable Fd log;

    /** A view of the array that was delivered from last, for packets come this way. On the loop. */
    private @Nullable ByteBuffer delivered;

    Backend(String id, EventLoop mainLoop) {
        this.id = id;
        this.mainLoop = mainLoop;
    }

    /** Copies output to a file from now on. */
    final void logTo(String path, boolean append) throws ChardevException {
        try {
            int end = append ? O_APPEND() : O_TRUNC();
            log = FileIo.open(path, O_WRONLY() | O_CREAT() | O_CLOEXEC() | end, LOG_MODE);
        } catch (LinuxException e) {
            throw new ChardevException("Could not create '" + path + "': " + Errno.text(e.errno()));
        }
    }

    private void log(ByteBuffer data) {
        Fd out = log;
        if (out != null) {
            byte[] copy = new byte[data.remaining()];
            data.get(data.position(), copy);
            FileIo.write(
                    out.number(), copy, 0, copy.length); // A full disk does not stop the device.
        }
    }

    /** Whether there is a peer that output goes to. */
    abstract boolean connected();

    /** Sends or queues all of {@code data}. */
    abstract void send(ByteBuffer data) throws IOException;

    /** Bytes queued. */
    long pending() {
        return 0;
    }

    /** Delivers what is here already; whether that was something. On the loop. */
    boolean poll() {
        return false;
    }

    /** A file descriptor that the peer sent along, or null. Any thread. */
    @Nullable Fd takeDescriptor() {
        return null;
    }

    /** The front end can take more. Any thread. */
    void resumeInput() {}

    /** The loop of the device's callbacks has changed. */
    void serve(EventLoop loop) {}

    @Override
    public final String id() {
        return id;
    }

    @Override
    public boolean frontendOpen() {
        return hold != null;
    }

    @Override
    public boolean movable() {
        return false;
    }

    @Override
    public boolean reconnectable() {
        return false;
    }

    /** Whether chardev-remove must refuse. */
    boolean busy() {
        return hold != null;
    }

    /** Where callbacks run now. */
    final EventLoop loop() {
        Hold h = hold;
        return h == null ? mainLoop : h.loop;
    }

    @Override
    public Attachment attach(ChardevFrontend frontend, EventLoop loop) throws ChardevException {
        Hold h = new Hold(frontend, loop);
        synchronized (this) {
            if (hold != null) {
                throw new ChardevException("chardev '" + id + "' is already in use");
            }
            hold = h;
        }
        serve(loop);
        // Posted, so that the front end has its attachment in hand when it hears of the peer.
        loop.execute(this::tellOpened);
        return h;
    }

    /** Tells the front end of a peer, once. On the loop. */
    final void tellOpened() {
        Hold h = hold;
        if (h != null && !h.told && connected()) {
            h.told = true;
            h.frontend.opened();
        }
    }

    /** Tells the front end that the peer left. On the loop. */
    final void tellClosed() {
        Hold h = hold;
        if (h != null && h.told) {
            h.told = false;
            h.frontend.closed();
        }
    }

    /** Tells the front end, whose loop may be in the middle of another callback. */
    @Override
    public void close() {
        loop().execute(this::tellClosed);
    }

    /** Passes a break on. On the loop. */
    final void tellBroken() {
        Hold h = hold;
        if (h != null) {
            h.frontend.broken();
        }
    }

    /** How much the front end takes now. */
    final int room() {
        Hold h = hold;
        return h == null ? 0 : Math.max(0, h.frontend.canReceive());
    }

    /** Whether the end of the input must wait for the front end. On the loop. */
    final boolean working() {
        Hold h = hold;
        return h != null && h.told && h.frontend.working();
    }

    /** Hands input over, at most {@link #room} bytes. On the loop. */
    final void deliver(byte[] data, int offset, int length) {
        Hold h = hold;
        if (h != null && length > 0) {
            tellOpened();
            ByteBuffer view = delivered;
            delivered = null; // a front end may have more delivered meanwhile
            if (view == null || view.array() != data) {
                view = ByteBuffer.wrap(data);
            }
            h.frontend.receive(view.limit(offset + length).position(offset));
            delivered = view;
        }
    }

    private void whenDrained(Runnable task, EventLoop loop) {
        synchronized (drainTasks) {
            if (pending() > 0) {
                drainTasks.add(() -> loop.execute(task));
                return;
            }
        }
        if (loop.inLoop()) {
            task.run();
        } else {
            loop.execute(task);
        }
    }

    /** Runs what waits for an empty queue. Any thread. */
    final void drained() {
        List<Runnable> ready;
        synchronized (drainTasks) {
            if (drainTasks.isEmpty() || pending() > 0) {
                return;
            }
            ready = List.copyOf(drainTasks);
            drainTasks.clear();
        }
        ready.forEach(Runnable::run);
    }
}
