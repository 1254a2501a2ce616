package lockstep.block.export;

import lockstep.block.BlockBackend;
import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.nbd.Nbd;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** One exported node. */
public final class NbdExport {
    private final String id;
    private final String name;
    private final String description;
    private final BlockBackend backend;
    private final @Nullable BlockBackend source;
    private final boolean writable;
    private final boolean writethrough;
    private final long size;
    private final List<NbdSession> sessions = new ArrayList<>();
    private boolean shuttingDown;

    NbdExport(
            String id,
            String name,
            String description,
            BlockBackend backend,
            @Nullable BlockBackend source,
            boolean writable,
            boolean writethrough) {
        this.id = id;
        this.name = name;
        this.description = description;
        this.backend = backend;
        this.source = source;
        this.writable = writable;
        this.writethrough = writethrough;
        this.size = backend.length() & -512L;
    }

    /** What the export is called in QMP. */
    public String id() {
        return id;
    }

    /** What clients call it. */
    public String name() {
        return name;
    }

    String description() {
        return description;
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
        return writable;
    }

    boolean writethrough() {
        return writethrough;
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
                writable
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

    BlockStatus status(long offset, long length) throws BlockException {
        BlockGraph graph = backend.graph();
        graph.enter();
        try {
            BlockNode root = backend.root();
            if (root == null) {
                throw new BlockException(lockstep.block.Errno.ENOMEDIUM);
            }
            return root.status(offset, Math.min(length, root.length() - offset));
        } finally {
            graph.leave();
        }
    }

    synchronized boolean join(NbdSession session) {
        if (shuttingDown) {
            return false;
        }
        sessions.add(session);
        return true;
    }

    synchronized void leave(NbdSession session) {
        sessions.remove(session);
        notifyAll();
    }

    public synchronized boolean shuttingDown() {
        return shuttingDown;
    }

    /** Whether a client is connected. */
    public synchronized boolean hasClients() {
        return !sessions.isEmpty();
    }

    /**
     * Disconnects all clients, waits until none of their requests is under way, and lets the node
     * go.
     */
    void close() {
        List<NbdSession> open;
        synchronized (this) {
            shuttingDown = true;
            open = List.copyOf(sessions);
        }
        open.forEach(NbdSession::shutdown);
        boolean interrupted = false;
        synchronized (this) {
            while (!sessions.isEmpty()) {
                try {
                    wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        backend.close();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
