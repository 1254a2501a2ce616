package lockstep.devices.fdc;

import lockstep.api.FdcDriveType;
import lockstep.block.BlockBackend;
import lockstep.block.Completion;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.List;
import java.util.Queue;

/** The mechanism of one drive: where its heads stand, and the diskette in it. Under the machine lock. */
final class Drive {
    /** Bytes of a sector. */
    static final int SECTOR = 512;

    /** How far an empty drive's heads may go: nobody says where its last track is. */
    private static final int ANYWHERE = 0xff;

    /** Where the heads stand, and which sector comes by. */
    record Spot(int head, int track, int sector) {}

    /** What comes of moving the heads. */
    enum Seek {
        STAYED,
        MOVED,
        NO_TRACK,
        NO_SECTOR
    }

    /** The sector behind another one. */
    record Step(Spot spot, boolean goesOn, boolean seeks) {}

    // Wiring.
    private @Nullable BlockBackend backend;
    private FdcDriveType kind = FdcDriveType.NONE;
    private FdcDriveType fallback = FdcDriveType.NONE;

    // What the diskette is like.
    private int lastTrack;
    private boolean twoSided;
    private boolean writeProtected = true;
    int lastSector;

    // Guest-visible state.
    Spot spot = new Spot(0, 0, 0);
    int rate;
    int perpendicular;
    boolean changed = true;

    /** There is a drive. */
    void connect(BlockBackend medium, FdcDriveType type, FdcDriveType otherwise) {
        backend = medium;
        kind = type;
        fallback = otherwise;
        mediumChanged();
        if (kind == FdcDriveType.AUTO) {
            kind = fallback;
        }
    }

    /** There is none any more. */
    void disconnect() {
        backend = null;
        kind = FdcDriveType.NONE;
        lastTrack = 0;
        lastSector = 0;
    }

    /** Whether there is a drive. */
    boolean connected() {
        return backend != null;
    }

    /** What kind of drive it is. */
    FdcDriveType kind() {
        return kind;
    }

    boolean writeProtected() {
        return writeProtected;
    }

    private boolean loaded() {
        return backend != null && backend.present();
    }

    /** Somebody put a diskette in or took it out. */
    void mediumChanged() {
        changed = true;
        writeProtected = backend == null || backend.readOnly();
        if (backend != null && backend.present()) {
            Geometry layout = Geometry.of(kind, fallback, backend.length() / SECTOR);
            twoSided = layout.sides() == 2;
            lastTrack = layout.tracks();
            lastSector = layout.sectors();
            rate = layout.rate();
            if (kind == FdcDriveType.AUTO) {
                kind = layout.drive();
            }
        } else {
            lastSector = ANYWHERE;
            lastTrack = ANYWHERE;
        }
    }

    private int number(Spot s) {
        return (s.track() * (twoSided ? 2 : 1) + s.head()) * lastSector + s.sector() - 1;
    }

    private Seek judge(Spot to) {
        if (to.track() > lastTrack || to.head() != 0 && !twoSided) {
            return Seek.NO_TRACK;
        }
        return to.sector() > lastSector ? Seek.NO_SECTOR : Seek.STAYED;
    }

    /** Moves the heads, if there is such a place; an empty drive has no sectors wherever they are. */
    Seek seek(Spot to) {
        Seek result = judge(to);
        if (result != Seek.STAYED) {
            return result;
        }
        if (number(to) != number(spot)) {
            if (to.track() != spot.track()) {
                changed &= !loaded();
                result = Seek.MOVED;
            }
            spot = to;
        }
        return loaded() ? result : Seek.NO_TRACK;
    }

    /** Steps to a track, whatever is there. */
    void step(int track) {
        seek(new Spot(spot.head(), track, spot.sector()));
    }

    /** Steps inwards by so many tracks, or outwards by a negative number of them. */
    void stepBy(int tracks) {
        int to = spot.track() + tracks;
        step(tracks > 0 && to >= lastTrack ? Math.max(lastTrack - 1, 0) : Math.max(to, 0));
    }

    void recalibrate() {
        seek(new Spot(0, 0, 1));
    }

    void select(int head) {
        spot = new Spot(head, spot.track(), spot.sector());
    }

    /** The diskette turns on to the next sector. */
    void turn() {
        if (lastSector != 0) {
            spot = new Spot(spot.head(), spot.track(), spot.sector() % lastSector + 1);
        }
    }

    /**
     * What follows a sector.
     *
     * @param last the command's last sector of a track
     * @param multi whether the command goes on with the other side
     */
    Step after(Spot from, int last, boolean multi) {
        if (from.sector() < lastSector && from.sector() != last) {
            return step(from, new Spot(from.head(), from.track(), from.sector() + 1), true, false);
        }
        if (multi && from.head() == 0 && twoSided) {
            return step(from, new Spot(1, from.track(), 1), true, false);
        }
        int head = multi ? 0 : from.head();
        return step(from, new Spot(head, from.track() + 1, 1), multi && twoSided, true);
    }

    private Step step(Spot from, Spot to, boolean goesOn, boolean seeks) {
        return new Step(judge(to) == Seek.STAYED ? to : from, goesOn, seeks);
    }

    /** Sectors that lie one behind the other: bytes of the diskette, bytes of the data. */
    private record Run(long at, int from, int length) {}

    private Queue<Run> runs(List<Spot> spots, int bytes) {
        Queue<Run> runs = new ArrayDeque<>();
        Iterator<Spot> each = spots.iterator();
        long start = 0;
        int from = 0;
        int end = 0;
        while (each.hasNext() && end < bytes) {
            long at = (long) Math.max(number(each.next()), 0) * SECTOR;
            if (end > from && at != start + end - from) {
                runs.add(new Run(start, from, end - from));
                from = end;
            }
            if (end == from) {
                start = at;
            }
            end = Math.min(end + SECTOR, bytes);
        }
        if (end > from) {
            runs.add(new Run(start, from, end - from));
        }
        return runs;
    }

    /** Reads sectors; behind the end of a short image there are zeroes. {@code done} may be called at once. */
    void read(List<Spot> spots, byte[] target, int bytes, Completion done) {
        next(runs(spots, bytes), target, false, done);
    }

    /** Writes sectors, the last one in part if there are bytes for a part alone. */
    void write(List<Spot> spots, byte[] source, int bytes, Completion done) {
        next(runs(spots, bytes), source, true, done);
    }

    private void next(Queue<Run> left, byte[] data, boolean toDiskette, Completion done) {
        Run run = left.poll();
        BlockBackend medium = backend;
        if (run == null || medium == null) {
            done.complete(run == null ? 0 : Errno.ENOMEDIUM);
            return;
        }
        long there = medium.length() - run.at();
        int length = Math.clamp(there, 0, run.length());
        if (length < run.length() && toDiskette) {
            done.complete(Errno.EIO);
            return;
        }
        if (length == 0) {
            next(left, data, false, done);
            return;
        }
        MemorySegment buffer = Arena.ofAuto().allocate(length, SECTOR);
        if (toDiskette) {
            MemorySegment.copy(data, run.from(), buffer, ValueLayout.JAVA_BYTE, 0, length);
            medium.write(run.at(), buffer, errno -> goOn(errno, left, data, true, done));
        } else {
            medium.read(
                    run.at(),
                    buffer,
                    errno -> {
                        MemorySegment.copy(
                                buffer, ValueLayout.JAVA_BYTE, 0, data, run.from(), length);
                        goOn(errno, left, data, false, done);
                    });
        }
    }

    private void goOn(
            int errno, Queue<Run> left, byte[] data, boolean toDiskette, Completion done) {
        if (errno == 0) {
            next(left, data, toDiskette, done);
        } else {
            done.complete(errno);
        }
    }

    /** QEMU: vmstate "fdrive" v1. */
    void describe(StateCodec c) throws StateException {
        int head = c.u8("head", spot.head()) & 1;
        int track = c.u8("track", spot.track());
        spot = new Spot(head, track, c.u8("sect", spot.sector()));
        if (c.loading()) {
            perpendicular = 0;
            changed = true;
        }
        c.subsection(
                "fdrive/media_changed",
                1,
                connected() && !changed,
                s -> changed = s.u8("media_changed", changed ? 1 : 0) != 0);
        c.subsection("fdrive/media_rate", 1, true, s -> rate = s.u8("media_rate", rate));
        c.subsection(
                "fdrive/perpendicular",
                1,
                perpendicular != 0,
                s -> perpendicular = s.u8("perpendicular", perpendicular) & 7);
    }
}
