package lockstep.devices.usb;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/** {@code usb-kbd}: a keyboard with boot protocol and five lights. Fed with PC scan codes (set 1). */
public final class Keyboard extends HidDevice {
    private static final int KEYS = 16;
    private static final int REPORT = 8;

    // Guest-visible state. Scan codes wait in the queue; bit 8 of the modifiers says that 0xe0 came
    // last.
    private final int[] keycodes = new int[QUEUE];
    private int modifiers;
    private int leds;
    private final int[] pressed = new int[KEYS];
    private int pressedCount;

    Keyboard(Settings settings) {
        super(Kind.KEYBOARD, settings);
    }

    @Override
    void resetFunction() {
        super.resetFunction();
        java.util.Arrays.fill(keycodes, 0);
        java.util.Arrays.fill(pressed, 0);
        modifiers = 0;
        leds = 0;
        pressedCount = 0;
    }

    /** Enters one byte of set 1: a make code, a break code with bit 7, or the prefix 0xe0. */
    public void scanCode(int code) {
        if (count == QUEUE) {
            return;
        }
        keycodes[head + count & QUEUE_MASK] = code & 0xff;
        count++;
        wake();
    }

    /** The lights: bit 0 num lock, 1 caps lock, 2 scroll lock. */
    public int lights() {
        return leds;
    }

    private void takeKey() {
        if (count == 0) {
            return;
        }
        int code = keycodes[head];
        head = head + 1 & QUEUE_MASK;
        count--;
        if (code == 0xe0) {
            modifiers |= 0x100;
            takeKey();
            return;
        }
        int usage = ScanCodes.usage(code & 0x7f, (modifiers & 0x100) != 0);
        modifiers &= ~0x100;
        if (usage == 0) {
            return;
        }
        boolean down = (code & 0x80) == 0;
        if (usage >= 0xe0 && usage <= 0xe7) {
            int bit = 1 << usage - 0xe0;
            modifiers = down ? modifiers | bit : modifiers & ~bit;
            return;
        }
        int at = pressedCount - 1;
        while (at >= 0 && pressed[at] != usage) {
            at--;
        }
        if (down && at < 0 && pressedCount < KEYS) {
            pressed[pressedCount++] = usage;
        } else if (!down && at >= 0) {
            pressed[at] = pressed[--pressedCount];
            pressed[pressedCount] = 0;
        }
    }

    @Override
    int poll(byte[] into, int size) {
        takeKey();
        byte[] report = new byte[REPORT];
        report[0] = (byte) modifiers;
        for (int i = 2; i < REPORT; i++) {
            // With more keys than fit every place says "rollover".
            report[i] = (byte) (pressedCount > REPORT - 2 ? 1 : pressed[i - 2]);
        }
        int length = Math.min(size, REPORT);
        System.arraycopy(report, 0, into, 0, length);
        return length;
    }

    @Override
    void output(byte[] bytes, int length) {
        if (length > 0) {
            leds = bytes[0] & 0x1f;
        }
    }

    /** Describes the 129 bytes. QEMU: vmstate "usb-kbd" v1. */
    void describe(StateCodec c) throws StateException {
        c.struct("dev", "USBDevice", 1, this::describeDevice);
        c.struct(
                "hid",
                "HIDKeyboardDevice",
                1,
                s -> {
                    s.u32s("kbd.keycodes", keycodes);
                    head = s.u32("head", head);
                    count = s.u32("n", count);
                    modifiers = s.u16("kbd.modifiers", modifiers);
                    leds = s.u8("kbd.leds", leds);
                    s.u8s("kbd.key", pressed);
                    pressedCount = s.i32("kbd.keys", pressedCount);
                    protocol = s.i32("protocol", protocol);
                    idle = s.u8("idle", idle);
                });
        if (c.loading()) {
            if (count < 0 || count > QUEUE) {
                throw c.invalid("HIDKeyboardDevice: n is beyond " + QUEUE);
            }
            if (pressedCount < 0 || pressedCount > KEYS) {
                throw c.invalid("HIDKeyboardDevice: kbd.keys is beyond " + KEYS);
            }
            head &= QUEUE_MASK;
        }
    }
}
