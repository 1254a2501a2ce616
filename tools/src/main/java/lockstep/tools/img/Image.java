package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Node;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/** An open image with what is below it, as the user of its topmost node. */
final class Image implements NodeUser, AutoCloseable {
    private final BlockGraph graph;
    private final String filename;
    private final ChildEdge edge;
    private final boolean writethrough;

    /** Uses a node, and takes the caller's reference to it over. */
    Image(BlockGraph graph, String filename, BlockNode node, boolean writethrough)
            throws BlockException {
        this.graph = graph;
        this.filename = filename;
        this.writethrough = writethrough;
        int writing = node.readOnly() ? 0 : Permission.WRITE | Permission.RESIZE;
        try {
            edge =
                    graph.attach(
                            this,
                            "root",
                            Role.ROOT,
                            node,
                            Permission.CONSISTENT_READ | writing,
                            Permission.ALL & ~(Permission.WRITE | Permission.RESIZE));
        } finally {
            graph.release(node);
        }
    }

    @Override
    public String describe() {
        return "image '" + filename + "'";
    }

    /** Lets this program write to the images below. */
    void shareBelow() throws BlockException {
        graph.setPermissions(edge, edge.permissions(), Permission.ALL);
    }

    /** As the user named it. */
    String filename() {
        return filename;
    }

    BlockNode node() {
        return edge.node();
    }

    /** The image as a qcow2 one, null when it is none. */
    @Nullable Qcow2Node qcow2() {
        return edge.node() instanceof Qcow2Node image ? image : null;
    }

    private interface Access {
        void run() throws BlockException;
    }

    private void inside(Access access) throws BlockException {
        graph.drain().enter(edge);
        try {
            access.run();
        } finally {
            graph.drain().leave(edge);
        }
    }

    long length() throws BlockException {
        graph.drain().enter(edge);
        try {
            return edge.length();
        } finally {
            graph.drain().leave(edge);
        }
    }

    /** What the top has, or what is below it where it has nothing; within the disk. */
    BlockStatus status(long offset, long length) throws BlockException {
        graph.drain().enter(edge);
        try {
            return edge.status(offset, Math.min(length, edge.length() - offset));
        } finally {
            graph.drain().leave(edge);
        }
    }

    /** Reads; what is behind the end is zeroes. */
    void read(long offset, MemorySegment target) throws BlockException {
        inside(
                () -> {
                    long there = Math.clamp(edge.length() - offset, 0, target.byteSize());
                    if (there > 0) {
                        edge.read(offset, target.asSlice(0, there));
                    }
                    target.asSlice(there).fill((byte) 0);
                });
    }

    void write(long offset, MemorySegment source) throws BlockException {
        inside(() -> edge.write(offset, source));
        flushIfEager();
    }

    void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        inside(() -> edge.writeZeroes(offset, length, mayUnmap));
        flushIfEager();
    }

    private void flushIfEager() throws BlockException {
        if (writethrough) {
            flush();
        }
    }

    void truncate(long length) throws BlockException {
        inside(() -> edge.truncate(length));
    }

    void makeEmpty() throws BlockException {
        inside(edge::makeEmpty);
    }

    void flush() throws BlockException {
        inside(edge::flush);
    }

    /** Something done with the node itself. */
    interface Work {
        void on(Qcow2Node image) throws BlockException;
    }

    /** Does something with the image that is counted as a request. */
    void with(Qcow2Node image, Work work) throws BlockException {
        inside(() -> work.on(image));
    }

    /** Lets the image go; what was not flushed is. */
    @Override
    public void close() {
        graph.detach(edge);
    }
}
