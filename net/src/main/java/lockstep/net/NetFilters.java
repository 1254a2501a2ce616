package lockstep.net;

import java.util.function.BooleanSupplier;

/** All net filters of the process, as COLO addresses them; published as a service of the Vmm. */
public interface NetFilters {
    /** What COLO tells the filters. */
    enum Event {
        /** This side becomes the primary of a new secondary. */
        LEAD,
        /** The primary's guest stands for the next checkpoint. */
        STAND,
        /** The secondary begins to run beside the primary. */
        START,
        /** The secondary has loaded a checkpoint: both guests are equal again. */
        CHECKPOINT,
        /** This side goes on alone. */
        FAILOVER
    }

    /** Tells every filter of every backend. Under the machine lock. */
    void colo(Event event);

    /**
     * Says who tells whether a part of this process takes no packets on purpose: as long as it does, no filter gives up its
     * peer as dead.
     *
     * @param holds asked on the main loop
     */
    void holder(BooleanSupplier holds);
}
