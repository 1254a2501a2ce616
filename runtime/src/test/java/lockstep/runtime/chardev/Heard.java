package lockstep.runtime.chardev;

import lockstep.runtime.loop.EventLoop;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;

/** A front end that writes down what it is told, and whether that was in order. */
final class Heard implements ChardevFrontend {
    private static final long PATIENCE_MS = 30_000;

    private final EventLoop loop;
    private final ByteArrayOutputStream got = new ByteArrayOutputStream();
    private final List<String> faults = new ArrayList<>();
    private int room;
    private int opened;
    private int closed;

    /** Expects every call on {@code loop} and takes nothing yet. */
    Heard(EventLoop loop) {
        this.loop = loop;
    }

    private void check(boolean good, String fault) {
        if (!good) {
            faults.add(fault);
        }
    }

    @Override
    public synchronized int canReceive() {
        return room;
    }

    @Override
    public synchronized void receive(ByteBuffer data) {
        check(loop.inLoop(), "receive on another thread");
        check(data.remaining() <= room, data.remaining() + " bytes for room of " + room);
        check(opened == closed + 1, "input without a peer");
        room -= data.remaining();
        while (data.hasRemaining()) {
            got.write(data.get());
        }
        notifyAll();
    }

    @Override
    public synchronized void opened() {
        check(loop.inLoop(), "opened on another thread");
        check(opened++ == closed, "opened twice");
        notifyAll();
    }

    @Override
    public synchronized void closed() {
        check(loop.inLoop(), "closed on another thread");
        check(++closed == opened, "closed twice");
        notifyAll();
    }

    /** Takes {@code bytes} from now on. */
    synchronized void allow(int bytes) {
        room = bytes;
    }

    /** All input up to now. */
    synchronized byte[] got() {
        return got.toByteArray();
    }

    /** How much input there was up to now. */
    synchronized int size() {
        return got.size();
    }

    /** How often a peer came, how often one left, and what went wrong, for comparing. */
    synchronized String story() {
        return opened + " opened, " + closed + " closed, " + got.size() + " bytes " + faults;
    }

    /** Waits until peers came that often. */
    void awaitOpened(int times) {
        await(() -> opened >= times);
    }

    /** Waits until peers left that often. */
    void awaitClosed(int times) {
        await(() -> closed >= times);
    }

    /** Waits until that much input came. */
    void awaitSize(int bytes) {
        await(() -> got.size() >= bytes);
    }

    private synchronized void await(BooleanSupplier condition) {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.getAsBoolean()) {
            long left = end - System.currentTimeMillis();
            if (left <= 0) {
                throw new AssertionError("never heard; " + story());
            }
            try {
                wait(left);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }
}
