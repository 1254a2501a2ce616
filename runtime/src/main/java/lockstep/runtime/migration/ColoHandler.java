package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateException;

import java.io.IOException;

/** What goes on with a migration that ends in COLO; published by the room that knows COLO. */
public interface ColoHandler {
    /**
     * Runs the primary's side. Called by the migration thread when the stream is complete, the guest is
     * stopped and the status is {@code colo}; returns when a failover has ended it. The caller then
     * activates the disks and starts the guest.
     */
    void primary(ColoSource source);

    /**
     * The stream says that COLO will follow. Called under the machine lock, before RAM comes.
     *
     * @return where pages go from now on
     */
    RamSink prepare(ColoTarget target) throws StateException;

    /**
     * Runs the secondary's side. Called by the loading thread when the stream is complete and the guest
     * does not run yet; returns when a failover has ended it. The caller then ends the migration as
     * usual, which starts the guest.
     *
     * @throws IOException when the guest here cannot go on
     */
    void secondary(ColoTarget target) throws IOException;

    /** The parameter x-checkpoint-delay was set. Under the machine lock. */
    void delayChanged();

    /** Whether COLO runs on either side. */
    boolean active();
}
