package lockstep.devices.flash;

import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * What a flash chip with Intel's command set does (JEDEC JEP137, command set 1; Intel 28F640): a byte wide, erase blocks
 * of 4 KiB. All commands take no time. QEMU: vmstate "pflash_cfi01" v1. Under the machine lock.
 */
final class FlashChip implements StateSection, IoHandler {
    /** Bytes that a write through the buffer changes at most, and what they are aligned to. */
    static final int BUFFER = 256;

    private static final int NOTHING = -1;

    // Commands; of the chips' two for reading the array, the section has the first one.
    private static final int ARRAY = 0x00;
    private static final int PROGRAM = 0x10;
    private static final int ERASE = 0x20;
    private static final int PROGRAM_TOO = 0x40;
    private static final int CLEAR_STATUS = 0x50;
    private static final int LOCK = 0x60;
    private static final int STATUS = 0x70;
    private static final int IDENTIFY = 0x90;
    private static final int QUERY = 0x98;
    private static final int WRITE_BUFFER = 0xe8;
    private static final int READ_ARRAY = 0xff;
    private static final int CONFIRM = 0xd0;
    private static final int SET_LOCK = 0x01;

    // Bits of the status.
    private static final int PROGRAM_FAILED = 0x10;
    private static final int ERASE_FAILED = 0x20;
    private static final int READY = 0x80;

    /** The memory of the chip. */
    interface Content {
        /** One byte, 0 to 255. */
        int get(long offset);

        /** Stores a byte; {@link #changed} follows. */
        void put(long offset, int value);

        /** Bytes were stored, which must be kept. */
        void changed(long offset, long length);

        /** Whether reads find the memory. */
        void direct(boolean direct);

        /** The whole content came from elsewhere and is not kept here yet. */
        void loaded();
    }

    private final int number;
    private final boolean readOnly;
    private final Content content;
    private final byte[] table;

    // guest-visible state, named as in the stream
    private int writeCycle;
    private int command;
    private int status = READY;
    private long counter;
    private final byte[] buffer = new byte[BUFFER];
    private int bufferOffset = NOTHING;

    /** The board's chip of that number. */
    FlashChip(int number, long blocks, boolean readOnly, Content content) {
        this.number = number;
        this.readOnly = readOnly;
        this.content = content;
        table = table(blocks);
    }

    /** The answers to a query, by address (JEP137, tables 1 to 4), with typical and maximal times of such a chip. */
    private static byte[] table(long blocks) {
        ByteBuffer t = ByteBuffer.allocate(0x52).order(ByteOrder.LITTLE_ENDIAN);
        t.put(0x10, new byte[] {'Q', 'R', 'Y'});
        t.put(0x13, (byte) 1).put(0x15, (byte) 0x31);
        t.put(0x1b, (byte) 0x45).put(0x1c, (byte) 0x55);
        t.put(0x1f, new byte[] {7, 7, 10, 0, 4, 4, 4, 0});
        t.put(0x27, (byte) Long.numberOfTrailingZeros(blocks * Flash.BLOCK));
        t.put(0x28, (byte) 2);
        t.put(0x2a, (byte) Integer.numberOfTrailingZeros(BUFFER));
        t.put(0x2c, (byte) 1);
        t.putShort(0x2d, (short) (blocks - 1));
        t.putShort(0x2f, (short) (Flash.BLOCK >> 8));
        t.put(0x31, new byte[] {'P', 'R', 'I', '1', '0'});
        t.put(0x3f, (byte) 1);
        return t.array();
    }

    void reset() {
        status = READY;
        bufferOffset = NOTHING;
        readArray();
    }

    private void readArray() {
        writeCycle = 0;
        command = ARRAY;
        content.direct(true);
    }

    @Override
    public long read(long offset, int size) {
        int low = (int) offset & 0xff;
        return switch (command) {
            case PROGRAM, ERASE, PROGRAM_TOO, CLEAR_STATUS, LOCK, STATUS, WRITE_BUFFER ->
                    size > 2 ? status | (long) status << 16 : status;
            case IDENTIFY -> 0; // The board gives its chips no codes.
            case QUERY -> low < table.length ? table[low] & 0xff : 0;
            default -> {
                long value = 0;
                for (int i = 0; i < size; i++) {
                    value |= (long) content.get(offset + i) << 8 * i;
                }
                yield value;
            }
        };
    }

    @Override
    public void write(long offset, int size, long value) {
        int given = (int) value & 0xff;
        boolean done =
                switch (writeCycle) {
                    case 0 -> begin(offset, given);
                    case 1 -> goOn(offset, size, value, given);
                    case 2 -> command == WRITE_BUFFER && fill(offset, size, value);
                    default -> command == WRITE_BUFFER && finish(given);
                };
        if (done) {
            content.direct(false);
        } else {
            bufferOffset = NOTHING;
            readArray();
        }
    }

    /** The first cycle of a command; false where the array is read from now on. */
    private boolean begin(long offset, int given) {
        switch (given) {
            case PROGRAM, PROGRAM_TOO, LOCK, QUERY -> writeCycle = 1;
            case ERASE -> {
                erase(offset & -Flash.BLOCK);
                writeCycle = 1;
            }
            case WRITE_BUFFER -> {
                status |= READY;
                writeCycle = 1;
            }
            case STATUS, IDENTIFY -> {}
            case CLEAR_STATUS -> {
                status = 0;
                return false;
            }
            default -> {
                return false;
            }
        }
        command = given;
        return true;
    }

    private void erase(long block) {
        if (readOnly) {
            status |= ERASE_FAILED;
        } else {
            for (int i = 0; i < Flash.BLOCK; i++) {
                content.put(block + i, 0xff);
            }
            content.changed(block, Flash.BLOCK);
        }
        status |= READY;
    }

    private boolean goOn(long offset, int size, long value, int given) {
        switch (command) {
            case PROGRAM, PROGRAM_TOO -> {
                if (readOnly) {
                    status |= PROGRAM_FAILED;
                } else {
                    for (int i = 0; i < size; i++) {
                        content.put(offset + i, (int) (value >>> 8 * i) & 0xff);
                    }
                    content.changed(offset, size);
                }
            }
            case ERASE -> {
                if (given != CONFIRM) {
                    return false;
                }
            }
            case LOCK -> {
                if (given != CONFIRM && given != SET_LOCK) {
                    return false;
                }
            }
            case WRITE_BUFFER -> {
                counter = given;
                writeCycle = 2;
                return true;
            }
            case QUERY -> {
                return given != READ_ARRAY;
            }
            default -> {
                return false;
            }
        }
        status |= READY;
        writeCycle = 0;
        return true;
    }

    /** A unit of data for the buffer: as many as were announced, and one. */
    private boolean fill(long offset, int size, long value) {
        if (bufferOffset == NOTHING && counter != 0) {
            bufferOffset = (int) (offset & -BUFFER);
            for (int i = 0; i < BUFFER; i++) {
                buffer[i] = (byte) content.get(bufferOffset + i);
            }
        }
        long at = offset - bufferOffset;
        if (readOnly || bufferOffset == NOTHING || at < 0 || at + size > BUFFER) {
            status |= PROGRAM_FAILED;
        } else {
            for (int i = 0; i < size; i++) {
                buffer[(int) at + i] = (byte) (value >>> 8 * i);
            }
        }
        status |= READY;
        if (counter == 0) {
            writeCycle = 3;
        } else {
            counter--;
        }
        return true;
    }

    private boolean finish(int given) {
        if (given != CONFIRM || (status & PROGRAM_FAILED) != 0 || bufferOffset == NOTHING) {
            return false;
        }
        for (int i = 0; i < BUFFER; i++) {
            content.put(bufferOffset + i, buffer[i] & 0xff);
        }
        content.changed(bufferOffset, BUFFER);
        bufferOffset = NOTHING;
        status |= READY;
        writeCycle = 0;
        return true;
    }

    // ---- section

    @Override
    public String name() {
        return "pflash_cfi01";
    }

    @Override
    public int instance() {
        return number;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        writeCycle = c.u8("wcycle", writeCycle);
        command = c.u8("cmd", command);
        status = c.u8("status", status);
        counter = c.u64("counter", counter);
        if (c.loading()) {
            bufferOffset = NOTHING;
            Arrays.fill(buffer, (byte) 0);
        }
        c.subsection(
                "pflash_cfi01_blk_write",
                1,
                bufferOffset != NOTHING,
                s -> {
                    s.bytes("blk_bytes", buffer);
                    bufferOffset = s.u32("blk_offset", bufferOffset);
                });
        if (bufferOffset != NOTHING
                && (bufferOffset % BUFFER != 0
                        || bufferOffset + BUFFER > size()
                        || bufferOffset < 0)) {
            throw c.invalid("pflash_cfi01: blk_offset is out of range");
        }
    }

    private long size() {
        return ((table[0x2d] & 0xff | (table[0x2e] & 0xff) << 8) + 1L) * Flash.BLOCK;
    }

    @Override
    public void afterLoad(int version) {
        content.direct(command == ARRAY);
        content.loaded();
    }
}
