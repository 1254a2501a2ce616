package lockstep.block.qcow2;

import lockstep.block.HumanSize;

import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Internal snapshots as a table for people, as QEMU and its tools print them. */
public final class SnapshotText {
    /** The table's head. */
    public static final String HEAD =
            "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\n";

    private SnapshotText() {}

    /** A snapshot's line. */
    public static String line(Snapshot snapshot) {
        return line(snapshot, snapshot.id());
    }

    /** Likewise with another id. */
    public static String line(Snapshot snapshot, String id) {
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
                id,
                snapshot.name(),
                HumanSize.of(snapshot.vmStateBytes()),
                date,
                clock,
                snapshot.icount() == -1 ? "" : Long.toString(snapshot.icount()));
    }
}
