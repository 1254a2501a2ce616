package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.LittleEndian;

/** Address filters and the receive ring (manual, 3.2 and 13.4.22). */
final class Receiver {
    /** Shortest frame without check sequence; shorter ones are padded, as a switch would have done. */
    private static final int MIN_FRAME = 60;

    /** Longest frame without long packet enable, without and with the check sequence's room for a tag. */
    private static final int MAX_NORMAL = 1522;

    private static final int MAX_LONG = 16384;
    private static final int[] BUFFER_SIZES = {2048, 1024, 512, 256};

    // Wiring.
    private final E1000Chip chip;
    private final GuestMemory memory;

    // Derived from RCTL, and part of the stream.
    int bufferSize;
    int minimumShift;

    private final byte[] frame = new byte[MAX_LONG + 4];

    Receiver(E1000Chip chip, GuestMemory memory) {
        this.chip = chip;
        this.memory = memory;
    }

    void reset() {
        bufferSize = 0;
        minimumShift = 1;
    }

    /** RCTL changed. */
    void configure() {
        int control = chip.registers[RCTL];
        int size = control >>> 16 & 3;
        bufferSize =
                (control & RCTL_BSEX) != 0 && size != 0
                        ? BUFFER_SIZES[size] << 4
                        : BUFFER_SIZES[size];
        minimumShift = (control >>> 8 & 3) + 1;
    }

    /** Whether frames are taken now at all. */
    boolean ready() {
        return chip.linked() && (chip.registers[RCTL] & RCTL_EN) != 0 && chip.board().busMaster();
    }

    /** Whether the ring has buffers for {@code bytes} bytes. */
    boolean hasRoom(int bytes) {
        int[] r = chip.registers;
        int entries = r[RDLEN] / DESCRIPTOR;
        int head = r[RDH];
        int tail = r[RDT];
        if (head == tail || head >= entries) {
            return false;
        }
        int buffers = head < tail ? tail - head : entries + tail - head;
        return bytes <= (long) buffers * bufferSize;
    }

    /** Takes a frame without check sequence. */
    void receive(byte[] bytes, int offset, int length) {
        int[] r = chip.registers;
        if (!ready() || bufferSize == 0) {
            return;
        }
        if (length < 14 || length > MAX_LONG) {
            return;
        }
        if (length > MAX_NORMAL && (r[RCTL] & (RCTL_LPE | RCTL_SBP)) == 0) {
            chip.count(ROC);
            return;
        }
        boolean tagged = BigEndian.get16(bytes, offset + 12) == (r[VET] & 0xffff) && length >= 18;
        if (!wanted(bytes, offset, tagged)) {
            return;
        }
        int special = 0;
        int status = 0;
        int size;
        if (tagged && (r[CTRL] & CTRL_VME) != 0) {
            special = BigEndian.get16(bytes, offset + 14);
            status = RXD_VP;
            System.arraycopy(bytes, offset, frame, 0, 12);
            System.arraycopy(bytes, offset + 16, frame, 12, length - 16);
            size = length - 4;
        } else {
            System.arraycopy(bytes, offset, frame, 0, length);
            size = length;
        }
        while (size < MIN_FRAME) {
            frame[size++] = 0;
        }
        int total = size + ((r[RCTL] & RCTL_SECRC) != 0 ? 0 : 4);
        if (!hasRoom(total)) {
            chip.count(MPC);
            chip.raise(ICR_RXO);
            return;
        }
        store(size, total, status, special);
        chip.countSize(PRC64, total);
        chip.count(TPR);
        chip.count(GPRC);
        chip.countBytes(TORL, size + 4);
        chip.countBytes(GORCL, size + 4);
        int entries = r[RDLEN] / DESCRIPTOR;
        int free = r[RDT] - r[RDH];
        if (free < 0) {
            free += entries;
        }
        int cause = ICR_RXT0;
        if (free * DESCRIPTOR <= r[RDLEN] >>> minimumShift) {
            cause |= ICR_RXDMT0;
        }
        chip.raise(cause);
    }

    private void store(int size, int total, int status, int special) {
        int[] r = chip.registers;
        int entries = r[RDLEN] / DESCRIPTOR;
        long base = (long) r[RDBAH] << 32 | r[RDBAL] & 0xffff_fff0L;
        // The check sequence that software may expect is not computed; nobody looks at it.
        for (int i = size; i < total; i++) {
            frame[i] = 0;
        }
        int done = 0;
        for (int used = 0; used < entries && done < total; used++) {
            long at = base + (long) r[RDH] * DESCRIPTOR;
            int piece = Math.min(total - done, bufferSize);
            long buffer = memory.readLong(at);
            // A null buffer takes its piece and drops it.
            if (buffer != 0) {
                memory.write(buffer, frame, done, piece);
            }
            done += piece;
            memory.writeShort(at + 8, piece);
            memory.writeShort(at + 14, special);
            int flags = status | RXD_DD | (done >= total ? RXD_EOP | RXD_IXSM : 0);
            // The status last: with it the descriptor is the guest's.
            memory.writeShort(at + 12, flags);
            r[RDH] = r[RDH] + 1 >= entries ? 0 : r[RDH] + 1;
        }
    }

    private boolean wanted(byte[] b, int at, boolean tagged) {
        int[] r = chip.registers;
        int control = r[RCTL];
        if (tagged && (control & RCTL_VFE) != 0) {
            int vid = BigEndian.get16(b, at + 14) & 0xfff;
            if ((r[VFTA + (vid >>> 5)] >>> (vid & 31) & 1) == 0) {
                return false;
            }
        }
        boolean multicast = (b[at] & 1) != 0;
        boolean broadcast = multicast;
        for (int i = 0; i < 6 && broadcast; i++) {
            broadcast = b[at + i] == -1;
        }
        if (broadcast && (control & RCTL_BAM) != 0) {
            chip.count(BPRC);
            return true;
        }
        if (multicast && (control & RCTL_MPE) != 0) {
            chip.count(MPRC);
            return true;
        }
        if (!multicast && (control & RCTL_UPE) != 0) {
            return true;
        }
        int low = LittleEndian.get32(b, at);
        int high = LittleEndian.get16(b, at + 4);
        for (int i = RA; i < RA + RA_COUNT; i += 2) {
            if (r[i + 1] < 0 && r[i] == low && (r[i + 1] & 0xffff) == high) {
                return true;
            }
        }
        if (!multicast) {
            return false;
        }
        int offset = control >>> 12 & 3;
        int hash = high >>> (offset == 3 ? 0 : 4 - offset) & 0xfff;
        if ((r[MTA + (hash >>> 5)] >>> (hash & 31) & 1) == 0) {
            return false;
        }
        chip.count(MPRC);
        return true;
    }
}
