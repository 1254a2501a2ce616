package lockstep.block.node;

import lockstep.runtime.linux.ImageFile;
import lockstep.runtime.linux.IoUring;

import org.jspecify.annotations.Nullable;

/**
 * The way of one request, or of the first part of it, down a tree to the one place in one file, or at one server, where all
 * its bytes are, if there is such a place and it can be found at once: without waiting, and without changing anything. Most reads and overwrites have
 * one. The kernel, or the server, then does the work while no thread waits for it. Whatever is in the way, or goes wrong, is no error: the request is
 * made the usual way, by a thread that may block, which also finds the right words for what is wrong.
 *
 * <p>What a node passes on it may {@link #hold} for as long as the request is under way. Used again; by one thread at a
 * time.
 */
public final class Route {
    /** What a driver keeps while the request is under way, which anybody may end. */
    public interface Held {
        /** The request is over. */
        void over();
    }

    /** What takes requests for another place than a file of the host's, and tells of their ends, without waiting. */
    public interface Remote {
        /** As {@link ImageFile#submit}; false when it cannot take the request now. Any thread. */
        boolean submit(boolean write, long offset, Pieces data, IoUring.Completion completion);
    }

    private static final int DEEPEST = 16;

    private final BlockNode[] nodes = new BlockNode[DEEPEST];
    private final long[] offsets = new long[DEEPEST];
    private final TrackedRequests.@Nullable Entry[] tracked = new TrackedRequests.Entry[DEEPEST];
    private final @Nullable Held[] held = new Held[DEEPEST];
    private int depth;
    private boolean write;
    private long length;
    private long from;
    private Pieces data = Pieces.NONE;
    private @Nullable ImageFile file;
    private @Nullable Remote remote;

    /** Whether the kernel may have moved something. */
    private boolean begun;

    /** Whether the request writes. */
    public boolean write() {
        return write;
    }

    /** Where in the node that is asked it begins. */
    public long offset() {
        return offsets[depth - 1];
    }

    /** Bytes of the request, or of the part of it that has this way. */
    public long length() {
        return length;
    }

    /** Only so many bytes have this way; another one is looked for the rest. */
    public void shorten(long length) {
        this.length = length;
    }

    /** Whether place, length and memory are aligned to a power of two. */
    public boolean aligned(int alignment) {
        return ((offset() | from | length) & alignment - 1) == 0 && data.aligned(alignment);
    }

    /**
     * Finds the way of the bytes behind the first {@code from} of some memory, or of the first of them: {@link #length}
     * says how many. False when there is none, and then nothing is held.
     *
     * @param offset where in the node those bytes are
     */
    public boolean find(ChildEdge edge, long offset, Pieces data, long from, boolean write) {
        this.write = write;
        this.data = data;
        this.from = from;
        this.length = data.byteSize() - from;
        if (length > 0 && into(edge, offset)) {
            return true;
        }
        over();
        return false;
    }

    /** All of it is one request on a child. */
    public boolean into(ChildEdge edge, long offset) {
        if (depth == DEEPEST || !edge.plain(offset, length, write)) {
            return false;
        }
        BlockNode node = edge.node;
        if (write && node.exclusion(offset, length) != 0) {
            return false;
        }
        TrackedRequests requests = node.tracked();
        TrackedRequests.Entry entry = null;
        if (requests != null) {
            entry = requests.beginAtOnce(offset, length);
            if (entry == null) {
                return false;
            }
        }
        nodes[depth] = node;
        offsets[depth] = offset;
        tracked[depth] = entry;
        depth++;
        return node.route(this);
    }

    /** The node that is asked keeps this until the request is over. */
    public void hold(Held what) {
        held[depth - 1] = what;
    }

    /** All of it is in this file, at the {@link #offset()} of the node that is asked. */
    public boolean ends(ImageFile file) {
        this.file = file;
        return true;
    }

    /** All of it is at the {@link #offset()} of the node that is asked, where this one takes it. */
    public boolean ends(Remote remote) {
        this.remote = remote;
        return true;
    }

    /** Begins; false when the ring, for a file, or the remote cannot take it now. */
    public boolean submit(@Nullable IoUring ring, IoUring.Completion completion) {
        ImageFile at = file;
        Remote far = remote;
        long offset = offsets[depth - 1];
        // Behind a success all this is the next request's already.
        begun = true;
        if (far != null
                ? far.submit(write, offset, data.slice(from, length), completion)
                : at != null
                        && ring != null
                        && at.submit(
                                ring, write, offset, data.segments(), from, length, completion)) {
            return true;
        }
        begun = false;
        return false;
    }

    /** The request is over, if it worked or not. */
    public void over() {
        while (depth > 0) {
            depth--;
            BlockNode node = nodes[depth];
            if (write && begun) {
                node.written(offsets[depth], length);
            }
            TrackedRequests.Entry entry = tracked[depth];
            TrackedRequests requests = node.tracked();
            if (entry != null && requests != null) {
                requests.end(entry);
            }
            Held what = held[depth];
            if (what != null) {
                what.over();
                held[depth] = null;
            }
            tracked[depth] = null;
        }
        data = Pieces.NONE;
        file = null;
        remote = null;
        begun = false;
    }
}
