package lockstep.block;

import lockstep.block.BackendRequest.Kind;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.node.RootUser;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.IoUring;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;

/**
 * The handle through which a guest device, an export or a drive does I/O on a tree of nodes (QEMU:
 * BlockBackend).
 *
 * <p>Requests may be submitted from any thread; the kernel does them, or worker threads of the backend's
 * own, in no particular order; their completion runs on the main loop with the machine
 * lock held, or on a loop of the owner's choice. Buffers belong to the request until it completes.
 *
 * <p>For a backend with a device the drive's error policy is applied here: a failed request that
 * the policy ignores completes with 0; one that stops the machine is kept, and is submitted again
 * when the machine runs; the device sees only the end.
 */
public final class BlockBackend implements RootUser {
    /** From when on the user is told what the machine waits for. */
    private static final long LONG = TimeUnit.SECONDS.toNanos(5);

    private final Backends backends;
    private final BlockGraph graph;
    private final RequestQueue requests;
    private final ErrorPolicy errors;
    private final BackendStats stats = new BackendStats();
    private String name;
    private volatile @Nullable ChildEdge edge;
    private volatile @Nullable String device;
    private volatile boolean writethrough;
    private boolean readOnlyWhenEmpty = true;
    private boolean removable;
    private @Nullable Tray tray;
    private @Nullable Runnable mediumChange;
    private boolean hasDriveInfo;
    private int permissions;
    private int shared = Permission.ALL;

    /** What the device will share once the machine runs; negative when that is what it shares. */
    private int sharedWhenRunning = -1;

    private volatile ThrottleGroup.@Nullable Member throttle;

    /** For {@link Backends#add}. */
    BlockBackend(Backends backends, String name) {
        this.backends = backends;
        this.graph = backends.graph();
        this.name = name;
        this.errors = new ErrorPolicy(this, backends.host());
        this.requests =
                new RequestQueue(
                        graph.workerThreads(),
                        backends.host()::post,
                        new Work(),
                        graph.drain(),
                        errors);
    }

    /** The drive's id, "" when there is none (any more). */
    @Override
    public String name() {
        return name;
    }

    /** What a device shows of it: the drive's id, else the name of the node in it, "" for neither. */
    public String shownName() {
        BlockNode medium = root();
        return name.isEmpty() && medium != null ? medium.name() : name;
    }

    /** Takes the name away, as deleting a drive does. */
    public void forgetName() {
        name = "";
    }

    public BlockGraph graph() {
        return graph;
    }

    @Override
    public @Nullable BlockNode root() {
        ChildEdge current = edge;
        return current == null ? null : current.node();
    }

    /** Whether there is a medium. */
    public boolean present() {
        return edge != null;
    }

    /** Whether writes are refused. */
    public boolean readOnly() {
        BlockNode root = root();
        return root == null || root.readOnly();
    }

    /** Whether the last medium was read only, which the next one is to be as well if nobody says otherwise. */
    public boolean readOnlyWhenEmpty() {
        return readOnlyWhenEmpty;
    }

    /** Sets what {@link #readOnlyWhenEmpty} answers while there was no medium. */
    public void setReadOnlyWhenEmpty(boolean value) {
        readOnlyWhenEmpty = value;
    }

    /** The medium's length in bytes, 0 without medium or when its children disagree. */
    public long length() {
        try {
            ChildEdge medium = enter();
            try {
                return medium.length();
            } finally {
                graph.drain().leave(medium);
            }
        } catch (BlockException e) {
            return 0;
        }
    }

    /** Puts a medium in. The backend takes its own reference. */
    public void insert(BlockNode node) throws BlockException {
        int wanted = permissions;
        if (mediumChange != null && !node.readOnly()) {
            wanted |= Permission.WRITE;
        }
        ChildEdge medium = graph.attach(this, "root", Role.ROOT, node, wanted, shared);
        permissions = wanted;
        medium.limit(throttle);
        edge = medium;
        mediumChanged();
    }

    private void mediumChanged() {
        Runnable listener = mediumChange;
        if (listener != null) {
            listener.run();
        }
    }

    /** Takes the medium out; its nodes are closed when nobody else uses them. */
    public void eject() {
        ChildEdge old = edge;
        if (old != null) {
            drain();
            readOnlyWhenEmpty = old.node().readOnly();
            edge = null;
            graph.detach(old);
            if (mediumChange != null) {
                permissions &= ~Permission.WRITE;
            }
            mediumChanged();
        }
    }

    /** Says what the owner does with the medium and what it lets others do. */
    public void setPermissions(int permissions, int shared) throws BlockException {
        ChildEdge current = edge;
        if (current != null) {
            graph.setPermissions(current, permissions, shared);
        }
        this.permissions = permissions;
        this.shared = shared;
    }

    /** Takes more permissions besides those that there are. */
    public void alsoTake(int more) throws BlockException {
        setPermissions(permissions | more, shared);
    }

    /**
     * A guest device takes the backend.
     *
     * @param id the device's id or QOM path
     * @param removable whether its medium can be changed
     * @param readOnly the device never writes
     */
    public void attachDevice(String id, boolean removable, boolean readOnly) throws BlockException {
        attachDevice(id, removable, readOnly, false);
    }

    /**
     * As {@link #attachDevice(String, boolean, boolean)}.
     *
     * @param shareWrite whether others may write to the node too
     */
    public void attachDevice(String id, boolean removable, boolean readOnly, boolean shareWrite)
            throws BlockException {
        String owner = device;
        if (owner != null) {
            throw new BlockException(
                    Errno.EBUSY, "Drive '" + name + "' is already in use by another block device");
        }
        device = id;
        int sharing =
                Permission.CONSISTENT_READ
                        | Permission.WRITE_UNCHANGED
                        | Permission.RESIZE
                        | (shareWrite ? Permission.WRITE : 0);
        // Whoever sends a machine may send its disks by an export of ours before it runs.
        BlockNode root = root();
        boolean arriving = root != null && !root.active();
        try {
            setPermissions(
                    Permission.CONSISTENT_READ | (readOnly ? 0 : Permission.WRITE),
                    arriving ? Permission.ALL : sharing);
        } catch (BlockException e) {
            device = null;
            throw e;
        }
        sharedWhenRunning = arriving ? sharing : -1;
        this.removable = removable;
    }

    /**
     * The machine runs: the device keeps others out that must not be there beside it.
     *
     * @throws BlockException when somebody is; all is as before then
     */
    public void machineResumed() throws BlockException {
        int sharing = sharedWhenRunning;
        if (sharing >= 0) {
            sharedWhenRunning = -1;
            setPermissions(permissions, sharing);
        }
    }

    /** The guest device lets the backend go; an anonymous backend is closed. */
    public void detachDevice() {
        drain();
        device = null;
        sharedWhenRunning = -1;
        tray = null;
        mediumChange = null;
        try {
            setPermissions(0, Permission.ALL);
        } catch (BlockException e) {
            throw new IllegalStateException("dropping permissions failed", e);
        }
        if (name.isEmpty()) {
            close();
        }
    }

    /** The id or QOM path of the guest device, null when there is none. */
    public @Nullable String device() {
        return device;
    }

    /** Whether the medium can be changed; also true for a backend without device. */
    public boolean removable() {
        return device == null || removable;
    }

    /** The device has a tray. */
    public void setTray(Tray tray) {
        this.tray = tray;
    }

    /** The device has no tray: it takes media at any time, writes to those that let it, and looks at each new one. */
    public void onMediumChange(Runnable listener) {
        mediumChange = listener;
    }

    /** Whether the device can be given another medium. */
    public boolean takesMedia() {
        return tray != null || mediumChange != null;
    }

    /** The device's tray, null when it has none. */
    public @Nullable Tray tray() {
        return tray;
    }

    /** The tray moved, by the guest's or by the user's hand. */
    public void trayMoved(boolean open) {
        backends.host().trayMoved(this, open);
    }

    /** Whether the backend came from a drive option and not from a device that named a node. */
    public boolean hasDriveInfo() {
        return hasDriveInfo;
    }

    public void setHasDriveInfo(boolean value) {
        hasDriveInfo = value;
    }

    /** What becomes of requests that fail. */
    public ErrorPolicy errors() {
        return errors;
    }

    /**
     * With writethrough every write is flushed before it completes (the guest's write cache is
     * off).
     */
    public void setWritethrough(boolean value) {
        writethrough = value;
    }

    public boolean writethrough() {
        return writethrough;
    }

    /** The group that limits its reads and writes, null for no limits. */
    public ThrottleGroup.@Nullable Member throttle() {
        return throttle;
    }

    /** Sets what limits its reads and writes; those that wait for the old limits go on. */
    public void setThrottle(ThrottleGroup.@Nullable Member member) {
        ThrottleGroup.Member old = throttle;
        throttle = member;
        ChildEdge medium = edge;
        if (medium != null) {
            medium.limit(member);
        }
        if (old != null) {
            old.hurry();
            old.close();
        }
    }

    public BackendStats stats() {
        return stats;
    }

    /**
     * Has the requests that follow complete on a loop, without the machine lock; null for the main loop, with it, as at
     * first. Nothing is under way.
     */
    public void completeOn(@Nullable EventLoop loop) {
        requests.completeOn(loop);
    }

    private BackendRequest request(Kind kind, long offset, long length, Completion done) {
        return requests.request().begin(kind, offset, length, done);
    }

    private final class Work implements RequestQueue.Work {
        @Override
        public @Nullable IoUring ring(@Nullable EventLoop loop) {
            return graph.rings().of(loop);
        }

        @Override
        public boolean beginAtOnce(BackendRequest request, @Nullable IoUring ring) {
            ChildEdge medium = edge;
            return medium != null && request.beginAtOnce(medium, ring);
        }

        @Override
        public void perform(BackendRequest request) {
            try {
                inside(request::perform);
            } catch (BlockException e) {
                request.errno(e.errno());
            } catch (RuntimeException | Error e) {
                // A driver's bug must not lose the request: the guest would hang.
                request.errno(Errno.EIO);
                InternalFailure.log("a block request", e);
            }
        }

        @Override
        public void account(BackendRequest request) {
            request.account(stats);
        }
    }

    /** Reads {@code destination.byteSize()} bytes at a byte offset. */
    public void read(long offset, MemorySegment destination, Completion done) {
        read(offset, Pieces.of(destination), done);
    }

    /** Reads into several places, for example of guest memory, one after the other. */
    public void read(long offset, Pieces destination, Completion done) {
        request(Kind.READ, offset, destination.byteSize(), done).data(destination).submit();
    }

    /** Writes a buffer at a byte offset. */
    public void write(long offset, MemorySegment source, Completion done) {
        write(offset, Pieces.of(source), done);
    }

    /** Writes from several places, for example of guest memory, one after the other. */
    public void write(long offset, Pieces source, Completion done) {
        request(Kind.WRITE, offset, source.byteSize(), done)
                .data(source)
                .durable(writethrough)
                .submit();
    }

    /** Makes a range read as zeroes. */
    public void writeZeroes(long offset, long length, boolean mayUnmap, Completion done) {
        request(Kind.WRITE_ZEROES, offset, length, done)
                .mayUnmap(mayUnmap)
                .durable(writethrough)
                .submit();
    }

    /** Tells the tree that a range is not needed any more. */
    public void discard(long offset, long length, Completion done) {
        request(Kind.DISCARD, offset, length, done).submit();
    }

    /** Makes all completed writes durable. */
    public void flush(Completion done) {
        request(Kind.FLUSH, 0, 0, done).submit();
    }

    /** A request on the caller's own thread: for start-up code and exports, never a vCPU. */
    public void readBlocking(long offset, MemorySegment destination) throws BlockException {
        inside(medium -> medium.read(offset, destination));
    }

    /** A write on the caller's own thread: for exports and tools, never a vCPU. */
    public void writeBlocking(long offset, MemorySegment source) throws BlockException {
        inside(medium -> medium.write(offset, source));
    }

    /** Zeroes on the caller's own thread: for exports and tools, never a vCPU. */
    public void writeZeroesBlocking(long offset, long length, boolean mayUnmap)
            throws BlockException {
        inside(medium -> medium.writeZeroes(offset, length, mayUnmap));
    }

    /** A discard on the caller's own thread: for exports and tools, never a vCPU. */
    public void discardBlocking(long offset, long length) throws BlockException {
        inside(medium -> medium.discard(offset, length));
    }

    /** Asks for the status on the caller's own thread: for exports and tools, never a vCPU. */
    public BlockStatus statusBlocking(long offset, long length) throws BlockException {
        ChildEdge medium = enter();
        try {
            return medium.status(offset, Math.min(length, medium.length() - offset));
        } finally {
            graph.drain().leave(medium);
        }
    }

    /**
     * Which layer of the tree has bytes.
     *
     * @param layer 1 for the topmost, 0 when none has them
     */
    public record Depth(long length, int layer) {}

    /** Which layer has the bytes from an offset on, on the caller's own thread; at least one byte. */
    public Depth depthBlocking(long offset, long length) throws BlockException {
        ChildEdge medium = enter();
        try {
            ChildEdge edge = medium;
            long run = Math.min(length, medium.length() - offset);
            for (int layer = 1; ; layer++) {
                long there = edge.length() - offset;
                if (there <= 0) {
                    // What a layer is too short for reads as zeroes because of it.
                    return new Depth(run, layer);
                }
                BlockStatus status = edge.status(offset, Math.min(run, there));
                run = status.length();
                ChildEdge below = status.allocated() ? null : below(edge.node());
                if (below == null) {
                    return new Depth(run, status.allocated() ? layer : 0);
                }
                edge = below;
            }
        } finally {
            graph.drain().leave(medium);
        }
    }

    private static @Nullable ChildEdge below(BlockNode node) {
        for (ChildEdge edge : node.children()) {
            if (edge.role() == Role.BACKING || edge.role() == Role.FILTERED) {
                return edge;
            }
        }
        return null;
    }

    /** A flush on the caller's own thread: for exports and tools, never a vCPU. */
    public void flushBlocking() throws BlockException {
        inside(ChildEdge::flush);
    }

    private interface Access {
        void on(ChildEdge medium) throws BlockException;
    }

    private void inside(Access access) throws BlockException {
        ChildEdge medium = enter();
        try {
            access.on(medium);
        } finally {
            graph.drain().leave(medium);
        }
    }

    /** Enters the graph by the medium, to be left by it. */
    private ChildEdge enter() throws BlockException {
        ChildEdge medium = edge;
        if (medium == null || !graph.drain().enter(medium)) {
            throw new BlockException(Errno.ENOMEDIUM);
        }
        return medium;
    }

    /**
     * Waits until all submitted requests are completed, running their completions on this thread; the user is told when
     * that takes long.
     * Requests kept for a retry are not waited for. The caller holds the machine lock and is not
     * inside the graph.
     */
    public void drain() {
        if (!drain(LONG)) {
            backends.host()
                    .waiting(
                            describe()
                                    + " has requests that do not end; yank or quit ends the wait");
            drain(Long.MAX_VALUE / 2);
        }
    }

    /** Like {@link #drain()}, for at most so many nanoseconds. False when requests are left. */
    public boolean drain(long patience) {
        ThrottleGroup.Member member = throttle;
        if (member != null) {
            member.hurry();
        }
        try {
            graph.rings().help();
            return requests.drain(patience);
        } finally {
            graph.rings().enough();
            if (member != null) {
                member.calm();
            }
        }
    }

    /**
     * How many submitted requests are not completed; completions that are due run first, on this thread, with the
     * machine lock held.
     */
    public int underWay() {
        return requests.underWay();
    }

    /** A number of requests in words. */
    public static String inFlight(int requests) {
        return requests + (requests == 1 ? " request" : " requests") + " in flight";
    }

    /** Drains and leaves the graph. */
    public void close() {
        eject();
        setThrottle(null);
        backends.remove(this);
    }

    @Override
    public String describe() {
        String owner = device;
        if (owner != null) {
            return "block device '" + owner + "'";
        }
        return name.isEmpty() ? "an unnamed block device" : "block device '" + name + "'";
    }
}
