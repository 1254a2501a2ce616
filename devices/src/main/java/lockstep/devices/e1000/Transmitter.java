package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.memory.GuestMemory;

import java.util.Arrays;

/** The transmit ring: legacy, context and data descriptors, checksums, segmentation (manual, 3.3 to 3.5). */
final class Transmitter {
    static final int MAX_FRAME = 65536;
    static final int HEADER = 256;

    /** Bytes moved before other work gets a turn. */
    private static final int BUDGET = 8 << 20;

    /** What a descriptor or a frame costs of it beside its bytes. */
    private static final int FIXED_COST = 256;

    /** Smallest segment that is cut; a real one is never below, and a guest could ask for millions. */
    private static final int MIN_SEGMENT = 16;

    // Wiring.
    private final E1000Chip chip;
    private final GuestMemory memory;

    // Guest-visible state: the frame that is being put together.
    final byte[] data = new byte[MAX_FRAME];
    final byte[] header = new byte[HEADER];
    int size;
    int segments;
    int sumNeeded;
    final Offload plain = new Offload();
    final Offload large = new Offload();

    // Valid within one frame.
    private boolean segmenting;
    private boolean vlanNeeded;
    private int vlanTag;
    private boolean running;
    private int budget;
    private final byte[] tagged = new byte[MAX_FRAME + 4];

    Transmitter(E1000Chip chip, GuestMemory memory) {
        this.chip = chip;
        this.memory = memory;
    }

    void reset() {
        Arrays.fill(data, (byte) 0);
        Arrays.fill(header, (byte) 0);
        size = 0;
        segments = 0;
        sumNeeded = 0;
        plain.reset();
        large.reset();
        segmenting = false;
        vlanNeeded = false;
        vlanTag = 0;
    }

    /** Whether the guest has given descriptors that are not processed yet. */
    boolean waits() {
        int[] r = chip.registers;
        return r[TDH] != r[TDT] && (r[TCTL] & TCTL_EN) != 0;
    }

    /** Processes descriptors up to the tail; asks to be run again when there are very many. */
    void run() {
        int[] r = chip.registers;
        if ((r[TCTL] & TCTL_EN) == 0 || running || !chip.board().busMaster()) {
            return;
        }
        running = true;
        try {
            int entries = r[TDLEN] / DESCRIPTOR;
            long base = (long) r[TDBAH] << 32 | r[TDBAL] & 0xffff_fff0L;
            int cause = ICR_TXQE;
            budget = BUDGET;
            // A tail beyond the ring is never reached: one round at most.
            for (int done = 0; done < entries && r[TDH] != r[TDT]; done++) {
                if (budget <= 0) {
                    chip.board().transmitLater();
                    break;
                }
                if (size == 0 && !chip.phy.loopback() && chip.board().heldBack()) {
                    cause &= ~ICR_TXQE;
                    break; // The board runs it again.
                }
                budget -= FIXED_COST;
                long at = base + (long) r[TDH] * DESCRIPTOR;
                int command = memory.readInt(at + 8);
                process(at, command);
                if ((command & TXD_RS) != 0) {
                    memory.writeInt(at + 12, (memory.readInt(at + 12) | TXD_DD) & ~TXD_ERRORS);
                    cause |= ICR_TXDW;
                    if ((command & TXD_IDE) != 0) {
                        chip.transmitDelay = true;
                    }
                }
                r[TDH] = r[TDH] + 1 >= entries ? 0 : r[TDH] + 1;
            }
            chip.raise(cause);
        } finally {
            running = false;
        }
    }

    private void process(long at, int command) {
        boolean extended = (command & TXD_DEXT) != 0;
        int length = command & 0xffff;
        if (extended && (command & TXD_DATA) == 0) {
            if ((command & TXD_TSE) != 0) {
                large.load(memory, at);
                segments = 0;
            } else {
                plain.load(memory, at);
            }
            return;
        }
        int upper = memory.readInt(at + 12);
        if (extended) {
            if (size == 0) {
                sumNeeded = upper >>> 8 & 0xff;
            }
            segmenting = (command & TXD_TSE) != 0;
            length = command & 0xfffff;
        } else {
            segmenting = false;
        }
        if ((chip.registers[CTRL] & CTRL_VME) != 0
                && (command & TXD_VLE) != 0
                && (segmenting || (command & TXD_EOP) != 0)) {
            vlanNeeded = true;
            vlanTag = upper >>> 16;
        }
        gather(memory.readLong(at), length);
        if ((command & TXD_EOP) == 0) {
            return;
        }
        if (!segmenting || size >= large.hdrLen) {
            emit();
        }
        segments = 0;
        sumNeeded = 0;
        vlanNeeded = false;
        size = 0;
        segmenting = false;
    }

    /** Appends a buffer, sending every segment that becomes full. */
    private void gather(long address, int length) {
        long from = address;
        int left = length;
        int full = large.hdrLen + Math.max(large.mss, MIN_SEGMENT);
        while (left > 0) {
            // The stream counts these bytes with 16 bits.
            int room = MAX_FRAME - 1 - size;
            if (segmenting) {
                room = Math.min(room, full - size);
            }
            int bytes = Math.min(left, room);
            if (bytes <= 0) {
                return;
            }
            memory.read(from, data, size, bytes);
            budget -= bytes;
            if (segmenting && size < large.hdrLen && size + bytes >= large.hdrLen) {
                System.arraycopy(data, 0, header, 0, large.hdrLen);
            }
            size += bytes;
            from += bytes;
            left -= bytes;
            if (segmenting && size == full) {
                emit();
                System.arraycopy(header, 0, data, 0, large.hdrLen);
                size = large.hdrLen;
            }
        }
    }

    /** Sends what is gathered. */
    private void emit() {
        Offload o = segmenting ? large : plain;
        if (segmenting) {
            if (o.segment(data, size, segments, sumNeeded)) {
                chip.count(TSCTC);
            }
            segments = segments + 1 & 0xffff;
        }
        if ((sumNeeded & POPTS_TXSM) != 0) {
            Offload.checksum(data, size, o.tucso, o.tucss, o.tucse);
        }
        if ((sumNeeded & POPTS_IXSM) != 0) {
            Offload.checksum(data, size, o.ipcso, o.ipcss, o.ipcse);
        }
        if (size < 14) {
            // Not even an Ethernet header: nothing a wire could carry.
            return;
        }
        if (vlanNeeded) {
            System.arraycopy(data, 0, tagged, 0, 12);
            BigEndian.put16(tagged, 12, chip.registers[VET]);
            BigEndian.put16(tagged, 14, vlanTag);
            System.arraycopy(data, 12, tagged, 16, size - 12);
            send(tagged, size + 4);
        } else {
            send(data, size);
        }
    }

    private void send(byte[] frame, int length) {
        budget -= FIXED_COST;
        if (chip.phy.loopback()) {
            chip.receiver.receive(frame, 0, length);
        } else {
            chip.board().send(frame, 0, length);
        }
        int onWire = length + 4;
        chip.countSize(PTC64, onWire);
        if (frame[0] == -1 && frame[1] == -1 && frame[2] == -1 && frame[3] == -1) {
            chip.count(BPTC);
        } else if ((frame[0] & 1) != 0) {
            chip.count(MPTC);
        }
        chip.countBytes(TOTL, onWire);
        chip.countBytes(GOTCL, onWire);
        chip.count(TPT);
        chip.count(GPTC);
    }
}
