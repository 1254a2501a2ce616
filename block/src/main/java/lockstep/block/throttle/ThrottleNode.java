package lockstep.block.throttle;

import lockstep.block.BlockException;
import lockstep.block.BlockStatus;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;

import java.lang.foreign.MemorySegment;

/** Driver {@code throttle}: its requests wait as their group demands. */
public final class ThrottleNode extends BlockNode {
    private final ThrottleGroup.Member member;

    private ThrottleNode(BlockGraph graph, String name, boolean readOnly, ThrottleGroup group) {
        super(graph, "throttle", name, readOnly);
        member = group.join();
    }

    /** Makes one above a node that the caller opened, and enters it. */
    public static ThrottleNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            ThrottleGroup group,
            BlockNode file)
            throws BlockException {
        ThrottleNode node = new ThrottleNode(graph, name, readOnly, group);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        try {
            graph.add(node);
        } catch (BlockException e) {
            node.member.close();
            throw e;
        }
        try {
            graph.attach(node, "file", Role.FILTERED, file);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    private BlockNode file() {
        ChildEdge edge = children().getFirst();
        return edge.node();
    }

    @Override
    public void read(long offset, MemorySegment destination) throws BlockException {
        member.admit(false, destination.byteSize());
        file().read(offset, destination);
    }

    @Override
    public void write(long offset, MemorySegment source) throws BlockException {
        member.admit(true, source.byteSize());
        file().write(offset, source);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        member.admit(true, length);
        file().writeZeroes(offset, length, mayUnmap);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        member.admit(true, length);
        file().discard(offset, length);
    }

    @Override
    public void flush() throws BlockException {
        file().flush();
    }

    @Override
    public long length() throws BlockException {
        return file().length();
    }

    @Override
    public void truncate(long length) throws BlockException {
        file().truncate(length);
    }

    @Override
    public BlockStatus status(long offset, long length) throws BlockException {
        return file().status(offset, length);
    }

    @Override
    protected void hurry() {
        member.hurry();
    }

    @Override
    protected void calm() {
        member.calm();
    }

    @Override
    protected void cut() {
        member.hurry();
    }

    @Override
    protected void close() {
        member.close();
    }
}
