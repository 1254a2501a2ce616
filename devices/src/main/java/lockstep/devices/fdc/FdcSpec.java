package lockstep.devices.fdc;

/** Registers and commands of the Intel 82078, order number 290468-003: chapters 2 and 5. */
final class FdcSpec {
    // Ports, from the base.
    static final int SRB = 1;
    static final int DOR = 2;
    static final int TDR = 3;
    static final int MSR = 4;
    static final int DSR = 4;
    static final int FIFO = 5;
    static final int DIR = 7;
    static final int CCR = 7;

    static final int SRA_PENDING = 0x80;
    static final int SRA_NO_SECOND_DRIVE = 0x40;
    static final int SRB_DEFAULT = 0xc0;
    static final int DOR_NOT_RESET = 0x04;
    static final int DOR_DMA = 0x08;
    static final int TDR_BOOT_DRIVE = 0x04;
    static final int MSR_READY = 0x80;
    static final int MSR_TO_HOST = 0x40;
    static final int MSR_BY_HAND = 0x20;
    static final int MSR_BUSY = 0x10;
    static final int DSR_RESET = 0x80;
    static final int DSR_POWER_DOWN = 0x40;
    static final int DSR_RATE = 0x03;
    static final int DIR_CHANGED = 0x80;
    static final int CONFIG_DEFAULT = 0x60;

    static final int ST0_SEEK_END = 0x20;
    static final int ST0_ABNORMAL = 0x40;
    static final int ST0_INVALID = 0x80;
    static final int ST0_READY_CHANGED = 0xc0;

    static final int ST1_NO_ADDRESS_MARK = 0x01;
    static final int ST1_NOT_WRITABLE = 0x02;
    static final int ST1_DATA_ERROR = 0x20;
    static final int ST1_END_OF_CYLINDER = 0x80;

    static final int ST2_SCAN_NOT_SATISFIED = 0x04;
    static final int ST2_SCAN_EQUAL = 0x08;

    /** Ready, and two sides. */
    static final int ST3_ALWAYS = 0x28;

    static final int ST3_TRACK_0 = 0x10;
    static final int ST3_WRITE_PROTECTED = 0x40;

    /** 512 bytes. */
    static final int SIZE_CODE = 2;

    private FdcSpec() {}

    /** A command byte without the option bits that the data sheets allow it; MFM, MT, SK, LOCK. */
    static int operation(int command) {
        int options =
                switch (command & 0x1f) {
                    case 0x05, 0x06, 0x0c, 0x11, 0x16, 0x19, 0x1d -> 0xe0;
                    case 0x09 -> 0xc0;
                    case 0x02, 0x0a, 0x0d -> 0x40;
                    case 0x14 -> 0x80;
                    default -> 0;
                };
        return command & ~options;
    }

    /** Parameter bytes that follow a command byte: section 5.1. */
    static int parameters(int command) {
        return switch (operation(command)) {
            case 0x02, 0x05, 0x06, 0x09, 0x0c, 0x11, 0x16, 0x19, 0x1d -> 8;
            case 0x03, 0x0f, 0x17, 0x8f, 0xcf -> 2;
            case 0x04, 0x07, 0x0a, 0x12, 0x33 -> 1;
            case 0x0d, 0x8e -> 5;
            case 0x13 -> 3;
            case 0x4e -> 17;
            default -> 0;
        };
    }
}
