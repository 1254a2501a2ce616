package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamPiece;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The bus master of one channel: command, status and descriptor table registers, and the walk through the
 * table of physical region descriptors (SFF-8038i 1.0, sections 1.2 and 1.3). Called under the machine lock.
 */
final class BusMaster {
    /** A descriptor table does not cross 64 KiB, but no real driver makes one beyond a page. */
    private static final int TABLE_LIMIT = 4096;

    private static final int DESCRIPTOR = 8;

    /** Status bits that the stream's compatibility byte uses for other things. */
    private static final int ABUSED = RETRY_DMA | RETRY_PIO | RETRY_READ | RETRY_FLUSH;

    // Wiring.
    private final GuestMemory memory;
    private @Nullable Runnable waiting;

    // Guest-visible state.
    private int command;
    private int status;
    private int table;

    // Progress through the table.
    private int next;
    private boolean last;
    private int regionAddress;
    private int regionLength;

    BusMaster(GuestMemory memory) {
        this.memory = memory;
    }

    void reset() {
        waiting = null;
        command = 0;
        status = 0;
        table = 0;
        rewind();
        next = 0;
    }

    /** Reads register {@code offset} (0 to 7) of a channel, one byte. */
    int read(int offset) {
        return switch (offset) {
            case 0 -> command;
            case 2 -> status;
            case 4, 5, 6, 7 -> table >>> 8 * (offset - 4) & 0xff;
            default -> 0xff;
        };
    }

    /**
     * Writes a register, one byte.
     *
     * @return whether the guest stopped an active transfer: the caller has to end it
     */
    boolean write(int offset, int value) {
        switch (offset) {
            case 0 -> {
                boolean start = (value & BM_START) != 0;
                boolean was = (command & BM_START) != 0;
                command = value & (BM_START | BM_TO_MEMORY);
                if (start && !was) {
                    rewind();
                    if ((status & BM_ACTIVE) == 0) {
                        status |= BM_ACTIVE;
                        go();
                    }
                } else if (!start && was) {
                    boolean active = (status & BM_ACTIVE) != 0;
                    return active;
                }
            }
            case 2 ->
                    status =
                            value & 0x60
                                    | status & BM_ACTIVE
                                    | status & ~value & (BM_ERROR | BM_INTERRUPT);
            case 4, 5, 6, 7 -> {
                int shift = 8 * (offset - 4);
                table = (table & ~(0xff << shift) | (value & 0xff) << shift) & ~3;
            }
            default -> {}
        }
        return false;
    }

    /** The transfer the guest stopped is over. */
    void stopped() {
        waiting = null;
        status &= ~BM_ACTIVE;
    }

    /** Runs {@code transfer} once the guest has started the bus master; at once if it has already. */
    void arm(Runnable transfer) {
        waiting = transfer;
        if ((status & BM_ACTIVE) != 0) {
            go();
        }
    }

    private void go() {
        Runnable transfer = waiting;
        waiting = null;
        if (transfer != null) {
            transfer.run();
        }
    }

    /** Whether a drive waits for the guest to start the bus master. */
    boolean armed() {
        return waiting != null;
    }

    /** Whether the guest asked for the direction from device to memory. */
    boolean toMemory() {
        return (command & BM_TO_MEMORY) != 0;
    }

    /** Forgets a transfer that was armed. */
    void disarm() {
        waiting = null;
    }

    /**
     * The transfer is over.
     *
     * @param more the table describes more memory than the command moved, so the engine stays active
     */
    void finish(boolean more) {
        waiting = null;
        if (more) {
            status |= BM_ACTIVE;
        } else {
            status &= ~BM_ACTIVE;
        }
    }

    /** The drive raised its interrupt. */
    void interrupt() {
        status |= BM_INTERRUPT;
    }

    /** Back to the start of the table. */
    void rewind() {
        next = table;
        last = false;
        regionAddress = 0;
        regionLength = 0;
    }

    /** A place in the table, to come back to. */
    private record Place(int next, boolean last, int regionAddress, int regionLength) {}

    private Place place() {
        return new Place(next, last, regionAddress, regionLength);
    }

    private void backTo(Place place) {
        next = place.next;
        last = place.last;
        regionAddress = place.regionAddress;
        regionLength = place.regionLength;
    }

    /** Bytes that the rest of the table describes, counted up to the first sum beyond {@code enough}. */
    long available(long enough) {
        Place here = place();
        long sum = 0;
        while (sum <= enough && (regionLength != 0 || load())) {
            sum += regionLength;
            regionLength = 0;
        }
        backTo(here);
        return sum;
    }

    /**
     * Goes on by so many bytes of the regions, which the back end moves by itself.
     *
     * @param toFill whether it writes to them
     * @return them, those in one piece together; none, and the place is the same, where they are too small or not RAM
     */
    List<RamPiece> ram(long length, boolean toFill) {
        Place here = place();
        List<RamPiece> pieces = new ArrayList<>();
        long left = length;
        while (left > 0) {
            RamPiece piece =
                    regionLength == 0 && !load()
                            ? null
                            : memory.ram(
                                    Integer.toUnsignedLong(regionAddress),
                                    Math.min(regionLength, left),
                                    toFill);
            if (piece == null) {
                backTo(here);
                return List.of();
            }
            if (!pieces.isEmpty() && pieces.getLast().goesOnWith(piece)) {
                pieces.add(pieces.removeLast().with(piece));
            } else {
                pieces.add(piece);
            }
            regionAddress += (int) piece.length();
            regionLength -= (int) piece.length();
            left -= piece.length();
        }
        return pieces;
    }

    /** Reads the next descriptor; false at the end of the table. */
    private boolean load() {
        if (last || next - table < 0 || next - table >= TABLE_LIMIT) {
            return false;
        }
        long at = Integer.toUnsignedLong(next);
        regionAddress = memory.readInt(at) & ~1;
        int word = memory.readInt(at + 4);
        next += DESCRIPTOR;
        int length = word & 0xfffe;
        regionLength = length == 0 ? 0x10000 : length;
        last = word < 0;
        return true;
    }

    /** Copies a buffer into the regions; false if they are too small. */
    boolean toGuest(MemorySegment source) {
        return copy(source, true);
    }

    /** Fills a buffer from the regions; false if they are too small. */
    boolean fromGuest(MemorySegment target) {
        return copy(target, false);
    }

    private boolean copy(MemorySegment buffer, boolean toGuest) {
        long done = 0;
        long size = buffer.byteSize();
        while (done < size) {
            if (regionLength == 0 && !load()) {
                return false;
            }
            int piece = (int) Math.min(regionLength, size - done);
            MemorySegment part = buffer.asSlice(done, piece);
            long at = Integer.toUnsignedLong(regionAddress);
            if (toGuest) {
                memory.write(at, part);
            } else {
                memory.read(at, part);
            }
            regionAddress += piece;
            regionLength -= piece;
            done += piece;
        }
        return true;
    }

    /** Describes the 19 bytes and what follows. QEMU: vmstate "ide bmdma" v3. */
    void describe(StateCodec c, Channel channel) throws StateException {
        command = c.u8("cmd", command);
        int mixed = c.u8("migration_compat_status", status & ~ABUSED | channel.inFlight & ABUSED);
        table = c.u32("addr", table);
        channel.retrySector = c.i64("migration_retry_sector_num", channel.retrySector);
        channel.retryCount = c.u32("migration_retry_nsector", channel.retryCount);
        channel.retryUnit = c.u8("migration_retry_unit", channel.retryUnit);
        if (c.loading()) {
            waiting = null;
            status = mixed & ~ABUSED;
            table &= ~3;
            rewind();
        }
        c.subsection(
                "ide bmdma_current",
                1,
                regionLength != 0,
                s -> {
                    next = s.u32("cur_addr", next);
                    last = s.u32("cur_prd_last", last ? 0x80000000 : 0) != 0;
                    regionAddress = s.u32("cur_prd_addr", regionAddress);
                    regionLength = s.u32("cur_prd_len", regionLength);
                    if (s.loading() && (regionLength < 0 || regionLength > 0x10000)) {
                        throw s.invalid("ide bmdma: cur_prd_len is beyond 64 KiB");
                    }
                });
        c.subsection(
                "ide bmdma/status",
                1,
                (status & ABUSED) != 0,
                s -> status = s.u8("status", status));
    }
}
