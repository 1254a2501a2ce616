package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.memory.LittleEndian;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * One position on a channel: task file, data buffer and the state of a PIO transfer. An empty position
 * has registers too, which a guest sees through the drive beside it.
 */
final class Drive {
    /** What sits at the position. */
    enum Kind {
        NONE,
        DISK,
        CDROM
    }

    /** What follows when the guest has moved a buffer; the order is that of the migration stream. */
    enum After {
        SECTOR_READ,
        SECTOR_WRITE,
        STOP,
        PACKET_REPLY,
        PACKET_COMMAND,
        DUMMY_STOP;

        /** Whether the guest reads the buffer. */
        boolean toHost() {
            return this != SECTOR_WRITE && this != PACKET_COMMAND;
        }
    }

    // Configuration.
    final Kind kind;
    final DriveIdentity identity;
    private final @Nullable Disk disk;

    // Guest-visible state.
    int multSectors;
    boolean identified;
    final byte[] identifyData = new byte[512];
    int feature;
    int error;
    int nsector;
    int sector;
    int lcyl;
    int hcyl;
    int hobFeature;
    int hobSector;
    int hobNsector;
    int hobLcyl;
    int hobHcyl;
    int select;
    int status;
    boolean lba48;
    int senseKey;
    int asc;
    int cdromChanged;

    // PIO transfer.
    int wantedSectors;
    final MemorySegment buffer;
    int bufferAt;
    int bufferEnd;
    After after = After.DUMMY_STOP;
    int elementarySize;
    int packetSize;

    // Medium changer.
    boolean trayOpen;
    boolean trayLocked;
    boolean newMedia;
    boolean ejectRequest;

    /** Whether SMART is enabled; not part of the stream, where it is always on. */
    boolean smart = true;

    /** An empty position. */
    Drive() {
        this(Kind.NONE, new DriveIdentity("", "", "", 0, DriveIdentity.Geometry.of(0), 0, 0), null);
    }

    Drive(Kind kind, DriveIdentity identity, @Nullable Disk disk) {
        this.kind = kind;
        this.identity = identity;
        this.disk = disk;
        buffer =
                kind == Kind.NONE
                        ? MemorySegment.NULL
                        : Arena.ofAuto().allocate(BUFFER_ON_WIRE, 4096);
        reset();
    }

    boolean present() {
        return kind != Kind.NONE;
    }

    /** The medium of a position that is not empty. */
    Disk disk() {
        Disk d = disk;
        if (d == null) {
            throw new IllegalStateException("no drive here");
        }
        return d;
    }

    /** The state after power-on. */
    void reset() {
        multSectors = MAX_MULTIPLE;
        feature = 0;
        error = 0;
        nsector = 0;
        sector = 0;
        lcyl = 0;
        hcyl = 0;
        hobFeature = 0;
        hobSector = 0;
        hobNsector = 0;
        hobLcyl = 0;
        hobHcyl = 0;
        select = DEVICE_ALWAYS;
        status = READY | SEEK;
        lba48 = false;
        senseKey = 0;
        asc = 0;
        cdromChanged = 0;
        packetSize = 0;
        elementarySize = 0;
        wantedSectors = 0;
        bufferAt = 0;
        bufferEnd = 0;
        after = After.DUMMY_STOP;
        trayOpen = false;
        trayLocked = false;
        newMedia = false;
        ejectRequest = false;
        smart = true;
        signature();
    }

    /** The registers that tell what kind of drive answers (ATA/ATAPI-7 5.18). */
    void signature() {
        select &= ~0x0f;
        nsector = 1;
        sector = 1;
        switch (kind) {
            case DISK -> {
                lcyl = 0;
                hcyl = 0;
            }
            case CDROM -> {
                lcyl = 0x14;
                hcyl = 0xeb;
            }
            case NONE -> {
                lcyl = 0xff;
                hcyl = 0xff;
            }
        }
    }

    /** EXECUTE DEVICE DIAGNOSTIC, also what a software reset leaves: passed. */
    void diagnose() {
        signature();
        status = kind == Kind.CDROM ? 0 : READY | SEEK;
        error = 0x01;
        lba48 = false;
        stopTransfer();
    }

    // ---- Addresses --------------------------------------------------------------------------

    /** The 512-byte sectors of the medium. */
    long sectors() {
        return disk().length() / SECTOR;
    }

    /** The sector the registers address, perhaps negative or beyond the medium. */
    long address() {
        if ((select & DEVICE_LBA) != 0) {
            if (lba48) {
                return (long) hobHcyl << 40
                        | (long) hobLcyl << 32
                        | (long) hobSector << 24
                        | (long) hcyl << 16
                        | (long) lcyl << 8
                        | sector;
            }
            return (long) (select & 0x0f) << 24 | (long) hcyl << 16 | (long) lcyl << 8 | sector;
        }
        DriveIdentity.Geometry g = identity.geometry();
        return ((long) (hcyl << 8 | lcyl) * g.heads() + (select & 0x0f)) * g.sectors() + sector - 1;
    }

    /** Shows a sector in the registers. */
    void setAddress(long value) {
        if ((select & DEVICE_LBA) != 0) {
            if (lba48) {
                hobHcyl = (int) (value >>> 40) & 0xff;
                hobLcyl = (int) (value >>> 32) & 0xff;
                hobSector = (int) (value >>> 24) & 0xff;
            } else {
                select = select & 0xf0 | (int) (value >>> 24) & 0x0f;
            }
            hcyl = (int) (value >>> 16) & 0xff;
            lcyl = (int) (value >>> 8) & 0xff;
            sector = (int) value & 0xff;
            return;
        }
        DriveIdentity.Geometry g = identity.geometry();
        long cylinder = value / (g.heads() * g.sectors());
        long rest = value % (g.heads() * g.sectors());
        hcyl = (int) (cylinder >>> 8) & 0xff;
        lcyl = (int) cylinder & 0xff;
        select = select & 0xf0 | (int) (rest / g.sectors()) & 0x0f;
        sector = (int) (rest % g.sectors()) + 1 & 0xff;
    }

    /** Whether a range lies on the medium. */
    boolean inRange(long first, long count) {
        long total = sectors();
        return first >= 0 && count >= 0 && count <= total && first <= total - count;
    }

    /** Takes the sector count registers as a number: 0 means the most a command can say. */
    void takeCount(boolean extended) {
        lba48 = extended;
        if (!extended) {
            nsector &= 0xff;
            if (nsector == 0) {
                nsector = 256;
            }
        } else {
            nsector = nsector & 0xff | hobNsector << 8;
            if (nsector == 0) {
                nsector = 65536;
            }
        }
    }

    // ---- Buffer -----------------------------------------------------------------------------

    /** Offers {@code length} bytes of the buffer from {@code at} to the guest's data port. */
    void startTransfer(int at, int length, After next) {
        bufferAt = at;
        bufferEnd = at + length;
        after = next;
        if ((status & ERR) == 0) {
            status |= DRQ;
        }
    }

    /** Takes the buffer away from the guest. */
    void stopTransfer() {
        after = After.STOP;
        bufferAt = 0;
        bufferEnd = 0;
        status &= ~DRQ;
    }

    /** The command failed. */
    void abort() {
        stopTransfer();
        status = READY | ERR;
        error = ABRT;
    }

    void clearBuffer(int length) {
        buffer.asSlice(0, length).fill((byte) 0);
    }

    void put(int at, int value) {
        buffer.set(ValueLayout.JAVA_BYTE, at, (byte) value);
    }

    void put16be(int at, int value) {
        buffer.set(BigEndian.SHORT, at, (short) value);
    }

    void put32be(int at, long value) {
        buffer.set(BigEndian.INT, at, (int) value);
    }

    int get(int at) {
        return buffer.get(ValueLayout.JAVA_BYTE, at) & 0xff;
    }

    int get16be(int at) {
        return buffer.get(BigEndian.SHORT, at) & 0xffff;
    }

    long get32be(int at) {
        return buffer.get(BigEndian.INT, at) & 0xffff_ffffL;
    }

    void copyIn(byte[] bytes) {
        MemorySegment.copy(bytes, 0, buffer, ValueLayout.JAVA_BYTE, 0, bytes.length);
    }

    /** The answer to IDENTIFY, made once: afterwards it travels with the drive. */
    byte[] identify() {
        if (!identified) {
            byte[] fresh =
                    kind == Kind.CDROM
                            ? IdentifyData.cdrom(identity)
                            : IdentifyData.disk(identity, sectors(), disk().writeCache(), true);
            System.arraycopy(fresh, 0, identifyData, 0, fresh.length);
            identified = true;
        }
        return identifyData;
    }

    /** Changes one word of the answer to IDENTIFY. */
    void identifyWord(int index, int value) {
        identify();
        LittleEndian.put16(identifyData, 2 * index, value);
    }

    /** Drops the answer, so that the next IDENTIFY makes it anew. */
    void forgetIdentity() {
        identified = false;
        Arrays.fill(identifyData, (byte) 0);
    }
}
