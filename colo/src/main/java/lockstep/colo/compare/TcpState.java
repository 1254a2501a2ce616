package lockstep.colo.compare;

import org.jspecify.annotations.Nullable;

/**
 * What is known of one TCP connection on both sides. All sequence numbers are the primary's; the secondary's are shifted
 * where nobody has done so before. One thread.
 */
final class TcpState {
    // ---- the primary

    /** Something was seen of it. */
    boolean primarySeen;

    /** Its SYN was seen; {@link #primaryInitial} is its number. */
    boolean primarySyn;

    int primaryInitial;

    /** The SYN that waits to be compared. */
    @Nullable Packet primaryOpening;

    /** The highest number that it sent, SYN and FIN counted. */
    int sent;

    boolean acknowledges;

    /** The highest number that it acknowledged. */
    int acknowledged;

    /** Its last segment was a reset: unless that was for something else, nothing follows. */
    boolean primaryOver;

    boolean primaryFin;
    int primaryFinAt;

    // ---- the secondary

    boolean secondarySeen;
    boolean secondarySyn;
    int secondaryInitial;
    @Nullable Packet secondaryOpening;

    /** How far its numbers are from the primary's, once {@link #shiftKnown}. */
    int shift;

    boolean shiftKnown;

    boolean secondaryAcknowledges;

    /** The highest number that it acknowledged: no higher one may leave. */
    int secondaryAcknowledged;

    /** Its end was seen; once everything before it was, that is {@link #secondaryFin}. */
    boolean secondaryEnds;

    boolean secondaryFin;
    int secondaryFinAt;

    /** As {@link #primaryOver}. */
    boolean secondaryOver;

    /** Its last reset, as it came. */
    boolean secondaryReset;

    int secondaryResetAt;

    // ---- both

    /** Their SYNs were equal. */
    boolean opened;

    /** All data before {@link #compared} are equal, once {@link #based}. */
    boolean based;

    int compared;

    /** What is before {@link #compared}. */
    final StreamHistory history;

    /** A connection that nothing is known of. */
    TcpState(PacketPool pool) {
        history = new StreamHistory(pool);
    }

    /** Nothing is known. */
    void reset() {
        primarySeen = false;
        primarySyn = false;
        primaryOpening = null;
        acknowledges = false;
        primaryOver = false;
        primaryFin = false;
        secondarySeen = false;
        secondarySyn = false;
        secondaryOpening = null;
        shift = 0;
        shiftKnown = false;
        secondaryAcknowledges = false;
        secondaryEnds = false;
        secondaryFin = false;
        secondaryOver = false;
        secondaryReset = false;
        opened = false;
        based = false;
        history.begin(0);
    }

    /** Data are compared from here on. */
    void begin(int sequence) {
        based = true;
        compared = sequence;
        history.begin(sequence);
    }

    /** Whether the data were all compared, be they sent again. */
    boolean old(Packet p, int place) {
        return based && place + p.dataLength() - compared <= 0;
    }

    /** Whether what a segment has of data that were compared is what these were. */
    boolean repeats(Packet p, int place) {
        int old = based ? Math.min(p.dataLength(), compared - place) : 0;
        if (old > p.checked) {
            int at = p.dataFrom + p.checked;
            if (!history.same(place + p.checked, p.content, at, old - p.checked)) {
                return false;
            }
            p.checked = old;
        }
        return true;
    }

    /** Both sides have these bytes next. */
    void equal(Packet p, int at, int bytes) {
        history.add(p.content, p.dataFrom + at, bytes);
        compared += bytes;
    }

    /** Takes notice of a segment of the primary. A reset may have any number. */
    void sent(Packet p) {
        primaryOver = p.is(Packet.RST);
        if (primaryOver) {
            return;
        }
        if (!primarySeen || p.end() - sent > 0) {
            sent = p.end();
        }
        if (p.is(Packet.SYN)) {
            primarySyn = true;
            primaryInitial = p.sequence;
            sent = p.sequence + 1 + p.dataLength();
        }
        primarySeen = true;
        if (p.is(Packet.ACK) && (!acknowledges || p.acknowledgement - acknowledged > 0)) {
            acknowledges = true;
            acknowledged = p.acknowledgement;
        }
        if (p.is(Packet.FIN)) {
            primaryFin = true;
            primaryFinAt = p.dataEnd();
        }
    }

    /** The secondary is as the primary is: everything that this one sent, that one sent too. */
    void checkpoint() {
        primaryOpening = null;
        secondaryOpening = null;
        if (!primarySeen) {
            reset();
            return;
        }
        secondarySeen = true;
        secondarySyn = primarySyn;
        secondaryInitial = primaryInitial;
        shift = 0;
        shiftKnown = true;
        secondaryAcknowledges = acknowledges;
        secondaryAcknowledged = acknowledged;
        secondaryEnds = primaryFin;
        secondaryFin = primaryFin;
        secondaryFinAt = primaryFinAt;
        secondaryOver = primaryOver;
        secondaryReset = false;
        opened = primarySyn;
        int end = primaryFin ? primaryFinAt : sent;
        if (based && history.end() == end) {
            compared = end;
        } else {
            begin(end);
        }
    }

    /** Where a segment of the secondary has its data, as the primary counts. */
    int place(Packet s) {
        if (s.is(Packet.SYN)) {
            return primaryInitial + 1;
        }
        return s.sequence - shift;
    }

    /** Finds out, with the first segment behind the opening, whether somebody shifts the secondary's numbers on the way. */
    void decideShift(int sequence) {
        if (shiftKnown || !secondarySyn || !primarySyn) {
            return;
        }
        shiftKnown = true;
        int expected = based ? compared - primaryInitial : 1;
        long shifted = Math.abs((long) (sequence - primaryInitial) - expected);
        long own = Math.abs((long) (sequence - secondaryInitial) - expected);
        shift = shifted <= own ? 0 : secondaryInitial - primaryInitial;
    }
}
