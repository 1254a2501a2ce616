package lockstep.runtime.migration;

import lockstep.api.MigrationCapability;
import lockstep.api.MigrationEvent;
import lockstep.api.MigrationStatus;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

/** The status of one end. Any thread; each change is traced and, if asked for, an event. */
final class StatusCell {
    private static final TraceEvent TRACE = Trace.event("migrate_set_state");

    private final MigrationHost host;
    private final MigrationSettings settings;
    private MigrationStatus status = MigrationStatus.NONE;

    StatusCell(MigrationHost host, MigrationSettings settings) {
        this.host = host;
        this.settings = settings;
    }

    synchronized MigrationStatus get() {
        return status;
    }

    /** Changes the status if it is {@code from}. */
    synchronized boolean move(MigrationStatus from, MigrationStatus to) {
        if (status != from) {
            return false;
        }
        set(to);
        return true;
    }

    /** Changes the status whatever it is. */
    synchronized void set(MigrationStatus to) {
        if (status == to) {
            return;
        }
        status = to;
        TRACE.log("new state " + to.wireName());
        if (settings.has(MigrationCapability.EVENTS)) {
            host.emit(new MigrationEvent(to));
        }
    }
}
