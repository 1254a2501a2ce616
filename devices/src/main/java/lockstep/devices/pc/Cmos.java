package lockstep.devices.pc;

import lockstep.api.BiosAtaTranslation;
import lockstep.api.FdcDriveType;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.rtc.Rtc;

import java.util.List;

/** What the PC's BIOS finds in CMOS RAM: IBM PC/AT technical reference, with SeaBIOS's additions. */
final class Cmos {
    private static final int FLOPPY_TYPES = 0x10;
    private static final int DISK_TYPES = 0x12;
    private static final int EQUIPMENT = 0x14;
    private static final int BASE_MEMORY = 0x15;
    private static final int EXTENDED_MEMORY = 0x17;
    private static final int EXTENDED_MEMORY_FOUND = 0x30;
    private static final int MEMORY_ABOVE_16M = 0x34;
    private static final int BOOT_THIRD = 0x38;
    private static final int TRANSLATIONS = 0x39;
    private static final int BOOT_FIRST_TWO = 0x3d;
    private static final int MEMORY_ABOVE_4G = 0x5b;
    private static final int EXTRA_CPUS = 0x5f;

    private static final int FPU = 0x02;
    private static final int POINTER = 0x04;
    private static final int ANY_FLOPPY = 0x01;

    private static final long MIB = 1 << 20;

    private Cmos() {}

    static void fill(Rtc rtc, long below4G, long above4G, int cpus) {
        word(rtc, BASE_MEMORY, Math.min(below4G >> 10, 640));
        long extended = below4G > MIB ? Math.min(below4G - MIB >> 10, 65535) : 0;
        word(rtc, EXTENDED_MEMORY, extended);
        word(rtc, EXTENDED_MEMORY_FOUND, extended);
        long above16M = below4G > 16 * MIB ? Math.min(below4G - 16 * MIB >> 16, 65535) : 0;
        word(rtc, MEMORY_ABOVE_16M, above16M);
        long high = above4G >> 16;
        rtc.cmos(MEMORY_ABOVE_4G, (int) high);
        rtc.cmos(MEMORY_ABOVE_4G + 1, (int) (high >> 8));
        rtc.cmos(MEMORY_ABOVE_4G + 2, (int) (high >> 16));
        rtc.cmos(EXTRA_CPUS, cpus - 1);
    }

    /** The floppy drives. */
    static void floppies(Rtc rtc, List<FdcDriveType> kinds) {
        int types = 0;
        int drives = 0;
        for (FdcDriveType kind : kinds) {
            types = types << 4 | FloppyController.biosType(kind);
            drives += kind == FdcDriveType.NONE ? 0 : 1;
        }
        rtc.cmos(FLOPPY_TYPES, types);
        rtc.cmos(EQUIPMENT, FPU | POINTER | (drives == 0 ? 0 : ANY_FLOPPY | drives - 1 << 6));
    }

    private static void word(Rtc rtc, int cell, long value) {
        rtc.cmos(cell, (int) value & 0xff);
        rtc.cmos(cell + 1, (int) (value >> 8) & 0xff);
    }

    /** How firmware is to shorten the cylinders of an IDE disk, {@code number} 0 to 3. */
    static void translation(Rtc rtc, int number, BiosAtaTranslation how) {
        int code =
                switch (how) {
                    case LBA -> 1;
                    case LARGE -> 2;
                    case RECHS -> 3;
                    default -> 0;
                };
        rtc.cmos(TRANSLATIONS, rtc.cmos(TRANSLATIONS) | code << 2 * number);
    }

    /** The first two disks of the first IDE bus: type 47, with the geometry spelled out. */
    static void disk(Rtc rtc, int number, int cylinders, int heads, int sectors) {
        int shift = number == 0 ? 4 : 0;
        rtc.cmos(DISK_TYPES, rtc.cmos(DISK_TYPES) | 0x0f << shift);
        rtc.cmos(number == 0 ? 0x19 : 0x1a, 47);
        int at = number == 0 ? 0x1b : 0x24;
        rtc.cmos(at, cylinders & 0xff);
        rtc.cmos(at + 1, cylinders >> 8);
        rtc.cmos(at + 2, heads);
        rtc.cmos(at + 3, 0xff);
        rtc.cmos(at + 4, 0xff);
        rtc.cmos(at + 5, 0xc0 | (heads > 8 ? 0x08 : 0));
        rtc.cmos(at + 6, cylinders & 0xff);
        rtc.cmos(at + 7, cylinders >> 8);
        rtc.cmos(at + 8, sectors);
    }

    /**
     * The order of boot devices: {@code a} floppy, {@code c} disk, {@code d} CD-ROM, {@code n} network.
     *
     * @throws IllegalArgumentException for another letter or more than three
     */
    static void bootOrder(Rtc rtc, String order, boolean checkFloppies) {
        int[] codes = new int[3];
        if (order.length() > codes.length) {
            throw new IllegalArgumentException("Too many boot devices for PC");
        }
        for (int i = 0; i < order.length(); i++) {
            codes[i] =
                    switch (order.charAt(i)) {
                        case 'a', 'b' -> 1;
                        case 'c' -> 2;
                        case 'd' -> 3;
                        case 'n' -> 4;
                        default ->
                                throw new IllegalArgumentException(
                                        "Invalid boot device for PC: '" + order.charAt(i) + "'");
                    };
        }
        rtc.cmos(BOOT_FIRST_TWO, codes[1] << 4 | codes[0]);
        // The lowest bit says not to check floppies for a boot signature.
        rtc.cmos(BOOT_THIRD, codes[2] << 4 | (checkFloppies ? 0 : 1));
    }
}
