package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.block.Completion;
import lockstep.devices.ide.Drive.After;

import java.nio.charset.StandardCharsets;

/**
 * The commands of an ATAPI CD/DVD drive: the few ATA ones, the PACKET protocol (ATA/ATAPI-7 6.24 and volume
 * 2, 11.8) and the packets themselves (MMC-5 clause 6, SPC-3).
 */
final class PacketCommands {
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

    private static final int PACKET_SIZE = 12;
    private static final int BLOCK = 2048;
    private static final int RAW_BLOCK = 2352;

    /** Interrupt reason, in the sector count register: command rather than data; towards the host. */
    private static final int REASON_COMMAND = 0x01;

    private static final int REASON_TO_HOST = 0x02;

    /**
     * Where the buffer's last four bytes say from which block a reply goes on when the buffer is used up.
     * The stream has no field of its own for it; QEMU leaves them zero.
     */
    private static final int NEXT_BLOCK = BUFFER;

    /** Largest CD: 80 minutes; anything larger is taken for a DVD. */
    private static final long CD_MAX_BLOCKS = 80 * 60 * 75;

    private static final int PROFILE_DVD_ROM = 0x10;
    private static final int PROFILE_CD_ROM = 0x08;

    private final Channel channel;

    PacketCommands(Channel channel) {
        this.channel = channel;
    }

    // ---- ATA commands of a packet device ----------------------------------------------------

    /** Runs a command; true when it is over and the guest is to be interrupted. */
    boolean execute(Drive d, int command) {
        switch (command) {
            case PACKET -> {
                if ((d.feature & 0x02) != 0) {
                    // Overlapped.
                    d.abort();
                    return true;
                }
                d.status = READY | SEEK;
                d.nsector = REASON_COMMAND;
                d.startTransfer(0, PACKET_SIZE, After.PACKET_COMMAND);
                return false;
            }
            case IDENTIFY_PACKET -> {
                d.copyIn(d.identify());
                d.status = READY | SEEK;
                d.startTransfer(0, SECTOR, After.STOP);
                channel.interrupt();
                return false;
            }
            case IDENTIFY, READ_SECTORS, READ_SECTORS_ONCE -> {
                // How software tells a packet device: aborted, with the signature in place.
                d.signature();
                d.abort();
                return true;
            }
            case SET_FEATURES -> {
                if (d.feature == 0x03
                        || d.feature == 0x66
                        || d.feature == 0xcc
                        || d.feature == 0x55
                        || d.feature == 0xaa) {
                    d.status = READY | SEEK;
                } else {
                    d.abort();
                }
                return true;
            }
            case CHECK_POWER, CHECK_POWER_OLD -> {
                d.nsector = 0xff;
                d.status = READY | SEEK;
                return true;
            }
            case STANDBY,
                    STANDBY_NOW,
                    STANDBY_OLD,
                    STANDBY_NOW_OLD,
                    IDLE,
                    IDLE_NOW,
                    IDLE_OLD,
                    IDLE_NOW_OLD,
                    SLEEP,
                    SLEEP_OLD -> {
                d.status = READY | SEEK;
                return true;
            }
            default -> {
                d.abort();
                return true;
            }
        }
    }

    // ---- Ends -------------------------------------------------------------------------------

    private void ok(Drive d) {
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

    /** What a failed read of the medium means to the guest. */
    private void failRead(Drive d, int errno) {
        if (errno == lockstep.block.Errno.ENOMEDIUM) {
            fail(d, NOT_READY, ASC_NO_MEDIUM);
        } else if (errno == lockstep.block.Errno.EINVAL) {
            fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
        } else {
            fail(d, MEDIUM_ERROR, 0x11);
        }
    }

    // ---- The packet -------------------------------------------------------------------------

    private static boolean mediumPresent(Drive d) {
        return !d.trayOpen && d.disk().present() && d.disk().length() >= BLOCK;
    }

    private static long blocks(Drive d) {
        return d.disk().length() / BLOCK;
    }

    /** The medium was exchanged or the tray moved by the user. */
    static void mediumChanged(Drive d) {
        d.cdromChanged = 1;
        d.newMedia = true;
        d.ejectRequest = false;
        d.forgetIdentity();
    }

    private static boolean nonData(int opcode) {
        return switch (opcode) {
            case 0x00, 0x1b, 0x1e, 0x2b, 0xbb -> true;
            default -> false;
        };
    }

    private static boolean allowedInUnitAttention(int opcode) {
        return switch (opcode) {
            case 0x03, 0x12, 0x46, 0x4a -> true;
            default -> false;
        };
    }

    private static boolean needsMedium(int opcode) {
        return switch (opcode) {
            case 0x00, 0x25, 0x28, 0xa8, 0x2b, 0x43, 0x51, 0xad, 0xbe -> true;
            default -> false;
        };
    }

    private static boolean dma(Drive d) {
        return (d.feature & 1) != 0;
    }

    /** The guest has sent the twelve bytes. */
    void packet(Drive d) {
        byte[] p = new byte[PACKET_SIZE];
        for (int i = 0; i < PACKET_SIZE; i++) {
            p[i] = (byte) d.get(i);
        }
        int opcode = p[0] & 0xff;
        d.status = READY | SEEK;
        if (d.senseKey == UNIT_ATTENTION && !allowedInUnitAttention(opcode)) {
            d.error = UNIT_ATTENTION << 4;
            d.status = READY | ERR;
            d.nsector = d.nsector & ~7 | REASON_TO_HOST | REASON_COMMAND;
            channel.interrupt();
            return;
        }
        if (!allowedInUnitAttention(opcode)
                && !d.trayOpen
                && d.disk().present()
                && d.cdromChanged != 0) {
            // Software that misses the unit attention at least sees the drive empty once.
            if (d.cdromChanged == 1) {
                d.cdromChanged = 2;
                fail(d, NOT_READY, ASC_NO_MEDIUM);
            } else {
                d.cdromChanged = 0;
                fail(d, UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
            }
            return;
        }
        if (needsMedium(opcode) && !mediumPresent(d)) {
            fail(d, NOT_READY, ASC_NO_MEDIUM);
            return;
        }
        if (!nonData(opcode) && opcode != 0xbe && !dma(d) && byteLimit(d) == 0) {
            // A transfer in pieces of nothing would never end.
            d.abort();
            channel.interrupt();
            return;
        }
        run(d, p, opcode);
    }

    private void run(Drive d, byte[] p, int opcode) {
        switch (opcode) {
            case 0x00 -> ok(d);
            case 0x03 -> requestSense(d, p);
            case 0x12 -> inquiry(d, p);
            case 0x1b -> startStop(d, p);
            case 0x1e -> {
                d.trayLocked = (p[4] & 1) != 0;
                ok(d);
            }
            case 0x25 -> {
                d.put32be(0, blocks(d) - 1);
                d.put32be(4, BLOCK);
                answer(d, 8, 8);
            }
            case 0x28 -> read(d, be32(p, 2), be16(p, 7));
            case 0xa8 -> read(d, be32(p, 2), be32(p, 6));
            case 0x2b -> {
                if (be32(p, 2) >= blocks(d)) {
                    fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
                } else {
                    ok(d);
                }
            }
            case 0x43 -> readToc(d, p);
            case 0x46 -> getConfiguration(d, p);
            case 0x4a -> eventStatus(d, p);
            case 0x51 -> discInformation(d, p);
            case 0x5a -> modeSense(d, p);
            case 0xad -> dvdStructure(d, p);
            case 0xbb -> ok(d);
            case 0xbd -> {
                int max = be16(p, 8);
                d.clearBuffer(8);
                d.put(5, 1);
                answer(d, 8, max);
            }
            case 0xbe -> readCd(d, p);
            default -> fail(d, ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
        }
    }

    private static int be16(byte[] p, int at) {
        return (p[at] & 0xff) << 8 | p[at + 1] & 0xff;
    }

    private static long be32(byte[] p, int at) {
        return (long) be16(p, at) << 16 | be16(p, at + 2);
    }

    // ---- Replies ----------------------------------------------------------------------------

    private static int byteLimit(Drive d) {
        return d.lcyl | d.hcyl << 8;
    }

    /** Sends {@code size} bytes of the buffer, at most {@code max}. */
    private void answer(Drive d, int size, long max) {
        d.packetSize = (int) Math.min(size, max);
        d.elementarySize = 0;
        d.buffer.set(Drive.INT, NEXT_BLOCK, -1);
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
        int next = d.buffer.get(Drive.INT, NEXT_BLOCK);
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
                            d.buffer.set(Drive.INT, NEXT_BLOCK, next + count);
                            d.bufferAt = 0;
                            d.bufferEnd = 0;
                            reply(d);
                        });
        channel.noteRetry();
        d.disk().read((long) next * BLOCK, d.buffer.asSlice(0, (long) count * BLOCK), done);
    }

    // ---- Reads ------------------------------------------------------------------------------

    private void read(Drive d, long first, long count) {
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
                            d.buffer.set(Drive.INT, NEXT_BLOCK, (int) (first + now));
                            d.bufferAt = 0;
                            d.bufferEnd = 0;
                            reply(d);
                        });
        d.disk().read(first * BLOCK, d.buffer.asSlice(0, (long) now * BLOCK), done);
    }

    private void readDma(Drive d, long first, long count) {
        d.status = READY | SEEK | DRQ;
        int now = (int) Math.min(count, BUFFER / BLOCK);
        var part = d.buffer.asSlice(0, (long) now * BLOCK);
        Completion done =
                channel.begin(
                        RETRY_READ,
                        errno -> {
                            if (errno != 0) {
                                failRead(d, errno);
                                channel.master.finish(false);
                                return;
                            }
                            boolean fits = channel.master.toGuest(part);
                            if (fits && count > now) {
                                readDma(d, first + now, count - now);
                            } else {
                                d.packetSize = 0;
                                finishDma(d);
                            }
                        });
        d.disk().read(first * BLOCK, part, done);
    }

    /** READ CD: user data only, or one raw block at a time. */
    private void readCd(Drive d, byte[] p) {
        long first = be32(p, 2);
        long count = (p[6] & 0xff) << 16 | (p[7] & 0xff) << 8 | p[8] & 0xff;
        int wanted = p[9] & 0xf8;
        if (count == 0 || wanted == 0) {
            ok(d);
            return;
        }
        if (!dma(d) && byteLimit(d) == 0) {
            d.abort();
            channel.interrupt();
            return;
        }
        if (wanted == 0x10) {
            read(d, first, count);
        } else if (wanted == 0xf8) {
            readRaw(d, first, count);
        } else {
            fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
    }

    private void readRaw(Drive d, long first, long count) {
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
        var part = java.lang.foreign.Arena.ofAuto().allocate((long) blocks * BLOCK, 4096);
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
                                java.lang.foreign.MemorySegment.copy(
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
    private static int[] msf(long block) {
        long b = block + 150;
        return new int[] {(int) (b / 75 / 60) & 0xff, (int) (b / 75 % 60), (int) (b % 75)};
    }

    // ---- Small answers ----------------------------------------------------------------------

    private void requestSense(Drive d, byte[] p) {
        d.clearBuffer(18);
        d.put(0, 0x70 | 0x80);
        d.put(2, d.senseKey);
        d.put(7, 10);
        d.put(12, d.asc);
        if (d.senseKey == UNIT_ATTENTION) {
            d.senseKey = 0;
        }
        answer(d, 18, p[4] & 0xff);
    }

    private void inquiry(Drive d, byte[] p) {
        int max = be16(p, 3);
        if ((p[1] & 1) != 0) {
            vitalProductData(d, p[2] & 0xff, max);
            return;
        }
        d.clearBuffer(36);
        d.put(0, 5);
        d.put(1, 0x80);
        d.put(3, 0x21);
        d.put(4, 31);
        ascii(d, 8, 8, "QEMU");
        ascii(d, 16, 16, d.identity.model());
        ascii(d, 32, 4, d.identity.firmware());
        answer(d, 36, max);
    }

    private void vitalProductData(Drive d, int page, int max) {
        d.clearBuffer(64);
        d.put(0, 5);
        d.put(1, page);
        switch (page) {
            case 0x00 -> {
                d.put(3, 2);
                d.put(5, 0x83);
                answer(d, 6, max);
            }
            case 0x83 -> {
                // One vendor-specific designator: the serial number.
                d.put(3, 24);
                d.put(4, 2);
                d.put(7, 20);
                ascii(d, 8, 20, d.identity.serial());
                answer(d, 28, max);
            }
            default -> fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
    }

    private static void ascii(Drive d, int at, int length, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        for (int i = 0; i < length; i++) {
            d.put(at + i, i < bytes.length ? bytes[i] : ' ');
        }
    }

    private void startStop(Drive d, byte[] p) {
        if ((p[4] & 0xf0) != 0) {
            // A power condition.
            ok(d);
            return;
        }
        boolean start = (p[4] & 1) != 0;
        if ((p[4] & 2) != 0) {
            if (!start && !d.trayOpen && d.trayLocked) {
                fail(d, d.disk().present() ? NOT_READY : ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
                return;
            }
            if (d.trayOpen == start) {
                d.trayOpen = !start;
                d.disk().trayMoved(!start);
            }
        }
        ok(d);
    }

    private void readToc(Drive d, byte[] p) {
        int max = be16(p, 7);
        // The format has a place of its own, and an older one in the control byte.
        int format = (p[2] & 0x0f) != 0 ? p[2] & 0x0f : (p[9] & 0xff) >> 6;
        boolean msf = (p[1] & 2) != 0;
        int start = p[6] & 0xff;
        long total = blocks(d);
        switch (format) {
            case 0 -> {
                if (start > 1 && start != 0xaa) {
                    fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
                    return;
                }
                d.clearBuffer(32);
                d.put(2, 1);
                d.put(3, 1);
                int at = 4;
                if (start <= 1) {
                    at = track(d, at, 1, 0, msf);
                }
                at = track(d, at, 0xaa, total, msf);
                d.put16be(0, at - 2);
                answer(d, at, max);
            }
            case 1 -> {
                // Session information: one session.
                d.clearBuffer(12);
                d.put16be(0, 10);
                d.put(2, 1);
                d.put(3, 1);
                answer(d, 12, max);
            }
            case 2 -> {
                int length = rawToc(d, total, msf);
                answer(d, length, max);
            }
            default -> fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
    }

    private static int track(Drive d, int at, int number, long block, boolean msf) {
        // Data track, address in Q-channel mode 1.
        d.put(at + 1, number == 0xaa ? 0x16 : 0x14);
        d.put(at + 2, number);
        address(d, at + 4, block, msf);
        return at + 8;
    }

    private static void address(Drive d, int at, long block, boolean msf) {
        if (msf) {
            int[] t = msf(block);
            d.put(at, 0);
            d.put(at + 1, t[0]);
            d.put(at + 2, t[1]);
            d.put(at + 3, t[2]);
        } else {
            d.put32be(at, block);
        }
    }

    /** Full TOC: first track, last track, lead-out, the track (MMC-5 6.26.3.4). */
    private static int rawToc(Drive d, long total, boolean msf) {
        d.clearBuffer(64);
        d.put(2, 1);
        d.put(3, 1);
        int at = 4;
        int[] points = {0xa0, 0xa1, 0xa2, 1};
        for (int point : points) {
            d.put(at, 1);
            d.put(at + 1, 0x14);
            d.put(at + 3, point);
            switch (point) {
                case 0xa0, 0xa1 -> d.put(at + 8, 1);
                case 0xa2 -> address(d, at + 7, total, msf);
                default -> address(d, at + 7, 0, msf);
            }
            at += 11;
        }
        d.put16be(0, at - 2);
        return at;
    }

    private void getConfiguration(Drive d, byte[] p) {
        int max = be16(p, 7);
        if ((p[1] & 3) == 3 || be16(p, 2) > 0x03) {
            fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
            return;
        }
        d.clearBuffer(40);
        boolean present = mediumPresent(d);
        boolean dvd = present && blocks(d) > CD_MAX_BLOCKS;
        d.put16be(6, !present ? 0 : dvd ? PROFILE_DVD_ROM : PROFILE_CD_ROM);
        // Feature 0: the profile list, with what is current.
        d.put(10, 0x03);
        d.put(11, 8);
        d.put16be(12, PROFILE_DVD_ROM);
        d.put(14, present && dvd ? 1 : 0);
        d.put16be(16, PROFILE_CD_ROM);
        d.put(18, present && !dvd ? 1 : 0);
        // Feature 1: core, over ATAPI. Feature 3: removable medium, tray, lock, eject.
        d.put16be(20, 1);
        d.put(22, 0x0b);
        d.put(23, 8);
        d.put(27, 2);
        d.put(28, 1);
        d.put16be(32, 3);
        d.put(34, 0x03);
        d.put(35, 4);
        d.put(36, 0x39);
        int length = 40;
        d.put32be(0, length - 4);
        answer(d, length, max);
    }

    private void eventStatus(Drive d, byte[] p) {
        int max = be16(p, 7);
        if ((p[1] & 1) == 0) {
            // Only polling is offered.
            fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
            return;
        }
        d.clearBuffer(8);
        d.put(3, 0x10);
        int length = 4;
        if ((p[4] & 0x10) != 0) {
            int event = 0;
            if (d.newMedia) {
                event = 2;
                d.newMedia = false;
            } else if (d.ejectRequest) {
                event = 1;
                d.ejectRequest = false;
            }
            d.put(2, 4);
            d.put(4, event);
            d.put(5, (d.trayOpen ? 1 : 0) | (mediumPresent(d) ? 2 : 0));
            length = 8;
        } else {
            // No class that was asked for exists.
            d.put(2, 0x80);
        }
        d.put16be(0, length - 4);
        answer(d, length, max);
    }

    private void discInformation(Drive d, byte[] p) {
        if ((p[1] & 7) != 0) {
            fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
            return;
        }
        d.clearBuffer(34);
        d.put16be(0, 32);
        // Complete disc, last session complete; one session with one track.
        d.put(2, 0x0e);
        for (int i = 3; i <= 6; i++) {
            d.put(i, 1);
        }
        d.put(7, 0x20);
        answer(d, 34, be16(p, 7));
    }

    private void modeSense(Drive d, byte[] p) {
        int max = be16(p, 7);
        int control = (p[2] & 0xff) >> 6;
        if (control == 3) {
            fail(d, ILLEGAL_REQUEST, ASC_SAVING_UNSUPPORTED);
            return;
        }
        d.clearBuffer(64);
        // Medium type: door open, no disc, or data CD; only meaningful to old software.
        d.put(2, d.trayOpen ? 0x71 : mediumPresent(d) ? 0x01 : 0x70);
        int length;
        switch (p[2] & 0x3f) {
            case 0x01 -> {
                // Error recovery: five retries.
                d.put(8, 0x01);
                d.put(9, 6);
                d.put(11, 5);
                length = 16;
            }
            case 0x0e -> {
                // Audio control: both channels at full volume.
                d.put(8, 0x0e);
                d.put(9, 14);
                d.put(10, 4);
                d.put(16, 1);
                d.put(17, 0xff);
                d.put(18, 2);
                d.put(19, 0xff);
                length = 24;
            }
            case 0x2a -> {
                d.put(8, 0x2a);
                d.put(9, 20);
                // Reads CD-R, CD-RW and DVD-ROM; multisession; tray with lock and eject.
                d.put(10, 0x3b);
                d.put(12, 0x70);
                d.put(13, 0x03);
                d.put(14, 0x29 | (d.trayLocked ? 2 : 0));
                d.put16be(16, 706);
                d.put16be(18, 2);
                d.put16be(20, 512);
                d.put16be(22, 706);
                length = 30;
            }
            default -> {
                fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
                return;
            }
        }
        d.put16be(0, length - 2);
        answer(d, length, max);
    }

    private void dvdStructure(Drive d, byte[] p) {
        if (blocks(d) <= CD_MAX_BLOCKS) {
            fail(d, ILLEGAL_REQUEST, ASC_INCOMPATIBLE_FORMAT);
            return;
        }
        int format = p[7] & 0xff;
        int max = be16(p, 8);
        switch (format) {
            case 0x00 -> {
                // Physical format: DVD-ROM, one layer of 120 mm at the highest rate.
                d.clearBuffer(2052);
                d.put16be(0, 2050);
                d.put(4, 0x01);
                d.put(5, 0x0f);
                d.put(6, 0x01);
                d.put32be(8, 0x30000);
                d.put32be(12, 0x30000 + blocks(d) - 1);
                answer(d, 2052, max);
            }
            case 0x01 -> {
                // Copyright: no protection.
                d.clearBuffer(8);
                d.put16be(0, 6);
                answer(d, 8, max);
            }
            default -> fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
    }
}
