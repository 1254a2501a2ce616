package lockstep.block.throttle;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Role;

/** Driver {@code throttle}: its requests wait as their group demands. */
public final class ThrottleNode extends FilterNode {
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
            graph.attach(node, "file", Role.FILTERED, file).limit(node.member);
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
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
