package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;

/** One request of a backend, from its submission to its completion. */
final class BackendRequest implements Runnable {
    /** What to do. */
    enum Kind {
        READ,
        WRITE,
        WRITE_ZEROES,
        DISCARD,
        FLUSH
    }

    private final RequestQueue queue;
    private final Kind kind;
    private final long offset;
    private final long length;
    private final Completion done;
    private final long started = System.nanoTime();
    private Pieces data = Pieces.NONE;
    private boolean durable;
    private boolean mayUnmap;
    private int errno;

    BackendRequest(RequestQueue queue, Kind kind, long offset, long length, Completion done) {
        this.queue = queue;
        this.kind = kind;
        this.offset = offset;
        this.length = length;
        this.done = done;
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

    @Override
    public void run() {
        queue.work(this);
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

    void complete() {
        done.complete(errno);
    }
}
