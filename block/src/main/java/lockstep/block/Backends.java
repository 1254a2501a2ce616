package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.Names;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The backends of a process, oldest first, and the graph of nodes below them. A drive's name is no node's. Found and
 * walked by any thread, changed with the machine lock held.
 */
public final class Backends implements Iterable<BlockBackend>, AutoCloseable {
    private final List<BlockBackend> backends = new CopyOnWriteArrayList<>();
    private final BlockHost host;
    private final BlockGraph graph;

    /** None, over an empty graph. */
    public Backends(BlockHost host) {
        this.host = host;
        this.graph = new BlockGraph(host);
        graph.names().shareWith(this::find);
    }

    /** The nodes below. */
    public BlockGraph graph() {
        return graph;
    }

    BlockHost host() {
        return host;
    }

    @Override
    public Iterator<BlockBackend> iterator() {
        return backends.iterator();
    }

    /** The backend of this name; "" is nobody's. */
    public @Nullable BlockBackend find(String name) {
        if (name.isEmpty()) {
            return null;
        }
        for (BlockBackend backend : backends) {
            if (backend.name().equals(name)) {
                return backend;
            }
        }
        return null;
    }

    /**
     * A new backend without medium, until {@link BlockBackend#close}.
     *
     * @param name the drive's id, or "" for a backend that belongs to a device, an export or a job
     * @throws BlockException when the name is malformed or taken
     */
    public BlockBackend add(String name) throws BlockException {
        if (!name.isEmpty()) {
            if (!Names.wellFormed(name)) {
                throw new BlockException(Errno.EINVAL, "Invalid device name");
            }
            if (find(name) != null) {
                throw new BlockException(
                        Errno.EINVAL, "Device with id '" + name + "' already exists");
            }
            if (graph.names().findNode(name) != null) {
                throw new BlockException(
                        Errno.EINVAL,
                        "Device name '" + name + "' conflicts with an existing node name");
            }
        }
        BlockBackend backend = new BlockBackend(this, name);
        backends.add(backend);
        return backend;
    }

    void remove(BlockBackend backend) {
        backends.remove(backend);
    }

    /** Waits until every submitted request is completed; the caller holds the machine lock. */
    public void drain() {
        backends.forEach(BlockBackend::drain);
    }

    /** Drains, flushes and closes every backend and node. */
    @Override
    public void close() {
        drain();
        backends.forEach(BlockBackend::close);
        graph.close();
    }
}
