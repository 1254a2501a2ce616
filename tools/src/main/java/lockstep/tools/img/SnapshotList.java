package lockstep.tools.img;

import lockstep.block.qcow2.Snapshot;

import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Internal snapshots as a table. */
final class SnapshotList {
    static final String HEAD =
            "Snapshot list:\n"
                    + "ID        TAG               VM SIZE                DATE     VM CLOCK    "
                    + " ICOUNT\n";

    private SnapshotList() {}

    /** A snapshot's line. */
    static String line(Snapshot snapshot) {
        String date =
                DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT)
                        .format(
                                Instant.ofEpochSecond(snapshot.seconds())
                                        .atZone(ZoneId.systemDefault()));
        long seconds = Long.divideUnsigned(snapshot.vmClockNanos(), 1_000_000_000);
        long millis = Long.remainderUnsigned(snapshot.vmClockNanos(), 1_000_000_000) / 1_000_000;
        String clock =
                String.format(
                        Locale.ROOT,
                        "%02d:%02d:%02d.%03d",
                        seconds / 3600,
                        seconds / 60 % 60,
                        seconds % 60,
                        millis);
        return String.format(
                Locale.ROOT,
                "%-9s %-16s %8s%20s%13s%11s\n",
                snapshot.id(),
                snapshot.name(),
                Numbers.human(snapshot.vmStateBytes()),
                date,
                clock,
                snapshot.icount() == -1 ? "" : Long.toString(snapshot.icount()));
    }
}
