package lockstep.block;

import lockstep.block.node.BlockException;

/**
 * Acts on all replication nodes at once, newest first, stopping at the first error. The caller
 * holds the machine lock.
 */
public interface ReplicationControl {
    /** Which side a node is on. */
    enum Mode {
        PRIMARY,
        SECONDARY
    }

    /** Starts replication; nodes that already ended a failover ignore it. */
    void startAll(Mode mode) throws BlockException;

    /** A checkpoint is complete: the secondary drops what the guest wrote since the last one. */
    void checkpointAll() throws BlockException;

    /** Errors when replication does not run or an I/O error was remembered. */
    void getErrorAll() throws BlockException;

    /**
     * Ends replication.
     *
     * @param failover the secondary's guest lives on: its writes are committed in the background
     */
    void stopAll(boolean failover) throws BlockException;
}
