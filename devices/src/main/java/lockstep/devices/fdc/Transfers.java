package lockstep.devices.fdc;

import static lockstep.devices.fdc.FdcSpec.*;

import lockstep.block.Completion;
import lockstep.devices.fdc.Drive.Spot;
import lockstep.devices.fdc.Drive.Step;
import lockstep.devices.isa.DmaChannel;
import lockstep.runtime.linux.Errno;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The execution phase of the controller's commands that move data, by DMA or byte by byte through the FIFO. The disk
 * works meanwhile; nothing is ready for the guest until it is done. All that counts is in the chip's registers, so a
 * section holds it; nothing is under way at the disk when one is made.
 */
final class Transfers {
    // Directions, as the section has them.
    static final int WRITE = 0;
    static final int READ = 1;
    static final int SCAN_EQUAL = 2;
    static final int SCAN_LOW = 3;
    static final int SCAN_HIGH = 4;
    static final int VERIFY = 5;

    // Kinds of commands, as the section has them.
    static final int MULTI_TRACK = 1;
    static final int FORMAT = 2;

    private static final int SECTOR = Drive.SECTOR;

    /** Bytes that the guest tells of a sector to be formatted. */
    private static final int MARK = 4;

    /** The longest that the parameters can ask for. */
    static final int MAX_LENGTH = (128 << 7) * (256 + 255);

    /** What is read from the disk at a time. */
    private static final int AT_ONCE = 64 << 10;

    private final FdcChip chip;
    private final DmaChannel dma;

    /** Counts what was cancelled: what ends for an older number ends for nobody. */
    private int generation;

    private boolean waiting;

    /** What was read ahead for the guest to fetch, and where in the transfer it begins. */
    private byte[] ahead = {};

    private int aheadAt;

    Transfers(FdcChip chip, DmaChannel dma) {
        this.chip = chip;
        this.dma = dma;
    }

    /** Whether the disk works; what the guest is to fetch and was not read yet is fetched now. */
    boolean waiting() {
        if (!waiting && chip.fetchedByHand()) {
            readAhead();
        }
        return waiting;
    }

    /** Lets go of what is under way. */
    void cancel() {
        generation++;
        waiting = false;
        ahead = new byte[0];
        dma.release();
    }

    private void later(Completion done, Work work) {
        waiting = true;
        int mine = generation;
        work.start(
                errno -> {
                    if (mine == generation) {
                        waiting = false;
                        done.complete(errno);
                    }
                });
    }

    private interface Work {
        void start(Completion done);
    }

    private boolean multi() {
        return (chip.dataState & MULTI_TRACK) != 0;
    }

    private boolean formats() {
        return (chip.dataState & FORMAT) != 0;
    }

    private boolean scans() {
        return chip.direction >= SCAN_EQUAL && chip.direction <= SCAN_HIGH;
    }

    /** Starts a command with eight parameters, whose first sector the heads have found. */
    void start(int direction) {
        boolean multi = (chip.parameter(0) & 0x80) != 0;
        int sizeCode = chip.parameter(5);
        int last = chip.parameter(6);
        int sectors = last - chip.parameter(4) + 1 + (multi ? last : 0);
        int bytes = sizeCode == 0 ? chip.parameter(8) : (128 << Math.min(sizeCode, 7)) * sectors;
        chip.dataState = multi ? MULTI_TRACK : 0;
        begin(direction, bytes, last);
    }

    /** Starts FORMAT TRACK: the guest tells cylinder, head, number and size of each sector. */
    void format() {
        chip.dataState = FORMAT;
        Drive drive = chip.drive();
        drive.select(chip.parameter(1) >> 2 & 1);
        begin(WRITE, MARK * chip.parameter(3), 0);
    }

    private void begin(int direction, int bytes, int last) {
        chip.direction = direction;
        chip.position = 0;
        chip.length = bytes;
        chip.endOfTrack = last;
        ahead = new byte[0];
        if (direction == WRITE && chip.drive().writeProtected()) {
            chip.end(ST0_ABNORMAL | ST0_SEEK_END, ST1_NOT_WRITABLE, 0);
        } else if (bytes == 0) {
            chip.end(0, 0, 0);
        } else if (direction == VERIFY) {
            chip.executes(false, false);
            verify();
        } else if (chip.byDma()) {
            chip.executes(false, false);
            dma.request();
        } else {
            chip.executes(true, direction == READ);
            if (direction == READ) {
                readAhead();
            } else {
                chip.raiseIrq();
            }
        }
    }

    /** The sectors that hold the next {@code bytes}; the last step leads behind the last full one. */
    private List<Step> walk(Spot from, int bytes) {
        List<Step> steps = new ArrayList<>();
        Step at = new Step(from, true, false);
        for (int left = bytes; left > 0 && at.goesOn(); left -= SECTOR) {
            steps.add(at);
            Step next = chip.drive().after(at.spot(), chip.endOfTrack, multi());
            at = left >= SECTOR ? next : at;
        }
        steps.add(at);
        return steps;
    }

    private static List<Spot> sectors(List<Step> steps) {
        return steps.subList(0, steps.size() - 1).stream().map(Step::spot).toList();
    }

    private static int bytes(List<Step> steps, int most) {
        return Math.min((steps.size() - 1) * SECTOR, most);
    }

    /** The heads have gone a way; where they end up shows in the result. */
    private void arrive(List<Step> steps) {
        for (Step s : steps.subList(1, steps.size())) {
            if (s.seeks()) {
                chip.sought();
            }
        }
        chip.drive().seek(steps.getLast().spot());
    }

    private void end(int errno, int st2) {
        if (errno == 0) {
            chip.end(0, 0, st2);
        } else {
            chip.end(ST0_ABNORMAL | ST0_SEEK_END, ST1_DATA_ERROR, 0);
        }
    }

    private void verify() {
        int left = chip.length - chip.position;
        List<Step> steps = walk(chip.drive().spot, Math.min(left, AT_ONCE));
        byte[] data = new byte[bytes(steps, left)];
        later(
                errno -> {
                    arrive(steps);
                    chip.position += data.length;
                    if (errno != 0 || !steps.getLast().goesOn() || chip.position >= chip.length) {
                        end(errno, 0);
                    } else {
                        verify();
                    }
                },
                done -> chip.drive().read(sectors(steps), data, data.length, done));
    }

    /** The bus is there: all that the guest's block has room for moves in one go. */
    void granted(int size) {
        if (!chip.movesByItself() || waiting) {
            return;
        }
        int wanted = Math.min(size, chip.length);
        if (formats()) {
            byte[] marks = new byte[wanted - wanted % MARK];
            dma.fromMemory(0, marks, marks.length);
            later(errno -> ended(errno, marks.length, 0), done -> format(marks, done));
            return;
        }
        List<Step> steps = walk(chip.drive().spot, wanted);
        byte[] data = new byte[bytes(steps, wanted)];
        if (chip.direction == WRITE) {
            dma.fromMemory(0, data, data.length);
            later(
                    errno -> {
                        arrive(steps);
                        ended(errno, data.length, 0);
                    },
                    done -> chip.drive().write(sectors(steps), data, data.length, done));
            return;
        }
        later(
                errno -> {
                    if (scans()) {
                        scanned(errno, data, steps);
                        return;
                    }
                    dma.toMemory(0, data, data.length);
                    arrive(steps);
                    ended(errno, data.length, 0);
                },
                done -> chip.drive().read(sectors(steps), data, data.length, done));
    }

    private void ended(int errno, int moved, int st2) {
        chip.position = moved;
        dma.moved(moved);
        end(errno, st2);
    }

    /** Looks for the first sector that compares with the guest's data as asked. */
    private void scanned(int errno, byte[] data, List<Step> steps) {
        byte[] host = new byte[data.length];
        dma.fromMemory(0, host, host.length);
        int status = ST2_SCAN_NOT_SATISFIED;
        int at = 0;
        int sectors = 0;
        while (at < data.length && status == ST2_SCAN_NOT_SATISFIED) {
            int to = Math.min(at + SECTOR, data.length);
            status = compare(data, host, at, to);
            at = to;
            sectors++;
        }
        arrive(steps.subList(0, Math.min(sectors + 1, steps.size())));
        ended(errno, at, status);
    }

    /** ST2 after a sector was compared: 82078 section 5.2.8. */
    private int compare(byte[] disk, byte[] host, int from, int to) {
        int order = Arrays.compareUnsigned(disk, from, to, host, from, to);
        if (order == 0) {
            return ST2_SCAN_EQUAL;
        }
        return order < 0 && chip.direction == SCAN_LOW || order > 0 && chip.direction == SCAN_HIGH
                ? 0
                : ST2_SCAN_NOT_SATISFIED;
    }

    /** Fills the sectors that marks tell of. */
    private void format(byte[] marks, Completion done) {
        Drive drive = chip.drive();
        List<Spot> sectors = new ArrayList<>();
        for (int i = 0; i < marks.length; i += MARK) {
            Spot at = new Spot(marks[i + 1] & 0xff, marks[i] & 0xff, marks[i + 2] & 0xff);
            if (at.sector() == 0
                    || marks[i + 3] != SIZE_CODE
                    || drive.seek(at).ordinal() >= Drive.Seek.NO_TRACK.ordinal()) {
                done.complete(Errno.EIO);
                return;
            }
            sectors.add(at);
        }
        byte[] filler = new byte[sectors.size() * SECTOR];
        Arrays.fill(filler, (byte) chip.parameter(5));
        drive.write(sectors, filler, filler.length, done);
    }

    /** Reads what the guest is to fetch next, if that is not here. */
    private void readAhead() {
        int at = chip.position;
        int here = at - aheadAt;
        if (at % SECTOR != 0 || here >= 0 && here < ahead.length) {
            return;
        }
        Drive drive = chip.drive();
        Step first =
                at == 0
                        ? new Step(drive.spot, true, false)
                        : drive.after(drive.spot, chip.endOfTrack, multi());
        int left = chip.length - at;
        if (!first.goesOn()) {
            chip.end(ST0_ABNORMAL, ST1_END_OF_CYLINDER, 0);
            return;
        }
        List<Step> steps = walk(first.spot(), Math.min(left, AT_ONCE));
        byte[] data = new byte[bytes(steps, left)];
        later(
                errno -> {
                    if (errno != 0) {
                        end(errno, 0);
                        return;
                    }
                    ahead = data;
                    aheadAt = at;
                    chip.raiseIrq();
                },
                done -> drive.read(sectors(steps), data, data.length, done));
    }

    /** The guest fetches a byte. */
    int take() {
        int within = chip.position % SECTOR;
        if (within == 0) {
            if (chip.position != 0) {
                Drive drive = chip.drive();
                Step next = drive.after(drive.spot, chip.endOfTrack, multi());
                arrive(List.of(next, next));
            }
            int from = chip.position - aheadAt;
            int length = Math.min(SECTOR, ahead.length - from);
            System.arraycopy(ahead, from, chip.fifo, 0, length);
        }
        int value = chip.fifo[within] & 0xff;
        if (++chip.position >= chip.length) {
            chip.end(0, 0, 0);
        } else {
            readAhead();
        }
        return value;
    }

    /** The guest hands over a byte. */
    void put(int value) {
        int unit = formats() ? MARK : SECTOR;
        int within = chip.position++ % unit;
        if (formats()) {
            // The parameters stay where they are.
            within += SECTOR - MARK;
        }
        chip.fifo[within] = (byte) value;
        if (chip.position % unit != 0 && chip.position < chip.length) {
            return;
        }
        if (formats()) {
            byte[] mark = Arrays.copyOfRange(chip.fifo, SECTOR - MARK, SECTOR);
            later(this::taken, done -> format(mark, done));
            return;
        }
        int bytes = within + 1;
        byte[] data = Arrays.copyOf(chip.fifo, bytes);
        Drive drive = chip.drive();
        if (scans()) {
            byte[] disk = new byte[bytes];
            later(
                    errno -> {
                        int status = compare(disk, data, 0, bytes);
                        boolean over =
                                status != ST2_SCAN_NOT_SATISFIED || chip.position >= chip.length;
                        if (over || errno != 0) {
                            end(errno, status);
                        } else {
                            taken(0);
                        }
                    },
                    done -> drive.read(List.of(drive.spot), disk, bytes, done));
        } else {
            later(this::taken, done -> drive.write(List.of(drive.spot), data, bytes, done));
        }
    }

    /** The disk has a unit. */
    private void taken(int errno) {
        boolean goesOn = true;
        if (errno == 0 && !formats()) {
            List<Step> steps = walk(chip.drive().spot, SECTOR);
            arrive(steps);
            goesOn = steps.getLast().goesOn();
        }
        if (errno != 0 || chip.position >= chip.length) {
            end(errno, 0);
        } else if (!goesOn) {
            chip.end(ST0_ABNORMAL, ST1_END_OF_CYLINDER, 0);
        }
    }
}
