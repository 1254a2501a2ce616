package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;

import java.lang.foreign.MemorySegment;
import java.util.List;

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
    private List<MemorySegment> parts = List.of();
    private MemorySegment buffer = MemorySegment.NULL;
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
    BackendRequest data(MemorySegment whole) {
        buffer = whole;
        return this;
    }

    /** Its data in pieces, one after the other. */
    BackendRequest data(List<MemorySegment> pieces) {
        if (pieces.size() == 1) {
            buffer = pieces.getFirst();
        } else {
            parts = List.copyOf(pieces);
        }
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

    @Override
    public void run() {
        queue.work(this);
    }

    void perform(ChildEdge medium) throws BlockException {
        switch (kind) {
            case READ -> read(medium);
            case WRITE -> write(medium);
            case WRITE_ZEROES -> medium.writeZeroes(offset, length, mayUnmap);
            case DISCARD -> medium.discard(offset, length);
            case FLUSH -> medium.flush();
        }
        if (durable) {
            medium.flush();
        }
    }

    private void read(ChildEdge medium) throws BlockException {
        if (parts.isEmpty()) {
            medium.read(offset, buffer);
            return;
        }
        try (Buffers.Lease whole = Buffers.take(length)) {
            medium.read(offset, whole.segment());
            long at = 0;
            for (MemorySegment part : parts) {
                part.copyFrom(whole.segment().asSlice(at, part.byteSize()));
                at += part.byteSize();
            }
        }
    }

    private void write(ChildEdge medium) throws BlockException {
        if (parts.isEmpty()) {
            medium.write(offset, buffer);
            return;
        }
        try (Buffers.Lease whole = Buffers.take(length)) {
            long at = 0;
            for (MemorySegment part : parts) {
                whole.segment().asSlice(at, part.byteSize()).copyFrom(part);
                at += part.byteSize();
            }
            medium.write(offset, whole.segment());
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
