package lockstep.colo.compare;

import lockstep.api.ColoDifferenceKind;

import org.jspecify.annotations.Nullable;

/**
 * Compares TCP as what it is to a client: a stream of bytes, its beginning and its end, and what was acknowledged.
 *
 * <p>A segment of the primary leaves when
 *
 * <ul>
 *   <li>all its data were found equal to what the secondary sent at the same place of the stream, in whatever segments;
 *   <li>the secondary has acknowledged what it acknowledges: the client may forget no byte that only one guest has;
 *   <li>what opens or ends the connection in it (SYN, FIN, RST) did so on the secondary too.
 * </ul>
 *
 * Window, urgency, and timestamps may differ; what the SYN negotiates must not.
 */
final class TcpRules {
    private static final int END_OF_OPTIONS = 0;
    private static final int NO_OPERATION = 1;
    private static final int TIMESTAMPS = 8;

    private final StrictEngine engine;

    TcpRules(StrictEngine engine) {
        this.engine = engine;
    }

    // ---- the primary

    void primary(Flow f, Packet p) {
        TcpState t = f.tcp;
        boolean opening = p.is(Packet.SYN) && !(t.primarySyn && p.sequence == t.primaryInitial);
        if (ofNext(f, p, opening, t.primarySeen, f.nextPrimary)) {
            return;
        }
        t.sent(p);
        lookAtEnds(f);
        t.repeats(p, p.dataSequence());
        if (p.unchecked()) {
            Packet kept = engine.keep(p);
            f.primary.addBySequence(kept);
            t.primaryOpening = opening ? kept : t.primaryOpening;
            advance(f);
        } else if (mayLeave(f, p)) {
            engine.release(p);
        } else {
            Packet kept = engine.keep(p);
            f.ready.add(kept);
            t.primaryOpening = opening ? kept : t.primaryOpening;
            advance(f);
        }
    }

    private static boolean mayLeave(Flow f, Packet p) {
        TcpState t = f.tcp;
        if (p.is(Packet.ACK)
                && !(t.secondaryAcknowledges && p.acknowledgement - t.secondaryAcknowledged <= 0)) {
            return false;
        }
        if (p.unchecked()) {
            return false;
        }
        if (t.primarySyn && !t.opened || p.is(Packet.SYN) && p.sequence != t.primaryInitial) {
            return false;
        }
        if (p.is(Packet.FIN) && !ends(f, p.dataEnd())) {
            return false;
        }
        return !p.is(Packet.RST) || resets(t, p);
    }

    private static boolean ends(Flow f, int at) {
        TcpState t = f.tcp;
        return t.secondaryFin
                && at == t.secondaryFinAt
                && (t.based ? at - t.compared <= 0 : f.primary.isEmpty());
    }

    private static boolean resets(TcpState t, Packet p) {
        return t.secondaryReset
                && (t.secondaryResetAt - t.shift == p.sequence
                        || t.secondaryResetAt == p.sequence
                        || t.primarySyn
                                && t.secondarySyn
                                && t.secondaryResetAt - t.secondaryInitial
                                        == p.sequence - t.primaryInitial);
    }

    // ---- the secondary

    void secondary(Flow f, Packet s) {
        TcpState t = f.tcp;
        boolean opens = s.is(Packet.SYN);
        boolean opening = opens && !(t.secondarySyn && s.sequence == t.secondaryInitial);
        if (ofNext(f, s, opening, t.secondarySeen, f.nextSecondary)) {
            return;
        }
        if (opening) {
            t.secondarySyn = true;
            t.secondaryInitial = s.sequence;
            t.secondaryOpening = engine.keep(s);
        }
        t.secondarySeen = true;
        boolean news = acknowledged(t, s);
        if (!opens) {
            t.decideShift(s.sequence);
        }
        t.secondaryOver = s.is(Packet.RST);
        if (t.secondaryOver) {
            t.secondaryReset = true;
            t.secondaryResetAt = s.sequence;
            news = true;
        }
        t.secondaryEnds |= s.is(Packet.FIN);
        lookAtEnds(f);
        boolean data = s.dataLength() > 0 || s.is(Packet.FIN);
        if (data && !f.differs && !repeated(t, s)) {
            f.secondary.addBySequence(opening ? engine.another(s) : engine.keep(s));
        } else if (!opening) {
            engine.drop(s);
        }
        if (data || opens) {
            advance(f);
        } else if (news) {
            releaseReady(f);
        }
    }

    private static boolean repeated(TcpState t, Packet s) {
        return t.shiftKnown
                && !s.is(Packet.FIN)
                && t.old(s, t.place(s))
                && t.repeats(s, t.place(s));
    }

    private static boolean acknowledged(TcpState t, Packet s) {
        if (!s.is(Packet.ACK)
                || t.secondaryAcknowledges && s.acknowledgement - t.secondaryAcknowledged <= 0) {
            return false;
        }
        t.secondaryAcknowledges = true;
        t.secondaryAcknowledged = s.acknowledgement;
        return true;
    }

    // ---- both

    /**
     * Puts a segment aside that belongs to another connection between the same ends than the one that is compared, be that
     * from its middle on; whether it does.
     */
    private boolean ofNext(Flow f, Packet p, boolean opening, boolean seen, PacketList next) {
        TcpState t = f.tcp;
        p.checked = 0;
        boolean fromMiddle = t.primarySeen && !t.primarySyn || t.secondarySeen && !t.secondarySyn;
        if (next.isEmpty() && !(opening && (seen || fromMiddle))) {
            return false;
        }
        next.add(engine.keep(p));
        nextConnection(f);
        return true;
    }

    /** One side may reset what the other one ends: a guest sends nothing more behind a reset. */
    private void lookAtEnds(Flow f) {
        TcpState t = f.tcp;
        if (t.primaryOver && t.secondaryEnds && !t.primaryFin
                || t.secondaryOver && t.primaryFin && !t.secondaryEnds) {
            engine.differ(f, ColoDifferenceKind.END);
        }
    }

    private void advance(Flow f) {
        if (!f.differs && open(f)) {
            compare(f);
            matchAgain(f);
        }
        releaseReady(f);
    }

    /** Compares the openings; whether data can be. */
    private boolean open(Flow f) {
        TcpState t = f.tcp;
        Packet p = t.primaryOpening;
        Packet s = t.secondaryOpening;
        if (p != null && s != null) {
            int kind = Packet.SYN | Packet.ACK;
            if ((p.flags & kind) != (s.flags & kind) || !sameOptions(p, s)) {
                engine.differ(f, ColoDifferenceKind.OPTIONS);
                return false;
            }
            t.opened = true;
            t.begin(t.primaryInitial + 1);
            t.primaryOpening = null;
            t.secondaryOpening = null;
            engine.drop(s);
        }
        if (t.opened || !t.primarySyn && !t.secondarySyn) {
            base(f);
            return t.based;
        }
        return false;
    }

    /** Of a connection whose beginning was not seen, data are compared from the first that either side sends. */
    private static void base(Flow f) {
        TcpState t = f.tcp;
        Packet s = f.secondary.first;
        if (s != null && !t.shiftKnown) {
            t.decideShift(s.sequence);
        }
        Packet p = f.primary.first;
        if (!t.based && s != null && (p != null || t.primaryFin)) {
            int first = p != null ? p.dataSequence() : t.primaryFinAt;
            int place = t.place(s);
            t.begin(first - place < 0 ? first : place);
        }
    }

    private void compare(Flow f) {
        TcpState t = f.tcp;
        while (true) {
            Packet p = f.primary.first;
            boolean repeats = p == null || t.repeats(p, p.dataSequence());
            if (p != null && t.old(p, p.dataSequence())) {
                f.primary.remove(p);
                (repeats ? f.ready : f.primaryAgain).add(p);
                continue;
            }
            Packet s = f.secondary.first;
            repeats &= s == null || t.repeats(s, t.place(s));
            if (s != null && t.old(s, t.place(s))) {
                f.secondary.remove(s);
                past(f, s);
                continue;
            }
            if (!repeats) {
                engine.differ(f, ColoDifferenceKind.PAYLOAD);
                return;
            }
            if (beyondTheEnd(t, p, s)) {
                engine.differ(f, ColoDifferenceKind.END);
                return;
            }
            if (p == null || s == null) {
                return;
            }
            int before = t.compared - p.dataSequence();
            int otherBefore = t.compared - t.place(s);
            if (before < 0 || otherBefore < 0) {
                return; // something is yet to come in between
            }
            int bytes = Math.min(p.dataLength() - before, s.dataLength() - otherBefore);
            if (!p.sameData(before, s, otherBefore, bytes)) {
                engine.differ(f, ColoDifferenceKind.PAYLOAD);
                return;
            }
            t.equal(p, before, bytes);
            p.checked = before + bytes;
            s.checked = otherBefore + bytes;
        }
    }

    /** All data of a segment of the secondary are compared, or are others than those that were. */
    private void past(Flow f, Packet s) {
        TcpState t = f.tcp;
        if (s.is(Packet.FIN)) {
            t.secondaryFin = true;
            t.secondaryFinAt = t.place(s) + s.dataLength();
        }
        if (s.unchecked()) {
            f.secondaryAgain.add(s);
        } else {
            engine.drop(s);
        }
    }

    /** What both sides sent again alike may leave, whatever it was the first time: a probe may carry any byte. */
    private void matchAgain(Flow f) {
        TcpState t = f.tcp;
        for (Packet p = f.primaryAgain.first; p != null; ) {
            Packet next = p.next;
            Packet s = f.secondaryAgain.first;
            while (s != null && !alike(t, p, s)) {
                s = s.next;
            }
            if (s != null) {
                p.checked = p.dataLength();
                f.primaryAgain.remove(p);
                f.ready.add(p);
                f.secondaryAgain.remove(s);
                engine.drop(s);
            }
            p = next;
        }
    }

    private static boolean alike(TcpState t, Packet p, Packet s) {
        return t.place(s) == p.dataSequence()
                && s.dataLength() == p.dataLength()
                && p.sameData(0, s, 0, p.dataLength());
    }

    /**
     * Forgets what only the secondary sent again and what is too old to be held against anything: it will not leave.
     * Whether a difference is left.
     */
    boolean settled(Flow f) {
        TcpState t = f.tcp;
        for (Packet s = f.secondaryAgain.first; s != null; ) {
            Packet next = s.next;
            if (!t.history.knows(t.place(s) + s.checked)) {
                f.secondaryAgain.remove(s);
                engine.drop(s);
            }
            s = next;
        }
        return suspect(f);
    }

    /** Whether one side has data behind where the other one ended, or they end at different places. */
    private static boolean beyondTheEnd(TcpState t, @Nullable Packet p, @Nullable Packet s) {
        if (t.secondaryFin && p != null && p.dataEnd() - t.secondaryFinAt > 0) {
            return true;
        }
        if (!t.primaryFin) {
            return false;
        }
        return s != null && t.place(s) + s.dataLength() - t.primaryFinAt > 0
                || t.secondaryFin && t.secondaryFinAt != t.primaryFinAt;
    }

    private void releaseReady(Flow f) {
        Packet p = f.ready.first;
        while (p != null) {
            Packet next = p.next;
            if (mayLeave(f, p)) {
                f.ready.remove(p);
                engine.release(p);
            }
            p = next;
        }
    }

    /** Goes on to the next connection of the same ends when both sides have opened it and the old one is over. */
    private void nextConnection(Flow f) {
        Packet p = f.nextPrimary.first;
        Packet s = f.nextSecondary.first;
        if (p == null || s == null || f.differs) {
            return;
        }
        if (!f.primary.isEmpty() || !f.ready.isEmpty() || !f.primaryAgain.isEmpty()) {
            engine.differ(f, ColoDifferenceKind.END);
            return;
        }
        forget(f.secondary);
        forget(f.secondaryAgain);
        forgetOpening(f.tcp);
        f.tcp.reset();
        // Either may open yet another connection, which must not find what is being taken here.
        f.nextPrimary.clear();
        f.nextSecondary.clear();
        replay(f, p, true);
        replay(f, s, false);
    }

    private void forget(PacketList packets) {
        for (Packet old = packets.first; old != null; old = packets.first) {
            packets.remove(old);
            engine.drop(old);
        }
    }

    private void forgetOpening(TcpState t) {
        Packet s = t.secondaryOpening;
        if (s != null) {
            engine.drop(s);
        }
    }

    private void replay(Flow f, Packet first, boolean primary) {
        Packet p = first;
        while (p != null) {
            Packet next = p.next;
            p.previous = null;
            p.next = null;
            if (primary) {
                primary(f, p);
            } else {
                secondary(f, p);
            }
            p = next;
        }
    }

    /** Whether one side has ended by a reset what the other one goes on with, or sent something else again. */
    static boolean suspect(Flow f) {
        TcpState t = f.tcp;
        if (f.again() || t.secondaryOver && !f.primary.isEmpty()) {
            return true;
        }
        for (Packet p = f.ready.first; p != null; p = p.next) {
            if (p.is(Packet.RST) && (t.secondaryReset || !f.secondary.isEmpty())) {
                return true;
            }
        }
        return false;
    }

    /** Everything was released: the secondary is now as the primary, also in a connection that was yet to be compared. */
    static void checkpoint(Flow f) {
        TcpState t = f.tcp;
        Packet next;
        for (Packet p = f.nextPrimary.first; p != null; p = next) {
            next = p.next;
            boolean opens = p.is(Packet.SYN) && !(t.primarySyn && p.sequence == t.primaryInitial);
            if (opens || p == f.nextPrimary.first) {
                // Several connections may wait, and the last one is the one that goes on.
                t.reset();
                f.primary.clear();
            }
            t.sent(p);
            f.primary.addBySequence(p);
        }
        remember(f);
        t.checkpoint();
        if (!f.used) {
            t.history.begin(t.compared);
        }
        f.used = false;
    }

    /** Data that leave uncompared count as compared if they are sent again. */
    private static void remember(Flow f) {
        TcpState t = f.tcp;
        Packet first = f.primary.first;
        if (!t.based && first != null) {
            t.begin(t.primarySyn ? t.primaryInitial + 1 : first.dataSequence());
        }
        for (Packet p = first; p != null; p = p.next) {
            int before = t.history.end() - p.dataSequence();
            if (before >= 0 && before < p.dataLength()) {
                t.history.add(p.content, p.dataFrom + before, p.dataLength() - before);
            }
        }
    }

    // ---- options

    /** Whether two openings negotiate the same, whatever the order and the timestamps. */
    private static boolean sameOptions(Packet p, Packet s) {
        return covers(p, s) && covers(s, p);
    }

    private static boolean covers(Packet a, Packet b) {
        for (int at = option(a, a.optionsFrom); at >= 0; at = option(a, at + size(a, at))) {
            int other = b.optionsFrom;
            do {
                other = option(b, other);
                if (other < 0) {
                    return false;
                }
                if (equal(a, at, b, other)) {
                    break;
                }
                other += size(b, other);
            } while (true);
        }
        return true;
    }

    private static boolean equal(Packet a, int at, Packet b, int other) {
        int size = size(a, at);
        if (a.content[at] != b.content[other] || size != size(b, other)) {
            return false;
        }
        int compared = a.content[at] == TIMESTAMPS ? 2 : size;
        for (int i = 0; i < compared; i++) {
            if (a.content[at + i] != b.content[other + i]) {
                return false;
            }
        }
        return true;
    }

    private static int size(Packet p, int at) {
        return p.content[at + 1] & 0xff;
    }

    /** The first option from {@code at} on that is whole and says something; negative when there is none. */
    private static int option(Packet p, int at) {
        int i = at;
        while (i < p.dataFrom && p.content[i] == NO_OPERATION) {
            i++;
        }
        if (i + 1 >= p.dataFrom
                || p.content[i] == END_OF_OPTIONS
                || size(p, i) < 2
                || i + size(p, i) > p.dataFrom) {
            return -1;
        }
        return i;
    }
}
