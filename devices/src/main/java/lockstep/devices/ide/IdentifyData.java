package lockstep.devices.ide;

import lockstep.runtime.memory.LittleEndian;

import java.nio.charset.StandardCharsets;

/**
 * The 256 words that IDENTIFY DEVICE and IDENTIFY PACKET DEVICE answer (ATA/ATAPI-7 6.17 and 6.18). Values
 * where the standard leaves a choice are QEMU's, so that a guest finds the same drive on either VMM.
 */
final class IdentifyData {
    private final byte[] bytes = new byte[512];

    private IdentifyData() {}

    /** A disk. {@code trim} says that DATA SET MANAGEMENT is offered. */
    static byte[] disk(DriveIdentity id, long sectors, boolean writeCache, boolean trim) {
        IdentifyData d = new IdentifyData();
        int cylinders = id.geometry().cylinders();
        int heads = id.geometry().heads();
        int perTrack = id.geometry().sectors();
        d.word(0, 0x0040);
        d.word(1, cylinders);
        d.word(3, heads);
        d.word(4, 512 * perTrack);
        d.word(5, 512);
        d.word(6, perTrack);
        d.names(id);
        d.word(47, 0x8000 | AtaSpec.MAX_MULTIPLE);
        d.word(48, 1);
        d.word(49, 0x0b00);
        d.word(51, 0x0200);
        d.word(52, 0x0200);
        // Words 54 to 58, 64 to 70 and 88 are valid.
        d.word(53, 7);
        d.word(54, cylinders);
        d.word(55, heads);
        d.word(56, perTrack);
        d.pair(57, (long) cylinders * heads * perTrack);
        d.word(59, 0x0100 | AtaSpec.MAX_MULTIPLE);
        d.pair(60, Math.min(sectors, 0x0fffffff));
        d.word(62, 7);
        d.word(63, 7);
        d.word(64, 3);
        for (int i = 65; i <= 68; i++) {
            d.word(i, 120);
        }
        if (trim) {
            // Trimmed sectors read the same every time.
            d.word(69, 0x4000);
        }
        d.word(80, 0x00f0);
        d.word(81, 0x0016);
        d.word(82, 0x4021);
        d.word(83, 0x7400);
        d.word(84, id.wwn() == 0 ? 0x4000 : 0x4100);
        d.word(85, writeCache ? 0x4021 : 0x4001);
        d.word(86, 0x3400);
        d.word(87, id.wwn() == 0 ? 0x4000 : 0x4100);
        d.word(88, 0x203f);
        d.word(93, 0x6001);
        for (int i = 0; i < 4; i++) {
            d.word(100 + i, (int) (sectors >>> 16 * i));
        }
        d.word(106, 0x6000 | id.physicalExponent());
        if (id.wwn() != 0) {
            for (int i = 0; i < 4; i++) {
                d.word(108 + i, (int) (id.wwn() >>> 16 * (3 - i)));
            }
        }
        d.word(217, id.rotationRate());
        if (trim) {
            d.word(169, 1);
        }
        return d.bytes;
    }

    /** A CD-ROM drive with removable medium and 12-byte packets. */
    static byte[] cdrom(DriveIdentity id) {
        IdentifyData d = new IdentifyData();
        d.word(0, 0x85c0);
        d.names(id);
        d.word(48, 1);
        d.word(49, 0x0300);
        d.word(53, 7);
        d.word(62, 7);
        d.word(63, 7);
        d.word(64, 3);
        d.word(65, 180);
        d.word(66, 180);
        d.word(67, 300);
        d.word(68, 180);
        d.word(71, 30);
        d.word(72, 30);
        d.word(80, 0x001e);
        if (id.wwn() != 0) {
            d.word(84, 0x4100);
            d.word(87, 0x4100);
            for (int i = 0; i < 4; i++) {
                d.word(108 + i, (int) (id.wwn() >>> 16 * (3 - i)));
            }
        }
        d.word(88, 0x203f);
        return d.bytes;
    }

    private void names(DriveIdentity id) {
        text(10, 20, id.serial());
        d20();
        text(23, 8, id.firmware());
        text(27, 40, id.model());
    }

    private void d20() {
        word(20, 3);
        word(21, 512);
        word(22, 4);
    }

    private void word(int index, int value) {
        LittleEndian.put16(bytes, 2 * index, value);
    }

    private void pair(int index, long value) {
        word(index, (int) value);
        word(index + 1, (int) (value >>> 16));
    }

    /** Text with the two characters of each word exchanged, padded with blanks. */
    private void text(int index, int length, String text) {
        byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
        for (int i = 0; i < length; i++) {
            bytes[2 * index + (i ^ 1)] = i < ascii.length ? ascii[i] : (byte) ' ';
        }
    }
}
