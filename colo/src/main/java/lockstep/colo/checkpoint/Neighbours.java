package lockstep.colo.checkpoint;

import lockstep.api.ColoCompareStats;
import lockstep.block.ReplicationControl;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/**
 * The rooms that take part in a checkpoint, as the session sees them. Errors are sentences for the user.
 * Under the machine lock unless said otherwise.
 */
public interface Neighbours {
    /** Starts the replication of the disks on this side. */
    void startReplication(boolean primary) throws IOException;

    /** The disks take a checkpoint. */
    void checkpointReplication() throws IOException;

    /** On the primary: has the secondary's disks store what they were sent, without waiting for that. */
    void confirmReplication();

    /** Throws if replication met an error. */
    void checkReplication() throws IOException;

    /** Ends replication; with {@code failover} this side goes on alone. */
    void stopReplication(boolean failover) throws IOException;

    /**
     * Says how long the disks may take for what they are told, and who hears why the secondary's may lack a write; null
     * for nobody.
     */
    void superviseReplication(ReplicationControl.@Nullable Supervisor supervisor);

    /**
     * The primary's guest goes on before the secondary has taken the checkpoint: what it writes from now on does not reach
     * the secondary's disks before {@link #releaseWrites}.
     */
    void holdWrites();

    /** What was held goes its way. Any thread, without waiting for anything. */
    void releaseWrites();

    /** The secondary is lost: no request waits for its disks any more. Any thread. */
    void cutReplication();

    /** Waits until the primary cannot be heard any more, as far as a heartbeat tells. Without the machine lock. */
    void awaitSilence();

    /** Tells the net filters that this side becomes the primary of a new secondary. */
    void filtersLead();

    /** Tells the net filters that the primary's guest stands for the next checkpoint. */
    void filtersStand();

    /** Tells the net filters that the secondary begins to run beside the primary. */
    void filtersStart();

    /** Tells the net filters that both guests are equal. */
    void filtersCheckpoint();

    /** Tells the net filters that this side goes on alone. */
    void filtersFailover();

    /** Says who is told when the guests' packets differ; null for nobody. */
    void onMismatch(@Nullable Runnable listener);

    /**
     * Whether every comparison keeps apart what the primary's guest sends before and behind its present stand, which {@link
     * #filtersStand} told; waits for that a little. Without the machine lock.
     */
    boolean packetsApart();

    /**
     * The secondary has taken a checkpoint: releases all packets from before it that wait for comparison, and waits for
     * that. Without the machine lock.
     *
     * @return how many of the primary's were waiting
     */
    long releasePackets();

    /** What the comparisons have done. */
    List<ColoCompareStats> comparisons();
}
