package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.block.Completion;
import lockstep.devices.ide.Drive.After;
import lockstep.runtime.memory.LittleEndian;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the data of a packet command gets to the guest, by port or by bus master, and how the command ends (ATA/ATAPI-7
 * volume 2, 11.8). What the data is, {@link PacketCommands} says.
 */
final class PacketTransport {
    static final int NOT_READY = 2;
    static final int MEDIUM_ERROR = 3;
    static final int ILLEGAL_REQUEST = 5;
    static final int UNIT_ATTENTION = 6;
    static final int ABORTED_COMMAND = 11;

    static final int ASC_OUT_OF_RANGE = 0x21;
    static final int ASC_INVALID_OPCODE = 0x20;
    static final int ASC_INVALID_FIELD = 0x24;
    static final int ASC_MEDIUM_CHANGED = 0x28;
    static final int ASC_INCOMPATIBLE_FORMAT = 0x30;
    static final int ASC_SAVING_UNSUPPORTED = 0x39;
    static final int ASC_NO_MEDIUM = 0x3a;
    static final int ASC_REMOVAL_PREVENTED = 0x53;

    static final int BLOCK = 2048;

    private static final int RAW_BLOCK = 2352;

    /** Interrupt reason, in the sector count register: command rather than data; towards the host. */
    static final int REASON_COMMAND = 0x01;

    private static final int REASON_TO_HOST = 0x02;

    /**
     * Where the buffer's last four bytes say from which block a reply goes on when the buffer is used up.
     * The stream has no field of its own for it; QEMU leaves them zero.
     */
    private static final int NEXT_BLOCK = BUFFER;

    private final Channel channel;

    PacketTransport(Channel channel) {
        this.channel = channel;
    }

    // ---- The medium -------------------------------------------------------------------------

    static boolean mediumPresent(Drive d) {
        return !d.trayOpen && d.disk().present() && d.disk().length() >= BLOCK;
    }

    static long blocks(Drive d) {
        return d.disk().length() / BLOCK;
    }

    static boolean dma(Drive d) {
        return (d.feature & 1) != 0;
    }

    // ---- Ends -------------------------------------------------------------------------------

    void ok(Drive d) {
        d.error = 0;
        d.stopTransfer();
        d.status = READY | SEEK;
        d.nsector = d.nsector & ~7 | REASON_TO_HOST | REASON_COMMAND;
        channel.interrupt();
    }

    /** CHECK CONDITION with this sense key and additional code. */
    void fail(Drive d, int key, int code) {
        d.error = key << 4;
        d.stopTransfer();
        d.status = READY | ERR;
        d.nsector = d.nsector & ~7 | REASON_TO_HOST | REASON_COMMAND;
        d.senseKey = key;
        d.asc = code;
        channel.interrupt();
    }

    /** The command is not even looked at: there is news of the medium, which stays. */
    void attention(Drive d) {
        d.error = UNIT_ATTENTION << 4;
        d.status = READY | ERR;
        d.nsector = d.nsector & ~7 | REASON_TO_HOST | REASON_COMMAND;
        channel.interrupt();
    }

    /** What a failed read of the medium means to the guest. */
    private void failRead(Drive d, int errno) {
        if (errno == lockstep.runtime.linux.Errno.ENOMEDIUM) {
            fail(d, NOT_READY, ASC_NO_MEDIUM);
        } else if (errno == lockstep.runtime.linux.Errno.EINVAL) {
            fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
        } else {
            fail(d, MEDIUM_ERROR, 0x11);
        }
    }

    // ---- Replies ----------------------------------------------------------------------------

    static int byteLimit(Drive d) {
        return d.lcyl | d.hcyl << 8;
    }

    /** Sends {@code size} bytes of the buffer, at most {@code max}. */
    void answer(Drive d, int size, long max) {
        d.packetSize = (int) Math.min(size, max);
        d.elementarySize = 0;
        d.buffer.set(LittleEndian.INT, NEXT_BLOCK, -1);
        d.bufferAt = 0;
        d.bufferEnd = 0;
        if (dma(d)) {
            armReplyDma(d);
        } else {
            reply(d);
        }
    }

    private void armReplyDma(Drive d) {
        int size = d.packetSize;
        d.stopTransfer();
        d.status = READY | SEEK | DRQ;
        channel.noteRetry();
        channel.master.arm(
                () -> {
                    channel.master.toGuest(d.buffer.asSlice(0, size));
                    d.packetSize = 0;
                    finishDma(d);
                });
    }

    private void finishDma(Drive d) {
        ok(d);
        channel.master.finish(false);
    }

    /** PIO: offers the next piece of the reply, or ends the command. */
    void reply(Drive d) {
        if (d.packetSize <= 0) {
            d.stopTransfer();
            d.status = READY | SEEK;
            d.nsector = d.nsector & ~7 | REASON_TO_HOST | REASON_COMMAND;
            channel.interrupt();
            return;
        }
        int at = d.bufferEnd;
        if (at >= BUFFER) {
            fill(d);
            return;
        }
        int limit = byteLimit(d);
        if (limit == 0xffff) {
            limit--;
        }
        int size = d.packetSize;
        if (size > limit) {
            // Pieces but the last have an even length.
            size = limit & ~1;
        }
        // A piece never wraps around the buffer.
        size = Math.min(size, BUFFER - at);
        if (size == 0) {
            fail(d, ABORTED_COMMAND, 0);
            return;
        }
        d.lcyl = size & 0xff;
        d.hcyl = size >>> 8;
        d.nsector = d.nsector & ~7 | REASON_TO_HOST;
        d.packetSize -= size;
        d.elementarySize = 0;
        d.status = READY | SEEK;
        d.startTransfer(at, size, After.PACKET_REPLY);
        channel.interrupt();
    }

    /** PIO: gets the blocks that the rest of a read needs, as many as the buffer holds. */
    private void fill(Drive d) {
        int next = d.buffer.get(LittleEndian.INT, NEXT_BLOCK);
        if (next <= 0) {
            fail(d, ABORTED_COMMAND, 0);
            return;
        }
        int count = Math.min((d.packetSize + BLOCK - 1) / BLOCK, BUFFER / BLOCK);
        d.status = READY | SEEK | BUSY;
        Completion done =
                channel.begin(
                        RETRY_READ,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                failRead(d, errno);
                                return;
                            }
                            d.buffer.set(LittleEndian.INT, NEXT_BLOCK, next + count);
                            d.bufferAt = 0;
                            d.bufferEnd = 0;
                            reply(d);
                        });
        channel.noteRetry();
        d.disk().read((long) next * BLOCK, d.buffer.asSlice(0, (long) count * BLOCK), done);
    }

    // ---- Reads ------------------------------------------------------------------------------

    void read(Drive d, long first, long count) {
        if (count == 0) {
            ok(d);
            return;
        }
        long total = blocks(d);
        if (first >= total || count > total - first || count * BLOCK > Integer.MAX_VALUE) {
            fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
            return;
        }
        d.packetSize = (int) (count * BLOCK);
        if (dma(d)) {
            d.stopTransfer();
            d.status = READY | SEEK | DRQ;
            channel.noteRetry();
            channel.master.arm(() -> readDma(d, first, count));
            return;
        }
        int now = (int) Math.min(count, BUFFER / BLOCK);
        d.status = READY | SEEK | BUSY;
        channel.noteRetry();
        Completion done =
                channel.begin(
                        RETRY_READ,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                failRead(d, errno);
                                return;
                            }
                            d.buffer.set(LittleEndian.INT, NEXT_BLOCK, (int) (first + now));
                            d.bufferAt = 0;
                            d.bufferEnd = 0;
                            reply(d);
                        });
        d.disk().read(first * BLOCK, d.buffer.asSlice(0, (long) now * BLOCK), done);
    }

    private void readDma(Drive d, long first, long count) {
        d.status = READY | SEEK | DRQ;
        channel.dma.read(
                d,
                RETRY_READ,
                first * BLOCK,
                count * BLOCK,
                (errno, bytes) -> {
                    long now = bytes / BLOCK;
                    if (errno != 0) {
                        failRead(d, errno);
                        channel.master.finish(false);
                    } else if (now > 0 && now < count) {
                        readDma(d, first + now, count - now);
                    } else {
                        d.packetSize = 0;
                        finishDma(d);
                    }
                });
    }

    void readRaw(Drive d, long first, long count) {
        if (first >= blocks(d) || count > blocks(d) - first) {
            fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
            return;
        }
        if (count * RAW_BLOCK > BUFFER) {
            // More than the buffer holds in one go; software that wants this reads block by block.
            fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
            return;
        }
        int blocks = (int) count;
        // The user data is read behind the place where the raw blocks grow, the last block first.
        var part = Arena.ofAuto().allocate((long) blocks * BLOCK, 4096);
        d.status = READY | SEEK | BUSY;
        channel.noteRetry();
        Completion done =
                channel.begin(
                        RETRY_READ,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                failRead(d, errno);
                                return;
                            }
                            d.clearBuffer(blocks * RAW_BLOCK);
                            for (int i = 0; i < blocks; i++) {
                                rawHeader(d, i * RAW_BLOCK, first + i);
                                MemorySegment.copy(
                                        part,
                                        (long) i * BLOCK,
                                        d.buffer,
                                        (long) i * RAW_BLOCK + 16,
                                        BLOCK);
                            }
                            answer(d, blocks * RAW_BLOCK, Integer.MAX_VALUE);
                        });
        d.disk().read(first * BLOCK, part, done);
    }

    /** Sync pattern, address and mode of a mode 1 block (ECMA-130, 14.2); no error correction bytes. */
    private static void rawHeader(Drive d, int at, long block) {
        for (int i = 1; i < 11; i++) {
            d.put(at + i, 0xff);
        }
        int[] msf = msf(block);
        d.put(at + 12, msf[0]);
        d.put(at + 13, msf[1]);
        d.put(at + 14, msf[2]);
        d.put(at + 15, 1);
    }

    /** Minute, second, frame of a block; the disc starts with two seconds of lead-in. */
    static int[] msf(long block) {
        long b = block + 150;
        return new int[] {(int) (b / 75 / 60) & 0xff, (int) (b / 75 % 60), (int) (b % 75)};
    }
}
