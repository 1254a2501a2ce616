package lockstep.protect;

import lockstep.api.Client;
import lockstep.api.XDbgBlockGraph;
import lockstep.api.XDbgBlockGraphEdge;
import lockstep.api.XDbgBlockGraphNode;
import lockstep.api.XDbgBlockGraphNodeType;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Tells which of the new secondary's disks a disk of the survivor belongs to, and gives it a name for the NBD server. */
final class Exports {
    private final XDbgBlockGraph graph;

    private Exports(XDbgBlockGraph graph) {
        this.graph = graph;
    }

    /**
     * The names for several disks.
     *
     * @param given those that the user named, in the order of the disks; empty to look for them
     */
    static List<String> of(Client secondary, List<Guest.Drive> disks, Set<String> given)
            throws QmpException, IOException {
        if (!given.isEmpty()) {
            if (given.size() != disks.size()) {
                throw new QmpException(
                        "--export names %d disks, but there are %d"
                                .formatted(given.size(), disks.size()));
            }
            return List.copyOf(given);
        }
        Exports exports = new Exports(secondary.xDebugQueryBlockGraph());
        List<String> names = new ArrayList<>();
        for (Guest.Drive disk : disks) {
            names.add(exports.below(disk.id()));
        }
        return names;
    }

    /**
     * The disk that a secondary's guest has under the same name lies below the active and the hidden image of its replication:
     * behind two backing files.
     */
    private String below(String disk) throws QmpException {
        for (XDbgBlockGraphNode top : graph.nodes()) {
            String found = top.name().equals(disk) ? behind(top.id(), 2) : "";
            if (!found.isEmpty()) {
                return found;
            }
        }
        throw new QmpException(
                "the new secondary has no disk %s over a replication; --export names the one for it"
                        .formatted(disk));
    }

    private String behind(long node, int backings) {
        if (backings == 0) {
            return name(node);
        }
        for (XDbgBlockGraphEdge edge : graph.edges()) {
            if (edge.parent() == node) {
                boolean backing = edge.name().equals("backing");
                String found = behind(edge.child(), backing ? backings - 1 : backings);
                if (!found.isEmpty()) {
                    return found;
                }
            }
        }
        return "";
    }

    /** That of the backend on a node, as of {@code -drive}, else its own. */
    private String name(long node) {
        String own = "";
        for (XDbgBlockGraphNode n : graph.nodes()) {
            if (n.id() == node) {
                own = n.name();
            }
            if (n.type() == XDbgBlockGraphNodeType.BLOCK_BACKEND
                    && graph.edges().stream()
                            .anyMatch(e -> e.parent() == n.id() && e.child() == node)
                    && !n.name().isEmpty()) {
                return n.name();
            }
        }
        return own;
    }
}
