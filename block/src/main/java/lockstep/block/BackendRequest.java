package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Drain;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.IoUring;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One request of a backend, from its submission to its completion; then it is used again for another one. Where its bytes
 * are known at once the kernel or a server does it ({@link Route}), else a thread that may block.
 */
final class BackendRequest implements Runnable {
    /** Places in which the bytes of one that the kernel does are at most. */
    private static final int MOST_PARTS = 16;

    /** What to do. */
    enum Kind {
        READ,
        WRITE,
        WRITE_ZEROES,
        DISCARD,
        FLUSH
    }

    private final RequestQueue queue;
    private final Drain drain;
    private Part[] parts = {new Part()};

    /** Parts of it that the kernel or a server has. */
    private final AtomicInteger underWay = new AtomicInteger();

    /** Some part was not done wholly. */
    private volatile boolean undone;

    private Kind kind = Kind.FLUSH;
    private long offset;
    private long length;
    private @Nullable Completion done;
    private long started;
    private Pieces data = Pieces.NONE;
    private boolean durable;
    private boolean mayUnmap;
    private int errno;

    /** The one behind it where it is in a row of ended ones. */
    @Nullable BackendRequest next;

    /** Where it is inside while the kernel or a server has it. */
    private @Nullable ChildEdge inside;

    /** Nothing yet. */
    BackendRequest(RequestQueue queue, Drain drain) {
        this.queue = queue;
        this.drain = drain;
    }

    /** Becomes a request on so many bytes. */
    BackendRequest begin(Kind kind, long offset, long length, Completion done) {
        this.kind = kind;
        this.offset = offset;
        this.length = length;
        this.done = done;
        started = System.nanoTime();
        durable = false;
        mayUnmap = false;
        errno = 0;
        return this;
    }

    /** Its data. */
    BackendRequest data(Pieces pieces) {
        data = pieces;
        return this;
    }

    /** Whether what it writes is flushed before it completes. */
    BackendRequest durable(boolean value) {
        durable = value;
        return this;
    }

    /** Whether zeroes may give storage back. */
    BackendRequest mayUnmap(boolean value) {
        mayUnmap = value;
        return this;
    }

    boolean isRead() {
        return kind == Kind.READ;
    }

    /** 0 when it worked so far, else a positive Linux error number. */
    int errno() {
        return errno;
    }

    void errno(int value) {
        errno = value;
    }

    /** Begins, or begins again. Any thread. */
    void submit() {
        queue.submit(this);
    }

    /** Has the kernel, or a server, do it; false when a thread has to. */
    boolean beginAtOnce(ChildEdge medium, @Nullable IoUring ring) {
        boolean write = kind == Kind.WRITE;
        if (durable || !write && kind != Kind.READ || !drain.enterAtOnce(medium)) {
            return false;
        }
        int count = findParts(medium, write);
        if (count == 0) {
            drain.leave(medium);
            return false;
        }
        inside = medium;
        undone = false;
        underWay.set(count);
        // Behind the last of them all this may be the next request's already.
        Part[] all = parts;
        for (int i = 0; i < count; i++) {
            all[i].begin(ring);
        }
        return true;
    }

    /** Finds the ways of all its bytes; the number of their parts, 0 when there is a byte without. */
    private int findParts(ChildEdge medium, boolean write) {
        int count = 0;
        try {
            long done = 0;
            while (done < length && count < MOST_PARTS) {
                if (count == parts.length) {
                    Part[] more = Arrays.copyOf(parts, count + 1);
                    more[count] = new Part();
                    parts = more;
                }
                Route route = parts[count].route;
                if (!route.find(medium, offset + done, data, done, write)) {
                    break;
                }
                count++;
                done += route.length();
            }
            if (done == length) {
                return count;
            }
        } catch (RuntimeException | Error e) {
            // A driver's bug must not lose the request: the guest would hang.
            InternalFailure.log("the quick way of a block request", e);
        }
        for (int i = 0; i < count; i++) {
            parts[i].route.over();
        }
        return 0;
    }

    /** Bytes of it that have one way. */
    private final class Part implements IoUring.Completion {
        private final Route route = new Route();

        private void begin(@Nullable IoUring ring) {
            boolean begun = false;
            try {
                begun = route.submit(ring, this);
            } catch (RuntimeException | Error e) {
                InternalFailure.log("the quick way of a block request", e);
            }
            if (!begun) {
                completed(-Errno.EAGAIN);
            }
        }

        /** The kernel or the server is done with it. */
        @Override
        public void completed(int result) {
            if (result != route.length()) {
                undone = true;
            }
            try {
                route.over();
            } catch (RuntimeException | Error e) {
                InternalFailure.log("the end of a block request", e);
            }
            if (underWay.decrementAndGet() == 0) {
                partsOver();
            }
        }
    }

    /** What was not done wholly is done once more, by a thread that also finds out why. */
    private void partsOver() {
        ChildEdge medium = inside;
        inside = null;
        if (medium != null) {
            drain.leave(medium);
        }
        if (undone) {
            queue.work(this);
        } else {
            queue.over(this);
        }
    }

    @Override
    public void run() {
        queue.perform(this);
    }

    void perform(ChildEdge medium) throws BlockException {
        switch (kind) {
            case READ -> medium.read(offset, data);
            case WRITE -> medium.write(offset, data);
            case WRITE_ZEROES -> medium.writeZeroes(offset, length, mayUnmap);
            case DISCARD -> medium.discard(offset, length);
            case FLUSH -> medium.flush();
        }
        if (durable) {
            medium.flush();
        }
    }

    void account(BackendStats stats) {
        BackendStats.Counter counter =
                switch (kind) {
                    case READ -> stats.read;
                    case WRITE, WRITE_ZEROES -> stats.write;
                    case DISCARD -> stats.unmap;
                    case FLUSH -> stats.flush;
                };
        counter.add(length, System.nanoTime() - started, errno != 0);
    }

    /** Tells its owner, and may be used for another one meanwhile. */
    void complete() {
        Completion owner = done;
        int result = errno;
        done = null;
        data = Pieces.NONE;
        queue.unused(this);
        if (owner != null) {
            owner.complete(result);
        }
    }
}
