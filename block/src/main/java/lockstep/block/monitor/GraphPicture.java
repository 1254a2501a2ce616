package lockstep.block.monitor;

import lockstep.api.BlockPermission;
import lockstep.api.XDbgBlockGraph;
import lockstep.api.XDbgBlockGraphEdge;
import lockstep.api.XDbgBlockGraphNode;
import lockstep.api.XDbgBlockGraphNodeType;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.job.Job;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** All nodes and users of the graph with their edges. Machine lock held. */
final class GraphPicture {
    private final Map<NodeUser, Long> numbers = new IdentityHashMap<>();
    private final List<XDbgBlockGraphNode> nodes = new ArrayList<>();
    private final List<XDbgBlockGraphEdge> edges = new ArrayList<>();

    private GraphPicture() {}

    static XDbgBlockGraph of(Backends backends) {
        GraphPicture picture = new GraphPicture();
        backends.forEach(picture::number);
        List<BlockNode> all = backends.graph().names().nodes();
        all.forEach(picture::number);
        all.forEach(node -> node.parents().forEach(picture::edge));
        return new XDbgBlockGraph(picture.nodes, picture.edges);
    }

    private long number(NodeUser user) {
        Long known = numbers.get(user);
        if (known != null) {
            return known;
        }
        long number = numbers.size() + 1L;
        numbers.put(user, number);
        nodes.add(
                switch (user) {
                    case BlockNode n ->
                            new XDbgBlockGraphNode(
                                    number, XDbgBlockGraphNodeType.BLOCK_DRIVER, n.name());
                    case Job j ->
                            new XDbgBlockGraphNode(
                                    number, XDbgBlockGraphNodeType.BLOCK_JOB, j.id());
                    case BlockBackend b ->
                            new XDbgBlockGraphNode(
                                    number,
                                    XDbgBlockGraphNodeType.BLOCK_BACKEND,
                                    b.name().isEmpty() ? b.describe() : b.name());
                    default ->
                            new XDbgBlockGraphNode(
                                    number, XDbgBlockGraphNodeType.BLOCK_BACKEND, user.describe());
                });
        return number;
    }

    private void edge(ChildEdge edge) {
        edges.add(
                new XDbgBlockGraphEdge(
                        number(edge.user()),
                        number(edge.node()),
                        edge.name(),
                        names(edge.permissions()),
                        names(edge.shared())));
    }

    /** Bit n is the n-th name. */
    private static List<BlockPermission> names(int bits) {
        return BlockPermission.known().stream()
                .filter(p -> (bits & 1 << p.ordinal()) != 0)
                .toList();
    }
}
