package lockstep.devices.usb;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/** {@code usb-tablet} with absolute, {@code usb-mouse} with relative coordinates; five buttons and a wheel. */
public final class Pointer extends HidDevice {
    /** Largest absolute coordinate. */
    public static final int MAX_COORDINATE = 0x7fff;

    // Configuration.
    private final boolean absolute;

    // Wiring.
    private Runnable onFirstPoll = () -> {};

    // Guest-visible state: one entry per event.
    private final int[] x = new int[QUEUE];
    private final int[] y = new int[QUEUE];
    private final int[] wheel = new int[QUEUE];
    private final int[] buttons = new int[QUEUE];

    /** A tablet, or a mouse. */
    Pointer(boolean absolute, Settings settings) {
        super(absolute ? Kind.TABLET : Kind.MOUSE, settings);
        this.absolute = absolute;
    }

    /** Calls this once, when the guest asks for the first time what the user does. */
    void onFirstPoll(Runnable action) {
        onFirstPoll = action;
    }

    /** Whether it reports positions instead of movements. */
    public boolean absolute() {
        return absolute;
    }

    @Override
    void resetFunction() {
        super.resetFunction();
        java.util.Arrays.fill(x, 0);
        java.util.Arrays.fill(y, 0);
        java.util.Arrays.fill(wheel, 0);
        java.util.Arrays.fill(buttons, 0);
    }

    /**
     * Enters what the user did. Under the machine lock.
     *
     * @param px absolute position (0 to {@link #MAX_COORDINATE}), or the movement
     * @param py likewise
     * @param turn notches of the wheel, up is positive
     * @param held bit 0 left, bit 1 right, bit 2 middle, bit 3 side, bit 4 extra button
     */
    public void event(int px, int py, int turn, int held) {
        if (count == QUEUE - 1) {
            return;
        }
        int now = head + count & QUEUE_MASK;
        int before = now - 1 & QUEUE_MASK;
        if (count > 0 && buttons[before] == held) {
            // Nobody has polled yet: movements melt into one, button changes never do.
            merge(before, px, py, turn);
        } else {
            x[now] = px;
            y[now] = py;
            wheel[now] = turn;
            buttons[now] = held;
            count++;
        }
        wake();
    }

    private void merge(int at, int px, int py, int turn) {
        if (absolute) {
            x[at] = px;
            y[at] = py;
        } else {
            x[at] = Math.clamp((long) x[at] + px, -0x8000, 0x7fff);
            y[at] = Math.clamp((long) y[at] + py, -0x8000, 0x7fff);
        }
        wheel[at] = Math.clamp((long) wheel[at] + turn, -0x8000, 0x7fff);
    }

    @Override
    void asked() {
        onFirstPoll.run();
        onFirstPoll = () -> {};
    }

    @Override
    int poll(byte[] into, int size) {
        int at = (count > 0 ? head : head - 1) & QUEUE_MASK;
        int turn = Math.clamp(wheel[at], -127, 127);
        byte[] report;
        if (absolute) {
            report =
                    new byte[] {
                        (byte) buttons[at],
                        (byte) x[at],
                        (byte) (x[at] >> 8),
                        (byte) y[at],
                        (byte) (y[at] >> 8),
                        (byte) turn
                    };
            wheel[at] -= turn;
        } else {
            int dx = Math.clamp(x[at], -127, 127);
            int dy = Math.clamp(y[at], -127, 127);
            report = new byte[] {(byte) buttons[at], (byte) dx, (byte) dy, (byte) turn};
            x[at] -= dx;
            y[at] -= dy;
            wheel[at] -= turn;
        }
        boolean more = wheel[at] != 0 || !absolute && (x[at] != 0 || y[at] != 0);
        if (count > 0 && !more) {
            head = head + 1 & QUEUE_MASK;
            count--;
        }
        int length = Math.min(size, report.length);
        System.arraycopy(report, 0, into, 0, length);
        return length;
    }

    @Override
    void output(byte[] bytes, int length) {
        // It has nothing to show.
    }

    /** Describes the 298 bytes. QEMU: vmstate "usb-ptr" v1. */
    void describe(StateCodec c) throws StateException {
        c.struct("dev", "USBDevice", 1, this::describeDevice);
        c.struct(
                "hid",
                "HIDPointerDevice",
                1,
                s -> {
                    s.structs(
                            "ptr.queue",
                            "HIDPointerEventQueue",
                            1,
                            QUEUE,
                            (e, i) -> {
                                x[i] = e.i32("xdx", x[i]);
                                y[i] = e.i32("ydy", y[i]);
                                wheel[i] = e.i32("dz", wheel[i]);
                                buttons[i] = e.i32("buttons_state", buttons[i]);
                            });
                    head = s.u32("head", head);
                    count = s.u32("n", count);
                    protocol = s.i32("protocol", protocol);
                    idle = s.u8("idle", idle);
                });
        if (c.loading()) {
            if (count < 0 || count > QUEUE) {
                throw c.invalid("HIDPointerDevice: n is beyond " + QUEUE);
            }
            head &= QUEUE_MASK;
        }
    }
}
