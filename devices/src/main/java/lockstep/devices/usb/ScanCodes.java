package lockstep.devices.usb;

/** PC scan codes of set 1 as HID usages of page 7 (HID Usage Tables 1.12, chapter 10). */
final class ScanCodes {
    /** Usage of each plain code from 0x00 on. */
    private static final int[] PLAIN = {
        // esc, digits, minus, equal, backspace
        0x00,
        0x29,
        0x1e,
        0x1f,
        0x20,
        0x21,
        0x22,
        0x23,
        0x24,
        0x25,
        0x26,
        0x27,
        0x2d,
        0x2e,
        0x2a,
        // tab, q to p, brackets, enter
        0x2b,
        0x14,
        0x1a,
        0x08,
        0x15,
        0x17,
        0x1c,
        0x18,
        0x0c,
        0x12,
        0x13,
        0x2f,
        0x30,
        0x28,
        // control, a to l, semicolon, quote, grave
        0xe0,
        0x04,
        0x16,
        0x07,
        0x09,
        0x0a,
        0x0b,
        0x0d,
        0x0e,
        0x0f,
        0x33,
        0x34,
        0x35,
        // shift, backslash, z to m, comma, period, slash, right shift
        0xe1,
        0x31,
        0x1d,
        0x1b,
        0x06,
        0x19,
        0x05,
        0x11,
        0x10,
        0x36,
        0x37,
        0x38,
        0xe5,
        // keypad *, alt, space, caps lock, F1 to F10
        0x55,
        0xe2,
        0x2c,
        0x39,
        0x3a,
        0x3b,
        0x3c,
        0x3d,
        0x3e,
        0x3f,
        0x40,
        0x41,
        0x42,
        0x43,
        // num lock, scroll lock, keypad 7 8 9 - 4 5 6 + 1 2 3 0 .
        0x53,
        0x47,
        0x5f,
        0x60,
        0x61,
        0x56,
        0x5c,
        0x5d,
        0x5e,
        0x57,
        0x59,
        0x5a,
        0x5b,
        0x62,
        0x63,
        // alt-sysrq, nothing, the 102nd key, F11, F12
        0x46,
        0x00,
        0x64,
        0x44,
        0x45
    };

    private ScanCodes() {}

    /** The usage of a code without its break bit, 0 for none. */
    static int usage(int code, boolean extended) {
        if (!extended) {
            return code < PLAIN.length ? PLAIN[code] : 0;
        }
        return switch (code) {
            case 0x1c -> 0x58;
            case 0x1d -> 0xe4;
            case 0x35 -> 0x54;
            case 0x37 -> 0x46;
            case 0x38 -> 0xe6;
            case 0x45, 0x46 -> 0x48;
            case 0x47 -> 0x4a;
            case 0x48 -> 0x52;
            case 0x49 -> 0x4b;
            case 0x4b -> 0x50;
            case 0x4d -> 0x4f;
            case 0x4f -> 0x4d;
            case 0x50 -> 0x51;
            case 0x51 -> 0x4e;
            case 0x52 -> 0x49;
            case 0x53 -> 0x4c;
            case 0x5b -> 0xe3;
            case 0x5c -> 0xe7;
            case 0x5d -> 0x65;
            default -> 0;
        };
    }
}
