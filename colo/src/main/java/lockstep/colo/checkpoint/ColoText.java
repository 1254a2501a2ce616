package lockstep.colo.checkpoint;

import lockstep.api.COLOStatus;
import lockstep.api.ColoCompareStats;
import lockstep.api.ColoDifference;
import lockstep.api.ColoStats;

import java.util.Locale;

/** The state of COLO in words, for the human monitor. */
final class ColoText {
    private ColoText() {}

    static void describe(COLOStatus status, ColoStats stats, StringBuilder out) {
        line(
                out,
                "mode: %s, last mode: %s, reason: %s",
                status.mode().wireName(),
                status.lastMode().wireName(),
                status.reason().wireName());
        line(
                out,
                "checkpoints: %d, pause: last %s, median %s, 99%% %s, longest %s",
                stats.checkpoints(),
                millis(stats.pauseLast()),
                millis(stats.pauseMedian()),
                millis(stats.pause99()),
                millis(stats.pauseLongest()));
        line(
                out,
                "sent: %d pages ahead in %d rounds, %d in pauses, %d bytes of device state",
                stats.pagesAhead(),
                stats.rounds(),
                stats.pagesInPause(),
                stats.deviceBytes());
        stats.compare().forEach(c -> describe(c, out));
    }

    private static void describe(ColoCompareStats c, StringBuilder out) {
        line(out, "%s: policy %s", c.id(), c.policy().wireName());
        line(
                out,
                "  primary: %d packets, %d bytes; secondary: %d packets, %d bytes",
                c.primaryPackets(),
                c.primaryBytes(),
                c.secondaryPackets(),
                c.secondaryBytes());
        line(
                out,
                "  released: %d packets, %d bytes; dropped: %d; stale: %d; held for: median %s,"
                        + " 99%% %s",
                c.releasedPackets(),
                c.releasedBytes(),
                c.droppedPackets(),
                c.stalePackets(),
                millis(c.holdMedian()),
                millis(c.hold99()));
        line(
                out,
                "  held: %d of primary, %d of secondary, %d bytes, oldest %s; at most %d",
                c.heldPrimary(),
                c.heldSecondary(),
                c.heldBytes(),
                millis(c.heldOldest()),
                c.heldMost());
        line(out, "  flows: %d, evicted: %d", c.flows(), c.evictedFlows());
        line(out, "  requests: %d, checkpoints: %d", c.requests(), c.checkpoints());
        for (ColoDifference d : c.differences()) {
            line(out, "  differences: %s %s %d", d.protocol(), d.kind().wireName(), d.count());
        }
    }

    private static String millis(long micros) {
        return String.format(Locale.ROOT, "%.3f ms", micros / 1000.0);
    }

    private static void line(StringBuilder out, String format, Object... values) {
        out.append(String.format(Locale.ROOT, format, values)).append('\n');
    }
}
