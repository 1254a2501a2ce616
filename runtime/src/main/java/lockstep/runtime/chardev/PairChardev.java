package lockstep.runtime.chardev;

import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One end of a pair within the process: what is written to the one is read from the other, in order, without a call of
 * the host. What the reader does not take yet waits in memory; the writer sees how much that is. Any thread.
 */
final class PairChardev extends Backend {
    private static final int FIRST = 16 << 10;

    private volatile @Nullable PairChardev other;
    private final String name;

    // What was written to the other end and has not been looked at. Under this monitor.
    private byte[] arrived = new byte[FIRST];
    private int arrivedBytes;
    private boolean posted;

    // What is being handed over. Under the lock.
    private final ReentrantLock handing = new ReentrantLock();
    private byte[] current = new byte[FIRST];
    private int at;
    private int end;

    /** Bytes of both. */
    private volatile int waiting;

    /** An end without the other one, which comes later and names this one. */
    PairChardev(String id, ChardevHost host) {
        super(id, host.mainLoop());
        name = "pair";
    }

    /**
     * The other end of one that is there.
     *
     * @throws ChardevException when it has one already
     */
    PairChardev(String id, PairChardev first, ChardevHost host) throws ChardevException {
        super(id, host.mainLoop());
        if (first.other != null) {
            throw new ChardevException("pair: chardev '" + first.id + "' has its other end");
        }
        name = "pair:" + first.id;
        other = first;
        first.other = this;
        first.loop().execute(first::tellOpened);
    }

    @Override
    boolean connected() {
        return other != null;
    }

    @Override
    void send(ByteBuffer data) throws IOException {
        PairChardev to = other;
        if (to == null) {
            throw new ChardevException("chardev '" + id + "' has no peer");
        }
        to.take(data);
    }

    private void take(ByteBuffer data) {
        int bytes = data.remaining();
        synchronized (this) {
            if (arrived.length - arrivedBytes < bytes) {
                arrived =
                        Arrays.copyOf(arrived, Math.max(2 * arrived.length, arrivedBytes + bytes));
            }
            data.get(arrived, arrivedBytes, bytes);
            arrivedBytes += bytes;
            waiting = waiting + bytes;
        }
        post();
    }

    private void post() {
        synchronized (this) {
            if (posted) {
                return;
            }
            posted = true;
        }
        loop().execute(
                        () -> {
                            synchronized (this) {
                                posted = false;
                            }
                            hand();
                        });
    }

    /** Hands over what waits, as far as the front end takes it; whether it took something. On the loop. */
    private boolean hand() {
        boolean some = false;
        handing.lock();
        try {
            while (next()) {
                int bytes = Math.min(room(), end - at);
                if (bytes == 0) {
                    break;
                }
                at += bytes;
                synchronized (this) {
                    waiting = waiting - bytes;
                }
                some = true;
                deliver(current, at - bytes, bytes);
            }
        } finally {
            handing.unlock();
        }
        PairChardev writer = other;
        if (some && writer != null) {
            writer.drained();
        }
        return some;
    }

    /** Takes the next bytes up; whether there are some. Under the lock. */
    private boolean next() {
        if (at < end) {
            return true;
        }
        synchronized (this) {
            byte[] free = current;
            current = arrived;
            at = 0;
            end = arrivedBytes;
            arrived = free;
            arrivedBytes = 0;
        }
        return end > 0;
    }

    @Override
    boolean poll() {
        return hand();
    }

    @Override
    void resumeInput() {
        if (waiting > 0) {
            post();
        }
    }

    @Override
    void serve(EventLoop loop) {
        resumeInput();
    }

    @Override
    long pending() {
        PairChardev to = other;
        return to == null ? 0 : to.waiting;
    }

    @Override
    public boolean movable() {
        return true;
    }

    @Override
    public boolean reconnectable() {
        return true;
    }

    @Override
    public String type() {
        return "chardev-pair";
    }

    @Override
    public String filename() {
        return name;
    }

    @Override
    public void close() {
        PairChardev gone = other;
        other = null;
        if (gone != null) {
            gone.other = null;
            gone.loop().execute(gone::tellClosed);
            gone.drained();
        }
        super.close();
    }
}
