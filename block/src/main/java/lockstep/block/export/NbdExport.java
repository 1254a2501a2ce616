package lockstep.block.export;

import lockstep.block.BlockBackend;
import lockstep.block.nbd.Nbd;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** One exported node. */
public final class NbdExport {
    private final NbdServer.Request request;
    private final BlockBackend backend;
    private final @Nullable BlockBackend source;
    private final List<MetaContext> contexts;
    private final long size;
    private final List<NbdSession> sessions = new ArrayList<>();
    private boolean shuttingDown;
    private @Nullable Runnable whenGone;

    NbdExport(NbdServer.Request request, BlockBackend backend, @Nullable BlockBackend source) {
        this.request = request;
        this.backend = backend;
        this.source = source;
        this.contexts = MetaContext.of(backend, request.allocationDepth(), request.bitmaps());
        this.size = backend.length();
        request.bitmaps().forEach(bitmap -> bitmap.use(true));
    }

    /** What the export is called in QMP. */
    public String id() {
        return request.id();
    }

    /** What clients call it. */
    public String name() {
        return request.name();
    }

    String description() {
        return request.description();
    }

    /** The node's name, "" when it is gone. */
    public String nodeName() {
        BlockNode root = backend.root();
        return root == null ? "" : root.name();
    }

    /** The drive the export was made from: it goes when that loses its medium. */
    public @Nullable BlockBackend source() {
        return source;
    }

    boolean writable() {
        return request.writable();
    }

    boolean writethrough() {
        return request.writethrough();
    }

    long size() {
        return size;
    }

    BlockBackend backend() {
        return backend;
    }

    int flags(boolean structured, boolean multiConn) {
        int flags =
                Nbd.TRANSMIT_HAS_FLAGS | Nbd.TRANSMIT_FLUSH | Nbd.TRANSMIT_FUA | Nbd.TRANSMIT_CACHE;
        flags |= multiConn ? Nbd.TRANSMIT_MULTI_CONN : 0;
        flags |= structured ? Nbd.TRANSMIT_DF : 0;
        flags |=
                request.writable()
                        ? Nbd.TRANSMIT_TRIM | Nbd.TRANSMIT_WRITE_ZEROES | Nbd.TRANSMIT_FAST_ZERO
                        : Nbd.TRANSMIT_READ_ONLY;
        return flags;
    }

    /** Whether zeroes are cheaper than data all the way down. */
    boolean zeroesFast() {
        BlockNode node = backend.root();
        while (node != null) {
            if (node.driver().equals("qcow2") || node.driver().equals("file")) {
                return true;
            }
            ChildEdge edge = node.driver().equals("raw") ? node.primaryChild() : null;
            node = edge == null ? null : edge.node();
        }
        return false;
    }

    /** What clients can ask about its blocks. */
    List<MetaContext> contexts() {
        return contexts;
    }

    BlockStatus status(long offset, long length) throws BlockException {
        return backend.statusBlocking(offset, length);
    }

    synchronized boolean join(NbdSession session) {
        if (shuttingDown) {
            return false;
        }
        sessions.add(session);
        return true;
    }

    void leave(NbdSession session) {
        Runnable told;
        synchronized (this) {
            sessions.remove(session);
            notifyAll();
            told = sessions.isEmpty() ? whenGone : null;
        }
        if (told != null) {
            told.run();
        }
    }

    public synchronized boolean shuttingDown() {
        return shuttingDown;
    }

    /** Whether a client is connected. */
    public synchronized boolean hasClients() {
        return !sessions.isEmpty();
    }

    /** Requests of all clients that have no reply yet. Any thread. */
    public synchronized int underWay() {
        return sessions.stream().mapToInt(NbdSession::underWay).sum();
    }

    /** What the export is called in messages about its requests. Any thread. */
    public String describe() {
        return "export '" + id() + "' (" + BlockBackend.inFlight(underWay()) + ")";
    }

    /**
     * Takes no more clients and cuts those off that there are; {@code gone} is told, on any thread, when the last of
     * their requests is over. Then the node can be let go.
     */
    void shutDown(Runnable gone) {
        List<NbdSession> open;
        synchronized (this) {
            if (shuttingDown) {
                return;
            }
            shuttingDown = true;
            whenGone = gone;
            open = List.copyOf(sessions);
        }
        open.forEach(NbdSession::shutdown);
        if (open.isEmpty()) {
            gone.run();
        }
    }

    /**
     * Lets the node go if the export was shut down and the last request is over, or gets over within {@code patience}
     * nanoseconds. False if not.
     */
    public boolean finish(long patience) {
        if (!awaitGone(patience)) {
            return false;
        }
        backend.close();
        request.bitmaps().forEach(bitmap -> bitmap.use(false));
        return true;
    }

    private synchronized boolean awaitGone(long nanos) {
        long end = System.nanoTime() + nanos;
        long left = nanos;
        while (!sessions.isEmpty() && left > 0) {
            try {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                break;
            }
            left = end - System.nanoTime();
        }
        return shuttingDown && sessions.isEmpty();
    }
}
