package lockstep.protect;

import lockstep.api.COLOMode;
import lockstep.api.COLOStatus;
import lockstep.api.Client;
import lockstep.api.ColoCompareStats;
import lockstep.api.ColoStats;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/** What one side tells of itself, and the same some time ago, for what happens in a second. */
final class Report {
    private final String name;
    private final Client machine;
    private @Nullable ColoStats before;
    private long beforeNanos;

    /** Of the machine that the user calls {@code name}. */
    Report(String name, Client machine) {
        this.name = name;
        this.machine = machine;
    }

    /** The present state, in a few lines. */
    String show() throws QmpException, IOException {
        COLOStatus colo = machine.queryColoStatus();
        StringBuilder out = new StringBuilder();
        out.append(
                "%s: %s, guest %s%n"
                        .formatted(
                                name,
                                switch (colo.mode()) {
                                    case NONE -> "not in COLO";
                                    default -> colo.mode().wireName();
                                },
                                machine.queryStatus().status().wireName()));
        String error = machine.queryMigrate().errorDesc();
        if (error != null && colo.mode() != COLOMode.NONE) {
            out.append(
                            "  COLO has ended by an error, until x-colo-lost-heartbeat says who"
                                    + " goes on: ")
                    .append(error)
                    .append('\n');
        } else if (error != null) {
            out.append("  the last migration has ended by an error: ").append(error).append('\n');
        }
        ColoStats now;
        try {
            now = machine.queryColoStats();
        } catch (QmpException e) {
            // A QEMU has no such command.
            return out.append("  tells no more: ").append(e.getMessage()).append('\n').toString();
        }
        long nanos = System.nanoTime();
        // A secondary, or who was one, does not know what set a checkpoint off.
        boolean knowsWhy = now.mode() == COLOMode.PRIMARY || now.checkpointsByTime() > 0;
        ColoStats old = before;
        out.append("  checkpoints: ").append(now.checkpoints());
        if (old != null) {
            double seconds = (nanos - beforeNanos) / 1e9;
            out.append(
                    ", %.1f a second".formatted((now.checkpoints() - old.checkpoints()) / seconds));
            if (knowsWhy) {
                out.append(
                        " (%.1f by time, %.1f by difference or request)"
                                .formatted(
                                        (now.checkpointsByTime() - old.checkpointsByTime())
                                                / seconds,
                                        (byDifference(now) - byDifference(old)) / seconds));
            }
        } else if (knowsWhy) {
            out.append(
                    " (%d by time, %d by difference or request)"
                            .formatted(now.checkpointsByTime(), byDifference(now)));
        }
        out.append('\n');
        if (now.checkpoints() > 0) {
            out.append(
                    "  last one: %s ago; pause: last %s, median %s, 99%% %s, longest %s%n"
                            .formatted(
                                    millis(now.checkpointAge()),
                                    millis(now.pauseLast()),
                                    millis(now.pauseMedian()),
                                    millis(now.pause99()),
                                    millis(now.pauseLongest())));
        }
        for (ColoCompareStats c : now.compare()) {
            out.append(
                    "  %s: held %d packets, %d bytes, oldest %s; median %s, 99%% %s; flows %d%n"
                            .formatted(
                                    c.id(),
                                    c.heldPrimary() + c.heldSecondary(),
                                    c.heldBytes(),
                                    millis(c.heldOldest()),
                                    millis(c.holdMedian()),
                                    millis(c.hold99()),
                                    c.flows()));
            c.differences()
                    .forEach(
                            d ->
                                    out.append(
                                            "    differed in %s %s: %d%n"
                                                    .formatted(
                                                            d.protocol(),
                                                            d.kind().wireName(),
                                                            d.count())));
        }
        before = now;
        beforeNanos = nanos;
        return out.toString();
    }

    /** Like {@link #show}, or in a line why there is nothing to show. */
    String showAnyway() {
        try {
            return show();
        } catch (QmpException | IOException e) {
            before = null;
            return "%s: not there: %s%n".formatted(name, e.getMessage());
        }
    }

    private static long byDifference(ColoStats stats) {
        return stats.checkpoints() - stats.checkpointsByTime();
    }

    private static String millis(long micros) {
        return "%.1f ms".formatted(micros / 1e3);
    }
}
