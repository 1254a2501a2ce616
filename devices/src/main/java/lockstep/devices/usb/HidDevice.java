package lockstep.devices.usb;

import static lockstep.devices.usb.UsbSpec.*;

import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

/**
 * A human interface device with one interrupt endpoint (HID 1.11): report descriptor, GET_REPORT, idle rate,
 * boot protocol, and the queue of sixteen events between input and polls.
 */
abstract class HidDevice extends UsbDevice {
    static final int QUEUE = 16;
    static final int QUEUE_MASK = QUEUE - 1;

    private static final int VENDOR = 0x0627;
    private static final int PRODUCT = 0x0001;
    private static final int IDLE_UNIT = 4_000_000;

    /** Guest time, and the alarm for the idle rate. */
    interface Time {
        long now();
    }

    // Configuration.
    private final String product;
    private final int bootProtocol;
    private final int packetSize;
    private final byte[] report;
    private String serial = "42";

    // Wiring.
    private Time time = () -> 0;
    private @Nullable Timer idleTimer;

    // Guest-visible state.
    int head;
    int count;
    int protocol;
    int idle;

    private boolean idleDue;

    /**
     * A device.
     *
     * @param bootProtocol 0 none, 1 keyboard, 2 mouse
     * @param report the report descriptor
     */
    HidDevice(String product, int bootProtocol, int packetSize, byte[] report) {
        this.product = product;
        this.bootProtocol = bootProtocol;
        this.packetSize = packetSize;
        this.report = report;
    }

    /** Sets the serial number text. */
    final void serial(String text) {
        serial = text;
    }

    /** The product string. */
    final String product() {
        return product;
    }

    /** Connects the clock. */
    final void clock(Time clock, Timer alarm) {
        time = clock;
        idleTimer = alarm;
    }

    /** The present report, taking an event from the queue if there is one. */
    abstract int poll(byte[] into, int size);

    /** Takes an output report. */
    abstract void output(byte[] bytes, int length);

    @Override
    byte[] deviceDescriptor() {
        return new byte[] {
            18,
            DESCRIPTOR_DEVICE,
            0x00,
            0x01,
            0,
            0,
            0,
            8,
            (byte) VENDOR,
            VENDOR >> 8,
            (byte) PRODUCT,
            PRODUCT >> 8,
            0,
            0,
            1,
            2,
            3,
            1
        };
    }

    @Override
    byte[] configurationDescriptor() {
        int length = 9 + 9 + 9 + 7;
        byte[] d = new byte[length];
        // Configuration: one interface, self-powered with remote wakeup, 100 mA.
        put(d, 0, 9, DESCRIPTOR_CONFIGURATION, length, 0, 1, 1, 4, 0xe0, 50);
        // Interface: HID.
        put(d, 9, 9, 4, 0, 0, 1, 3, bootProtocol != 0 ? 1 : 0, bootProtocol, 0);
        // HID: one report descriptor.
        put(d, 18, 9, DESCRIPTOR_HID, 0x11, 0x01, 0, 1, DESCRIPTOR_REPORT, report.length, 0);
        // Endpoint 1 IN: interrupt, polled every 10 ms.
        put(d, 27, 7, 5, 0x81, 3, packetSize, 0, 10);
        return d;
    }

    private static void put(byte[] d, int at, int... values) {
        for (int i = 0; i < values.length; i++) {
            d[at + i] = (byte) values[i];
        }
    }

    @Override
    @Nullable String string(int index) {
        return switch (index) {
            case 1 -> "QEMU";
            case 2 -> product;
            case 3 -> serial;
            case 4 -> "HID";
            default -> null;
        };
    }

    @Override
    int classRequest(int request, int value, int index, int length) {
        switch (request) {
            case INTERFACE_GET_DESCRIPTOR -> {
                return switch (value >> 8) {
                    case DESCRIPTOR_REPORT -> answer(report);
                    case DESCRIPTOR_HID ->
                            answer(java.util.Arrays.copyOfRange(configurationDescriptor(), 18, 27));
                    default -> STALL;
                };
            }
            case HID_GET_REPORT -> {
                return poll(data, Math.min(length, MAX_CONTROL));
            }
            case HID_SET_REPORT -> {
                output(data, Math.min(length, MAX_CONTROL));
                return 0;
            }
            case HID_GET_PROTOCOL -> {
                data[0] = (byte) protocol;
                return bootProtocol == 0 ? STALL : 1;
            }
            case HID_SET_PROTOCOL -> {
                protocol = value & 1;
                return bootProtocol == 0 ? STALL : 0;
            }
            case HID_GET_IDLE -> {
                data[0] = (byte) idle;
                return 1;
            }
            case HID_SET_IDLE -> {
                idle = value >> 8 & 0xff;
                armIdle();
                return 0;
            }
            default -> {
                return STALL;
            }
        }
    }

    /** Lets the device repeat its report after the idle time, if the host wants that. */
    final void armIdle() {
        Timer timer = idleTimer;
        idleDue = false;
        if (timer == null) {
            return;
        }
        if (idle == 0) {
            timer.cancel();
        } else {
            timer.arm(time.now() + (long) idle * IDLE_UNIT);
        }
    }

    /** The idle time is over without an event. */
    final void idleOver() {
        idleDue = true;
    }

    /** Whether a poll finds something to say. */
    boolean changed() {
        return count > 0 || idleDue;
    }

    @Override
    int input(int endpoint, byte[] into, int size) {
        if (endpoint != 1) {
            return STALL;
        }
        if (!changed()) {
            return NAK;
        }
        armIdle();
        return poll(into, size);
    }

    @Override
    void resetFunction() {
        head = 0;
        count = 0;
        protocol = 1;
        idle = 0;
        armIdle();
    }
}
