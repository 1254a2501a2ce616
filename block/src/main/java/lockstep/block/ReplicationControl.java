package lockstep.block;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

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

    /** Looks after a session. Any thread; nothing here may block. */
    interface Supervisor {
        /**
         * How many milliseconds, 0 for ever: on the primary a request to the secondary may take before its connection is
         * cut; on the secondary its disks may take for what they are told.
         */
        long patienceMillis();

        /**
         * On the primary: the secondary's disk may lack a write.
         *
         * @param reason a sentence for the user
         * @param silent whether it is because the secondary did not answer
         */
        void failed(String reason, boolean silent);
    }

    /** Who looks after the session from now on; null for nobody. Any thread. */
    void supervise(@Nullable Supervisor supervisor);

    /**
     * A primary's guest goes on before the secondary has taken the checkpoint: its writes wait until {@link #releaseAll} or
     * {@link #cutAll}. The guest stands.
     */
    void holdAll();

    /** Writes that wait are done now. Any thread; does not wait for them. */
    void releaseAll();

    /** The secondary is lost: a primary's requests to it end now, and later ones fail. Any thread. */
    void cutAll();

    /** Starts replication; nodes that already ended a failover ignore it. */
    void startAll(Mode mode) throws BlockException;

    /**
     * A checkpoint is complete: the secondary drops what the guest wrote since the last one. After an error the disks are
     * as they were, unless {@link #getErrorAll} errors now.
     */
    void checkpointAll() throws BlockException;

    /**
     * On the primary: the secondary is sent a flush in the background; once that has worked, what was written before is
     * stored on both sides, and is not marked any more as what a lost secondary may lack. Nothing happens where that
     * cannot be known.
     */
    void confirmAll();

    /** Errors when replication does not run or an I/O error was remembered. */
    void getErrorAll() throws BlockException;

    /**
     * Ends replication.
     *
     * @param failover the secondary's guest lives on: its writes are committed in the background. Where the disks hang, an
     *     error says so, and it goes on when they do
     */
    void stopAll(boolean failover) throws BlockException;
}
