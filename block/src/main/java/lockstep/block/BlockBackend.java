package lockstep.block;

import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Role;
import lockstep.block.throttle.ThrottleGroup;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;

/**
 * The handle through which a guest device, an export or a drive does I/O on a tree of nodes (QEMU:
 * BlockBackend).
 *
 * <p>Requests may be submitted from any thread; they run on the graph's worker threads, in no
 * particular order, and their completion runs on the main loop with the machine lock held. Buffers
 * belong to the request until it completes.
 *
 * <p>For a backend with a device the drive's error policy is applied here: a failed request that
 * the policy ignores completes with 0; one that stops the machine is kept, and is submitted again
 * when the machine runs; the device sees only the end.
 */
public final class BlockBackend implements NodeUser {
    /** I/O status that management sees. */
    public enum IoStatus {
        OK,
        FAILED,
        NOSPACE
    }

    private enum Kind {
        READ,
        WRITE,
        WRITE_ZEROES,
        DISCARD,
        FLUSH
    }

    /** From when on the user is told what the machine waits for. */
    private static final long LONG = TimeUnit.SECONDS.toNanos(5);

    private final BlockGraph graph;
    private final Object monitor = new Object();
    private final Queue<Request> finished = new ConcurrentLinkedQueue<>();
    private final Queue<Request> stopped = new ArrayDeque<>();
    private final BackendStats stats = new BackendStats();
    private String name;
    private volatile @Nullable ChildEdge edge;
    private volatile @Nullable String device;
    private volatile boolean writethrough;
    private boolean readOnlyWhenEmpty = true;
    private boolean removable;
    private @Nullable Tray tray;
    private boolean hasDriveInfo;
    private int permissions;
    private int shared = Permission.ALL;
    private ErrorAction readErrorAction = ErrorAction.REPORT;
    private ErrorAction writeErrorAction = ErrorAction.ENOSPC;
    private IoStatus ioStatus = IoStatus.OK;
    private volatile ThrottleGroup.@Nullable Member throttle;
    private int inFlight;

    /**
     * A backend without medium; {@link BlockGraph#addBackend} enters it.
     *
     * @param name the drive's id, or "" for a backend that belongs to a device, an export or a job
     */
    public BlockBackend(BlockGraph graph, String name) {
        this.graph = graph;
        this.name = name;
    }

    /** The drive's id, "" when there is none (any more). */
    public String name() {
        return name;
    }

    /** Takes the name away, as deleting a drive does. */
    public void forgetName() {
        name = "";
    }

    public BlockGraph graph() {
        return graph;
    }

    /** The root node, null without medium. */
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
        BlockNode root = enter();
        try {
            return root == null ? 0 : root.length();
        } catch (BlockException e) {
            return 0;
        } finally {
            graph.leave(root);
        }
    }

    /** Puts a medium in. The backend takes its own reference. */
    public void insert(BlockNode node) throws BlockException {
        edge = graph.attach(this, "root", Role.ROOT, node, permissions, shared);
    }

    /** Takes the medium out; its nodes are closed when nobody else uses them. */
    public void eject() {
        ChildEdge old = edge;
        if (old != null) {
            drain();
            readOnlyWhenEmpty = old.node().readOnly();
            edge = null;
            graph.detach(old);
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
        try {
            setPermissions(
                    Permission.CONSISTENT_READ | (readOnly ? 0 : Permission.WRITE),
                    Permission.CONSISTENT_READ
                            | Permission.WRITE_UNCHANGED
                            | Permission.RESIZE
                            | (shareWrite ? Permission.WRITE : 0));
        } catch (BlockException e) {
            device = null;
            throw e;
        }
        this.removable = removable;
    }

    /** The guest device lets the backend go; an anonymous backend is closed. */
    public void detachDevice() {
        drain();
        device = null;
        tray = null;
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

    /** The device's tray, null when it has none. */
    public @Nullable Tray tray() {
        return tray;
    }

    /** The tray moved, by the guest's or by the user's hand. */
    public void trayMoved(boolean open) {
        graph.host().trayMoved(this, open);
    }

    /** Whether the backend came from a drive option and not from a device that named a node. */
    public boolean hasDriveInfo() {
        return hasDriveInfo;
    }

    public void setHasDriveInfo(boolean value) {
        hasDriveInfo = value;
    }

    public ErrorAction readErrorAction() {
        return readErrorAction;
    }

    public ErrorAction writeErrorAction() {
        return writeErrorAction;
    }

    /** Sets the policy; {@link ErrorAction#AUTO} keeps what the drive says. */
    public void setErrorActions(ErrorAction read, ErrorAction write) {
        if (read != ErrorAction.AUTO) {
            readErrorAction = read;
        }
        if (write != ErrorAction.AUTO) {
            writeErrorAction = write;
        }
    }

    /**
     * Whether management sees an I/O status: there is a device and some error would stop the
     * machine.
     */
    public boolean ioStatusEnabled() {
        return device != null
                && (writeErrorAction == ErrorAction.ENOSPC
                        || writeErrorAction == ErrorAction.STOP
                        || readErrorAction == ErrorAction.STOP);
    }

    public IoStatus ioStatus() {
        return ioStatus;
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
        if (old != null) {
            old.hurry();
            old.close();
        }
    }

    private void admit(boolean write, long bytes) {
        ThrottleGroup.Member member = throttle;
        if (member != null) {
            member.admit(write, bytes);
        }
    }

    public BackendStats stats() {
        return stats;
    }

    /** Reads {@code destination.byteSize()} bytes at a byte offset. */
    public void read(long offset, MemorySegment destination, Completion done) {
        submit(new Request(Kind.READ, offset, destination.byteSize(), destination, false, done));
    }

    /** Writes a buffer at a byte offset. */
    public void write(long offset, MemorySegment source, Completion done) {
        submit(new Request(Kind.WRITE, offset, source.byteSize(), source, writethrough, done));
    }

    /** Writes a buffer and makes it durable before completing. */
    public void writeDurably(long offset, MemorySegment source, Completion done) {
        submit(new Request(Kind.WRITE, offset, source.byteSize(), source, true, done));
    }

    /** Makes a range read as zeroes. */
    public void writeZeroes(long offset, long length, boolean mayUnmap, Completion done) {
        Request request =
                new Request(
                        Kind.WRITE_ZEROES, offset, length, MemorySegment.NULL, writethrough, done);
        request.mayUnmap = mayUnmap;
        submit(request);
    }

    /** Tells the tree that a range is not needed any more. */
    public void discard(long offset, long length, Completion done) {
        submit(new Request(Kind.DISCARD, offset, length, MemorySegment.NULL, false, done));
    }

    /** Makes all completed writes durable. */
    public void flush(Completion done) {
        submit(new Request(Kind.FLUSH, 0, 0, MemorySegment.NULL, false, done));
    }

    /** A request on the caller's own thread: for start-up code and exports, never a vCPU. */
    public void readBlocking(long offset, MemorySegment destination) throws BlockException {
        admit(false, destination.byteSize());
        BlockNode root = enter();
        try {
            node(root, offset, destination.byteSize(), false).read(offset, destination);
        } finally {
            graph.leave(root);
        }
    }

    /** A write on the caller's own thread: for exports and tools, never a vCPU. */
    public void writeBlocking(long offset, MemorySegment source) throws BlockException {
        admit(true, source.byteSize());
        BlockNode root = enter();
        try {
            BlockNode node = node(root, offset, source.byteSize(), true);
            node.write(offset, source);
            node.noteWrite(offset + source.byteSize());
        } finally {
            graph.leave(root);
        }
    }

    /** Zeroes on the caller's own thread: for exports and tools, never a vCPU. */
    public void writeZeroesBlocking(long offset, long length, boolean mayUnmap)
            throws BlockException {
        admit(true, length);
        BlockNode root = enter();
        try {
            BlockNode node = node(root, offset, length, true);
            node.writeZeroes(offset, length, mayUnmap && node.info().discardUnmap());
            node.noteWrite(offset + length);
        } finally {
            graph.leave(root);
        }
    }

    /** A discard on the caller's own thread: for exports and tools, never a vCPU. */
    public void discardBlocking(long offset, long length) throws BlockException {
        BlockNode root = enter();
        try {
            BlockNode node = node(root, offset, length, true);
            if (node.info().discardUnmap()) {
                node.discard(offset, length);
            }
        } finally {
            graph.leave(root);
        }
    }

    /** Asks for the status on the caller's own thread: for exports and tools, never a vCPU. */
    public BlockStatus statusBlocking(long offset, long length) throws BlockException {
        BlockNode root = enter();
        try {
            if (root == null) {
                throw new BlockException(Errno.ENOMEDIUM);
            }
            return root.status(offset, Math.min(length, root.length() - offset));
        } finally {
            graph.leave(root);
        }
    }

    /** A flush on the caller's own thread: for exports and tools, never a vCPU. */
    public void flushBlocking() throws BlockException {
        BlockNode root = enter();
        try {
            if (root == null) {
                throw new BlockException(Errno.ENOMEDIUM);
            }
            if (!root.readOnly() && root.active()) {
                root.flush();
            }
        } finally {
            graph.leave(root);
        }
    }

    /** Enters the graph; gives the root, which stays while the request is inside. */
    private @Nullable BlockNode enter() {
        BlockNode root = root();
        graph.enter(root);
        while (root != root()) {
            graph.leave(root); // A change was faster.
            root = root();
            graph.enter(root);
        }
        return root;
    }

    /** Passes the root on for a request of this range, or the error that such a request gets. */
    private static BlockNode node(@Nullable BlockNode root, long offset, long length, boolean write)
            throws BlockException {
        if (root == null) {
            throw new BlockException(Errno.ENOMEDIUM);
        }
        if (write && root.readOnly()) {
            throw new BlockException(Errno.EPERM);
        }
        if (write && !root.active()) {
            throw new BlockException(Errno.EPERM, "node is inactive");
        }
        if (offset < 0 || length < 0 || offset > root.length() - length) {
            throw new BlockException(Errno.EIO, "Access beyond the end of the medium");
        }
        return root;
    }

    private void submit(Request request) {
        synchronized (monitor) {
            inFlight++;
        }
        graph.workers().execute(request);
    }

    /**
     * Waits until all submitted requests are completed, running their completions on this thread; the user is told when
     * that takes long.
     * Requests kept for a retry are not waited for. The caller holds the machine lock and is not
     * inside the graph.
     */
    public void drain() {
        if (!drain(LONG)) {
            graph.host()
                    .waiting(
                            describe()
                                    + " has requests that do not end; yank or quit ends the wait");
            drain(Long.MAX_VALUE / 2);
        }
    }

    /** Like {@link #drain()}, for at most so many nanoseconds. False when requests are left. */
    public boolean drain(long patience) {
        long end = System.nanoTime() + patience;
        boolean interrupted = false;
        boolean empty = false;
        long left = patience;
        ThrottleGroup.Member member = throttle;
        if (member != null) {
            member.hurry();
        }
        while (!empty && left > 0) {
            runCompletions();
            synchronized (monitor) {
                empty = inFlight == 0;
                if (!empty && finished.isEmpty()) {
                    try {
                        TimeUnit.NANOSECONDS.timedWait(monitor, left);
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                }
            }
            left = end - System.nanoTime();
        }
        if (member != null) {
            member.calm();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return empty;
    }

    /**
     * How many submitted requests are not completed; completions that are due run first, on this thread, with the
     * machine lock held.
     */
    public int underWay() {
        runCompletions();
        synchronized (monitor) {
            return inFlight;
        }
    }

    private void runCompletions() {
        for (Request request = finished.poll(); request != null; request = finished.poll()) {
            try {
                request.finish();
            } finally {
                synchronized (monitor) {
                    inFlight--;
                    monitor.notifyAll();
                }
            }
        }
    }

    /**
     * The machine runs again: kept requests are submitted again and the I/O status is reset. Main
     * loop.
     */
    public void machineResumed() {
        ioStatus = IoStatus.OK;
        for (Request request = stopped.poll(); request != null; request = stopped.poll()) {
            request.errno = 0;
            submit(request);
        }
    }

    /** Whether requests wait for the machine to run again. */
    public boolean hasStoppedRequests() {
        return !stopped.isEmpty();
    }

    /** Drains and leaves the graph. */
    public void close() {
        eject();
        setThrottle(null);
        graph.removeBackend(this);
    }

    @Override
    public String describe() {
        String owner = device;
        if (owner != null) {
            return "block device '" + owner + "'";
        }
        return name.isEmpty() ? "an unnamed block device" : "block device '" + name + "'";
    }

    private final class Request implements Runnable {
        private final Kind kind;
        private final long offset;
        private final long length;
        private final MemorySegment buffer;
        private final boolean durable;
        private final Completion done;
        private final long started = System.nanoTime();
        private boolean mayUnmap;
        private int errno;

        Request(
                Kind kind,
                long offset,
                long length,
                MemorySegment buffer,
                boolean durable,
                Completion done) {
            this.kind = kind;
            this.offset = offset;
            this.length = length;
            this.buffer = buffer;
            this.durable = durable;
            this.done = done;
        }

        @Override
        public void run() {
            if (kind == Kind.READ || kind == Kind.WRITE || kind == Kind.WRITE_ZEROES) {
                admit(kind != Kind.READ, length);
            }
            BlockNode root = enter();
            try {
                perform(root);
            } catch (BlockException e) {
                errno = e.errno();
            } catch (RuntimeException | Error e) {
                // A driver's bug must not lose the request: the guest would hang.
                errno = Errno.EIO;
                InternalFailure.log("a block request", e);
            } finally {
                graph.leave(root);
            }
            finished.add(this);
            synchronized (monitor) {
                monitor.notifyAll();
            }
            graph.host().post(BlockBackend.this::runCompletions);
        }

        private void perform(@Nullable BlockNode root) throws BlockException {
            BlockNode node = node(root, offset, length, kind != Kind.READ && kind != Kind.FLUSH);
            switch (kind) {
                case READ -> node.read(offset, buffer);
                case WRITE -> node.write(offset, buffer);
                case WRITE_ZEROES ->
                        node.writeZeroes(offset, length, mayUnmap && node.info().discardUnmap());
                case DISCARD -> {
                    if (node.info().discardUnmap()) {
                        node.discard(offset, length);
                    }
                }
                case FLUSH -> {
                    if (!node.readOnly() && node.active()) {
                        node.flush();
                    }
                }
            }
            if (kind == Kind.WRITE || kind == Kind.WRITE_ZEROES) {
                node.noteWrite(offset + length);
                if (durable) {
                    node.flush();
                }
            }
        }

        private void finish() {
            account();
            if (errno != 0 && device != null) {
                boolean read = kind == Kind.READ;
                ErrorAction action = (read ? readErrorAction : writeErrorAction).decide(errno);
                if (action == ErrorAction.STOP && ioStatusEnabled() && ioStatus == IoStatus.OK) {
                    ioStatus = errno == Errno.ENOSPC ? IoStatus.NOSPACE : IoStatus.FAILED;
                }
                graph.host().ioError(BlockBackend.this, read, action, errno);
                if (action == ErrorAction.STOP) {
                    stopped.add(this);
                    graph.host().stopForIoError();
                    return;
                }
                done.complete(action == ErrorAction.IGNORE ? 0 : errno);
                return;
            }
            done.complete(errno);
        }

        private void account() {
            long nanos = System.nanoTime() - started;
            boolean failed = errno != 0;
            switch (kind) {
                case READ -> stats.read.add(length, nanos, failed);
                case WRITE, WRITE_ZEROES -> stats.write.add(length, nanos, failed);
                case DISCARD -> stats.unmap.add(length, nanos, failed);
                case FLUSH -> stats.flush.add(0, nanos, failed);
            }
        }
    }
}
