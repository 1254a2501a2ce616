package lockstep.block.blkdebug;

import lockstep.api.BlkdebugEvent;
import lockstep.api.BlkdebugIOType;
import lockstep.api.BlkdebugInjectErrorOptions;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Driver {@code blkdebug}. Its rules and who is held up are under its own lock. */
public final class BlkdebugNode extends FilterNode {
    private static final long FIRST_STATE = 1;

    /** A place at which the next request is to be held up. */
    private record Break(BlkdebugEvent event, String tag) {}

    private final @Nullable String config;
    private final boolean onlyConfig;
    private final int taken;
    private final int unshared;
    private final List<Break> breaks = new ArrayList<>();
    private final List<Break> heldUp = new ArrayList<>();
    private Rules rules;
    private List<BlkdebugInjectErrorOptions> active = new ArrayList<>();
    private long state = FIRST_STATE;
    private boolean over;

    private BlkdebugNode(BlockGraph graph, String name, boolean readOnly, Options options) {
        super(graph, "blkdebug", name, readOnly);
        config = options.config;
        onlyConfig = options.onlyConfig;
        taken = options.taken;
        unshared = options.unshared;
        rules = options.rules;
    }

    /**
     * How one is made.
     *
     * @param rules those of options and file
     * @param config the file with rules, or null
     * @param onlyConfig no options but these say how it works
     * @param taken permissions that it takes besides those of its users
     * @param unshared permissions that it does not share
     */
    public record Options(
            Rules rules, @Nullable String config, boolean onlyConfig, int taken, int unshared) {}

    /** Makes one above a node that the caller opened, and enters it. */
    public static BlkdebugNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            Options options,
            BlockNode image)
            throws BlockException {
        BlkdebugNode node = new BlkdebugNode(graph, name, readOnly, options);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "image", Role.FILTERED, image);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        node.happens(BlkdebugEvent.NONE);
        return node;
    }

    /** Has the next request that comes to an event wait there for {@link #resume}. */
    public synchronized void breakAt(BlkdebugEvent event, String tag) {
        breaks.add(new Break(event, tag));
    }

    /**
     * Lets one request go on that waits by that name, or is still on its way there: requests run on threads of their
     * own. False if there is no such place.
     */
    public synchronized boolean resume(String tag) {
        for (Iterator<Break> i = heldUp.iterator(); i.hasNext(); ) {
            if (i.next().tag.equals(tag)) {
                i.remove();
                notifyAll();
                return true;
            }
        }
        for (Break b : breaks) {
            if (b.tag.equals(tag)) {
                return breaks.remove(b);
            }
        }
        return false;
    }

    /** Forgets a place, and lets go on who waits there; false if there is no such place. */
    public synchronized boolean removeBreak(String tag) {
        boolean any = breaks.removeIf(b -> b.tag.equals(tag));
        any |= heldUp.removeIf(b -> b.tag.equals(tag));
        notifyAll();
        return any;
    }

    /** Whether a request waits by that name. */
    public synchronized boolean heldUp(String tag) {
        return heldUp.stream().anyMatch(b -> b.tag.equals(tag));
    }

    private synchronized void happens(BlkdebugEvent event) {
        List<BlkdebugInjectErrorOptions> errors = rules.errors(event, state);
        if (!errors.isEmpty()) {
            active = new ArrayList<>(errors);
        }
        state = rules.next(event, state);
        for (Break b : breaks.stream().filter(b -> b.event == event).toList()) {
            if (!over) {
                breaks.remove(b);
                // Two of one name are two.
                Break mine = new Break(b.event, b.tag);
                heldUp.add(mine);
                await(mine);
            }
        }
    }

    private void await(Break mine) {
        boolean interrupted = false;
        while (!over && heldUp.stream().anyMatch(b -> b == mine)) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized void check(BlkdebugIOType kind, long offset, long length)
            throws BlockException {
        for (BlkdebugInjectErrorOptions error : active) {
            if (!Rules.hits(error, kind, offset, length)) {
                continue;
            }
            Long given = error.errno();
            int errno = given == null ? Errno.EIO : given.intValue();
            if (errno == 0) {
                return;
            }
            if (Boolean.TRUE.equals(error.once())) {
                active.remove(error);
                rules = rules.without(error);
            }
            throw new BlockException(errno);
        }
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        happens(BlkdebugEvent.READ_AIO);
        check(BlkdebugIOType.READ, offset, destination.byteSize());
        super.read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        happens(BlkdebugEvent.WRITE_AIO);
        happens(BlkdebugEvent.PWRITEV);
        check(BlkdebugIOType.WRITE, offset, source.byteSize());
        super.write(offset, source);
        happens(BlkdebugEvent.PWRITEV_DONE);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        happens(BlkdebugEvent.PWRITEV_ZERO);
        check(BlkdebugIOType.WRITE_ZEROES, offset, length);
        super.writeZeroes(offset, length, mayUnmap);
        happens(BlkdebugEvent.PWRITEV_DONE);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        check(BlkdebugIOType.DISCARD, offset, length);
        super.discard(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        happens(BlkdebugEvent.FLUSH_TO_OS);
        happens(BlkdebugEvent.FLUSH_TO_DISK);
        check(BlkdebugIOType.FLUSH, 0, 0);
        super.flush();
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        check(BlkdebugIOType.BLOCK_STATUS, offset, length);
        return super.status(offset, length);
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return super.childPermissions(edge, needed, shared) | taken;
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        return super.childShared(edge, needed, shared) & ~unshared;
    }

    /** Nobody is held up any more. */
    @Override
    protected synchronized void cut() {
        over = true;
        notifyAll();
    }

    @Override
    protected void close() {
        cut();
    }

    @Override
    public String plainFilename() {
        String image = children().isEmpty() ? "" : file().node().plainFilename();
        return image.isEmpty() || !onlyConfig
                ? ""
                : "blkdebug:" + (config == null ? "" : config) + ":" + image;
    }
}
