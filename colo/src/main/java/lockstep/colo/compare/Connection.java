package lockstep.colo.compare;

import java.util.ArrayList;
import java.util.List;

/**
 * The packets of one connection that wait, and how far its streams have been compared. The queues
 * of TCP are kept in order of sequence numbers, the others in order of arrival.
 */
final class Connection {
    final List<Queued> primary = new ArrayList<>();
    final List<Queued> secondary = new ArrayList<>();

    /** The last acknowledgement seen from either side. */
    int primaryAck;

    int secondaryAck;

    /** Everything before {@link #done} was compared, once {@link #started}. */
    boolean started;

    int done;

    /** Whether all of a packet's payload lies before what was compared. */
    boolean old(Queued q) {
        return started && q.end() - done <= 0;
    }

    void compared(int end) {
        started = true;
        done = end;
    }

    /** Adds a TCP packet behind all whose sequence number is not greater. */
    static void insert(List<Queued> queue, Queued q) {
        int at = queue.size();
        while (at > 0 && queue.get(at - 1).sequence() - q.sequence() > 0) {
            at--;
        }
        queue.add(at, q);
    }
}
