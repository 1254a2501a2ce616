package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.TimeUnit;

/** The first connection of a node, from when a thread begins to make it until the node has it. Any thread. */
public final class NbdDialing {
    private final NbdNode.Options options;
    private final String name;
    private final NbdAttempt attempt = new NbdAttempt();

    // Under this monitor.
    private @Nullable NbdConnection connection;
    private @Nullable BlockException failure;
    private @Nullable NbdNode owner;
    private boolean dropped;

    /** Begins; the name is that of the node. */
    public NbdDialing(NbdNode.Options options, String name) {
        this.options = options;
        this.name = name;
        Thread.ofPlatform().daemon().name("nbd-dial-" + name).start(this::run);
    }

    private void run() {
        NbdConnection made = null;
        BlockException failed = null;
        try {
            made = connect();
        } catch (BlockException e) {
            failed = e;
        } catch (RuntimeException e) {
            failed = new BlockException(Errno.EIO, "Internal error while connecting: " + e, e);
        }
        synchronized (this) {
            connection = made;
            failure = failed;
            notifyAll();
            if (!dropped || made == null) {
                return;
            }
        }
        made.disconnect();
    }

    private NbdConnection connect() throws BlockException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(options.openTimeoutSeconds());
        while (true) {
            try {
                return NbdConnection.open(options, name, this::lost, attempt);
            } catch (BlockException e) {
                if (attempt.isCut() || System.nanoTime() >= deadline) {
                    throw e;
                }
                if (!pause()) {
                    throw e;
                }
            }
        }
    }

    private synchronized boolean pause() {
        try {
            TimeUnit.MILLISECONDS.timedWait(this, 100);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private void lost() {
        NbdNode node;
        synchronized (this) {
            node = owner;
        }
        if (node != null) {
            node.connectionLost();
        }
    }

    /** Ends what is going on: it fails, or the connection is gone. */
    public void cut() {
        attempt.cut();
    }

    /** Waits that many milliseconds at most; whether there is a result then. */
    public synchronized boolean await(long millis) {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        while (connection == null && failure == null) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            try {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return false;
            }
        }
        return true;
    }

    /** Why there is no connection; null when there is one, or no result yet. */
    public synchronized @Nullable BlockException failure() {
        return failure;
    }

    /** Waits for the connection, which is the caller's then. */
    NbdConnection take() throws BlockException {
        if (!await(Long.MAX_VALUE / 1_000_000)) {
            throw new BlockException(Errno.EIO, "interrupted");
        }
        synchronized (this) {
            NbdConnection made = connection;
            if (made == null) {
                throw failure != null ? failure : new BlockException(Errno.EIO, "not connected");
            }
            return made;
        }
    }

    /** The node that has to know when the connection is lost. */
    synchronized void own(NbdNode node) {
        owner = node;
    }

    /** Nobody wants it. */
    public void drop() {
        cut();
        NbdConnection made;
        synchronized (this) {
            dropped = true;
            made = connection;
        }
        if (made != null) {
            made.disconnect();
        }
    }
}
