package lockstep.block.replication;

import lockstep.block.ReplicationControl;
import lockstep.block.node.BlockException;

import java.util.ArrayList;
import java.util.List;

/** Knows every replication node of a graph, newest first. Machine lock held. */
public final class ReplicationManager implements ReplicationControl {
    private final List<ReplicationNode> nodes = new ArrayList<>();

    /** Without nodes. */
    public ReplicationManager() {}

    void register(ReplicationNode node) {
        nodes.addFirst(node);
    }

    void unregister(ReplicationNode node) {
        nodes.remove(node);
    }

    @Override
    public void startAll(Mode mode) throws BlockException {
        for (ReplicationNode node : List.copyOf(nodes)) {
            node.start(mode);
        }
    }

    @Override
    public void checkpointAll() throws BlockException {
        for (ReplicationNode node : List.copyOf(nodes)) {
            node.checkpoint();
        }
    }

    @Override
    public void getErrorAll() throws BlockException {
        for (ReplicationNode node : List.copyOf(nodes)) {
            node.getError();
        }
    }

    @Override
    public void stopAll(boolean failover) throws BlockException {
        for (ReplicationNode node : List.copyOf(nodes)) {
            node.stop(failover);
        }
    }
}
