package lockstep.devices.ps2;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Arrays;

/** The keyboard, an IBM 101-key one. QEMU: vmstate "ps2kbd" v3. */
public final class Keyboard implements StateSection {
    private static final int ACK = 0xfa;
    private static final int RESEND = 0xfe;
    private static final int SELF_TEST_PASSED = 0xaa;

    private static final int SET_LEDS = 0xed;
    private static final int ECHO = 0xee;
    private static final int SCAN_CODE_SET = 0xf0;
    private static final int IDENTIFY = 0xf2;
    private static final int SET_RATE = 0xf3;
    private static final int ENABLE = 0xf4;
    private static final int DISABLE = 0xf5;
    private static final int DEFAULTS = 0xf6;
    private static final int ALL_TYPEMATIC = 0xfa;
    private static final int MAKE_BREAK_KEY = 0xfc;
    private static final int RESET = 0xff;

    /** Scan code set 2 to set 1, as the controller translates (IBM PS/2 reference, "Scan codes"). */
    private static final int[] SET_1 = {
        0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
        0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
        0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
        0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
        0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
        0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
        0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
        0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
        0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54
    };

    /** Keys with ways of their own, by number. */
    private static final int CONTROL = 0x1d;

    private static final int CONTROL_RIGHT = 0x9d;
    private static final int SHIFT = 0x2a;
    private static final int SHIFT_RIGHT = 0x36;
    private static final int ALT = 0x38;
    private static final int ALT_RIGHT = 0xb8;
    private static final int SYSRQ = 0x54;
    private static final int PRINT = 0xb7;
    private static final int PAUSE = 0xc6;

    private static final int[] PAUSE_1 = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    private static final int[] BREAK_1 = {0xe0, 0x46, 0xe0, 0xc6};
    private static final int[] PAUSE_2 = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    private static final int[] BREAK_2 = {0xe0, 0x7e, 0xe0, 0xf0, 0x7e};

    // What is held, a bit for each key.
    private static final int HELD_CONTROL = 3;
    private static final int HELD_SHIFT = 3 << 2;
    private static final int HELD_ALT = 1 << 4;
    private static final int HELD_ALT_RIGHT = 1 << 5;

    private final ByteQueue queue = new ByteQueue();
    private Runnable changed = () -> {};
    private boolean scanning = true;
    private boolean translate;
    private boolean breakPrefix;
    private int scanCodeSet = 2;
    private int leds;

    /** What the user holds down; no state of the guest's. */
    private int modifiers;

    /** A keyboard that calls {@code onChange} when it has or has no longer something to say. */
    void connect(Runnable onChange) {
        changed = onChange;
    }

    void reset() {
        queue.reset();
        scanning = true;
        translate = false;
        breakPrefix = false;
        scanCodeSet = 2;
        leds = 0;
        changed.run();
    }

    boolean hasData() {
        return !queue.isEmpty();
    }

    int read() {
        int value = queue.next();
        changed.run();
        return value;
    }

    void translate(boolean on) {
        translate = on;
    }

    /** A key went down or up: its codes in scan code set 2. Dropped when the guest is not listening. */
    public void key(int... codes) {
        if (!scanning || !queue.fits(codes.length)) {
            return;
        }
        for (int code : codes) {
            if (!translate) {
                queue.event(code);
            } else if (code == 0xf0) {
                breakPrefix = true;
            } else {
                int translated =
                        code < SET_1.length
                                ? SET_1[code]
                                : code == 0x83 ? 0x41 : code == 0x84 ? SYSRQ : code;
                queue.event(breakPrefix ? translated | 0x80 : translated);
                breakPrefix = false;
            }
        }
        changed.run();
    }

    /**
     * Enters a key by its number: its code in set 1, with bit 7 set when it follows 0xe0. The guest gets it in the set
     * that it chose (set 3 is given as set 2).
     */
    public void key(int number, boolean down) {
        int code = number & 0x7f;
        int held =
                switch (number) {
                    case CONTROL -> 1;
                    case CONTROL_RIGHT -> 2;
                    case SHIFT -> 1 << 2;
                    case SHIFT_RIGHT -> 2 << 2;
                    case ALT -> HELD_ALT;
                    case ALT_RIGHT -> HELD_ALT_RIGHT;
                    default -> 0;
                };
        modifiers = down ? modifiers | held : modifiers & ~held;
        boolean first = scanCodeSet == 1;
        if (number == PAUSE) {
            // It has no code for coming up.
            if (down) {
                boolean control = (modifiers & HELD_CONTROL) != 0;
                key(first ? control ? BREAK_1 : PAUSE_1 : control ? BREAK_2 : PAUSE_2);
            }
            return;
        }
        if (number == PRINT || number == SYSRQ) {
            print(down, first);
            return;
        }
        int set2 = set2(code);
        if (set2 < 0 || code == 0) {
            return;
        }
        boolean extended = (number & 0x80) != 0;
        int[] codes = new int[3];
        int n = 0;
        if (extended) {
            codes[n++] = 0xe0;
        }
        if (!down && !first) {
            codes[n++] = 0xf0;
        }
        codes[n++] = !first ? set2 : down ? code : code | 0x80;
        key(Arrays.copyOf(codes, n));
    }

    /**
     * The key that is SysRq while Alt is held, for which that Alt is let go and pressed again; else it brings a shift along,
     * unless a shift or control is held.
     */
    private void print(boolean down, boolean first) {
        String make;
        String release;
        if ((modifiers & HELD_ALT) != 0) {
            make = first ? "b8 38 54" : "f0 11 11 84";
            release = first ? "d4 b8 38" : "f0 84 f0 11 11";
        } else if ((modifiers & HELD_ALT_RIGHT) != 0) {
            make = first ? "e0 b8 e0 38 54" : "e0 f0 11 e0 11 84";
            release = first ? "d4 e0 b8 e0 38" : "f0 84 e0 f0 11 e0 11";
        } else if ((modifiers & (HELD_SHIFT | HELD_CONTROL)) != 0) {
            make = first ? "e0 37" : "e0 7c";
            release = first ? "e0 b7" : "e0 f0 7c";
        } else {
            make = first ? "e0 2a e0 37" : "e0 12 e0 7c";
            release = first ? "e0 b7 e0 aa" : "e0 f0 7c e0 f0 12";
        }
        key(
                Arrays.stream((down ? make : release).split(" "))
                        .mapToInt(c -> Integer.parseInt(c, 16))
                        .toArray());
    }

    private static int set2(int code) {
        // F7 is the one key whose code lies beyond the table.
        if (code == 0x41) {
            return 0x83;
        }
        for (int i = 0; i < SET_1.length; i++) {
            if (SET_1[i] == code) {
                return i;
            }
        }
        return -1;
    }

    void write(int value) {
        if (queue.command < 0) {
            command(value);
        } else {
            parameter(value);
        }
        changed.run();
    }

    private void command(int value) {
        switch (value) {
            case 0x00, ALL_TYPEMATIC -> queue.answer(ACK);
            case 0x05 -> queue.answer(RESEND);
            case IDENTIFY -> {
                // An MF2 keyboard; the controller translates its id like any code.
                if (translate) {
                    queue.answer(ACK, 0xab, 0x41);
                } else {
                    queue.answer(ACK, 0xab, 0x83);
                }
            }
            case ECHO -> queue.answer(ECHO);
            case ENABLE -> {
                scanning = true;
                queue.answer(ACK);
            }
            case SCAN_CODE_SET, SET_LEDS, SET_RATE, MAKE_BREAK_KEY -> {
                queue.command = value;
                queue.answer(ACK);
            }
            case DISABLE -> {
                defaults();
                scanning = false;
                queue.answer(ACK);
            }
            case DEFAULTS -> {
                defaults();
                scanning = true;
                queue.answer(ACK);
            }
            case RESET -> {
                defaults();
                scanning = true;
                queue.answer(ACK, SELF_TEST_PASSED);
            }
            default -> queue.answer(RESEND);
        }
    }

    private void defaults() {
        queue.clear();
        scanCodeSet = 2;
        leds = 0;
    }

    private void parameter(int value) {
        switch (queue.command) {
            case SCAN_CODE_SET -> {
                if (value == 0) {
                    queue.answer(
                            ACK,
                            translate ? new int[] {0, 0x43, 0x41, 0x3f}[scanCodeSet] : scanCodeSet);
                } else if (value <= 3) {
                    scanCodeSet = value;
                    queue.answer(ACK);
                } else {
                    queue.answer(RESEND);
                }
            }
            case SET_LEDS -> {
                leds = value;
                queue.answer(ACK);
            }
            default -> queue.answer(ACK);
        }
        queue.command = -1;
    }

    @Override
    public String name() {
        return "ps2kbd";
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        queue.describe(c);
        scanning = c.i32("scan_enabled", scanning ? 1 : 0) != 0;
        translate = c.i32("translate", translate ? 1 : 0) != 0;
        if (c.version() >= 3) {
            scanCodeSet = c.i32("scancode_set", scanCodeSet);
        }
        if (c.loading()) {
            leds = 0;
            breakPrefix = false;
            if (scanCodeSet < 1 || scanCodeSet > 3) {
                throw c.invalid("ps2kbd: scancode_set " + scanCodeSet + " is out of range");
            }
        }
        c.subsection("ps2kbd/ledstate", 3, leds != 0, s -> leds = s.i32("ledstate", leds));
        c.subsection(
                "ps2kbd/need_high_bit",
                1,
                breakPrefix,
                s -> breakPrefix = s.bool("need_high_bit", breakPrefix));
        queue.describeAnswer(c, "ps2kbd/command_reply_queue");
    }
}
