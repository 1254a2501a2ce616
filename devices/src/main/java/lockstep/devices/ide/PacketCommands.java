package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;
import static lockstep.devices.ide.PacketTransport.*;

import lockstep.devices.ide.Drive.After;
import lockstep.runtime.memory.BigEndian;

import java.nio.charset.StandardCharsets;

/**
 * The commands of an ATAPI CD/DVD drive: the few ATA ones, the packets (MMC-5 clause 6, SPC-3). How
 * their data gets to the guest is {@link PacketTransport}'s business.
 */
final class PacketCommands {
    private static final int PACKET_SIZE = 12;

    /** Largest CD: 80 minutes; anything larger is taken for a DVD. */
    private static final long CD_MAX_BLOCKS = 80 * 60 * 75;

    private static final int PROFILE_DVD_ROM = 0x10;
    private static final int PROFILE_CD_ROM = 0x08;

    private final Channel channel;
    private final PacketTransport transport;

    PacketCommands(Channel channel, PacketTransport transport) {
        this.channel = channel;
        this.transport = transport;
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

    // ---- The packet -------------------------------------------------------------------------

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

    /** The guest has sent the twelve bytes. */
    void packet(Drive d) {
        byte[] p = new byte[PACKET_SIZE];
        for (int i = 0; i < PACKET_SIZE; i++) {
            p[i] = (byte) d.get(i);
        }
        int opcode = p[0] & 0xff;
        d.status = READY | SEEK;
        if (d.senseKey == UNIT_ATTENTION && !allowedInUnitAttention(opcode)) {
            transport.attention(d);
            return;
        }
        if (!allowedInUnitAttention(opcode)
                && !d.trayOpen
                && d.disk().present()
                && d.cdromChanged != 0) {
            // Software that misses the unit attention at least sees the drive empty once.
            if (d.cdromChanged == 1) {
                d.cdromChanged = 2;
                transport.fail(d, NOT_READY, ASC_NO_MEDIUM);
            } else {
                d.cdromChanged = 0;
                transport.fail(d, UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
            }
            return;
        }
        if (needsMedium(opcode) && !mediumPresent(d)) {
            transport.fail(d, NOT_READY, ASC_NO_MEDIUM);
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
            case 0x00 -> transport.ok(d);
            case 0x03 -> requestSense(d, p);
            case 0x12 -> inquiry(d, p);
            case 0x1b -> startStop(d, p);
            case 0x1e -> {
                d.trayLocked = (p[4] & 1) != 0;
                transport.ok(d);
            }
            case 0x25 -> {
                d.put32be(0, blocks(d) - 1);
                d.put32be(4, BLOCK);
                transport.answer(d, 8, 8);
            }
            case 0x28 -> transport.read(d, unsigned(p, 2), BigEndian.get16(p, 7));
            case 0xa8 -> transport.read(d, unsigned(p, 2), unsigned(p, 6));
            case 0x2b -> {
                if (unsigned(p, 2) >= blocks(d)) {
                    transport.fail(d, ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
                } else {
                    transport.ok(d);
                }
            }
            case 0x43 -> readToc(d, p);
            case 0x46 -> getConfiguration(d, p);
            case 0x4a -> eventStatus(d, p);
            case 0x51 -> discInformation(d, p);
            case 0x5a -> modeSense(d, p);
            case 0xad -> dvdStructure(d, p);
            case 0xbb -> transport.ok(d);
            case 0xbd -> {
                int max = BigEndian.get16(p, 8);
                d.clearBuffer(8);
                d.put(5, 1);
                transport.answer(d, 8, max);
            }
            case 0xbe -> readCd(d, p);
            default -> transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
        }
    }

    private static long unsigned(byte[] p, int at) {
        return Integer.toUnsignedLong(BigEndian.get32(p, at));
    }

    /** READ CD: user data only, or one raw block at a time. */
    private void readCd(Drive d, byte[] p) {
        long first = unsigned(p, 2);
        long count = (p[6] & 0xff) << 16 | BigEndian.get16(p, 7);
        int wanted = p[9] & 0xf8;
        if (count == 0 || wanted == 0) {
            transport.ok(d);
            return;
        }
        if (!dma(d) && byteLimit(d) == 0) {
            d.abort();
            channel.interrupt();
            return;
        }
        if (wanted == 0x10) {
            transport.read(d, first, count);
        } else if (wanted == 0xf8) {
            transport.readRaw(d, first, count);
        } else {
            transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
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
        transport.answer(d, 18, p[4] & 0xff);
    }

    private void inquiry(Drive d, byte[] p) {
        int max = BigEndian.get16(p, 3);
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
        transport.answer(d, 36, max);
    }

    private void vitalProductData(Drive d, int page, int max) {
        d.clearBuffer(64);
        d.put(0, 5);
        d.put(1, page);
        switch (page) {
            case 0x00 -> {
                d.put(3, 2);
                d.put(5, 0x83);
                transport.answer(d, 6, max);
            }
            case 0x83 -> {
                // One vendor-specific designator: the serial number.
                d.put(3, 24);
                d.put(4, 2);
                d.put(7, 20);
                ascii(d, 8, 20, d.identity.serial());
                transport.answer(d, 28, max);
            }
            default -> transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
            transport.ok(d);
            return;
        }
        boolean start = (p[4] & 1) != 0;
        if ((p[4] & 2) != 0) {
            if (!start && !d.trayOpen && d.trayLocked) {
                transport.fail(
                        d, d.disk().present() ? NOT_READY : ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
                return;
            }
            if (d.trayOpen == start) {
                d.trayOpen = !start;
                d.disk().trayMoved(!start);
            }
        }
        transport.ok(d);
    }

    private void readToc(Drive d, byte[] p) {
        int max = BigEndian.get16(p, 7);
        // The format has a place of its own, and an older one in the control byte.
        int format = (p[2] & 0x0f) != 0 ? p[2] & 0x0f : (p[9] & 0xff) >> 6;
        boolean msf = (p[1] & 2) != 0;
        int start = p[6] & 0xff;
        long total = blocks(d);
        switch (format) {
            case 0 -> {
                if (start > 1 && start != 0xaa) {
                    transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
                transport.answer(d, at, max);
            }
            case 1 -> {
                // Session information: one session.
                d.clearBuffer(12);
                d.put16be(0, 10);
                d.put(2, 1);
                d.put(3, 1);
                transport.answer(d, 12, max);
            }
            case 2 -> {
                int length = rawToc(d, total, msf);
                transport.answer(d, length, max);
            }
            default -> transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
        int max = BigEndian.get16(p, 7);
        if ((p[1] & 3) == 3 || BigEndian.get16(p, 2) > 0x03) {
            transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
        transport.answer(d, length, max);
    }

    private void eventStatus(Drive d, byte[] p) {
        int max = BigEndian.get16(p, 7);
        if ((p[1] & 1) == 0) {
            // Only polling is offered.
            transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
        transport.answer(d, length, max);
    }

    private void discInformation(Drive d, byte[] p) {
        if ((p[1] & 7) != 0) {
            transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
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
        transport.answer(d, 34, BigEndian.get16(p, 7));
    }

    private void modeSense(Drive d, byte[] p) {
        int max = BigEndian.get16(p, 7);
        int control = (p[2] & 0xff) >> 6;
        if (control == 3) {
            transport.fail(d, ILLEGAL_REQUEST, ASC_SAVING_UNSUPPORTED);
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
                transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
                return;
            }
        }
        d.put16be(0, length - 2);
        transport.answer(d, length, max);
    }

    private void dvdStructure(Drive d, byte[] p) {
        if (blocks(d) <= CD_MAX_BLOCKS) {
            transport.fail(d, ILLEGAL_REQUEST, ASC_INCOMPATIBLE_FORMAT);
            return;
        }
        int format = p[7] & 0xff;
        int max = BigEndian.get16(p, 8);
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
                transport.answer(d, 2052, max);
            }
            case 0x01 -> {
                // Copyright: no protection.
                d.clearBuffer(8);
                d.put16be(0, 6);
                transport.answer(d, 8, max);
            }
            default -> transport.fail(d, ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        }
    }
}
