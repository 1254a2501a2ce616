package lockstep.devices.usb;

import static lockstep.devices.usb.UsbSpec.*;

import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * A human interface device with one interrupt endpoint (HID 1.11): report descriptor, GET_REPORT, idle rate,
 * boot protocol, and the queue of sixteen events between input and polls.
 */
abstract class HidDevice extends UsbDevice {
    static final int QUEUE = 16;
    static final int QUEUE_MASK = QUEUE - 1;

    /** What all devices of the family name, from number 1 on. */
    private static final List<String> STRINGS =
            List.of(
                    "QEMU",
                    "QEMU USB Mouse",
                    "QEMU USB Tablet",
                    "QEMU USB Keyboard",
                    "42",
                    "HID Mouse",
                    "HID Tablet",
                    "HID Keyboard",
                    "89126",
                    "28754",
                    "68284");

    private static final int CONFIGURATION = 34;
    private static final int HID = 18;

    private static final int IDLE_UNIT = 4_000_000;

    /** Guest time, and the alarm for the idle rate. */
    interface Time {
        long now();
    }

    /**
     * A member of the family.
     *
     * @param number from 0 on; where its strings are
     * @param protocol of its boot reports: 0 none, 1 keyboard, 2 mouse
     * @param edition of the HID specification that it names, in BCD
     * @param packet bytes of its reports
     * @param interval how often a host at high speed shall ask, in powers of two
     * @param report the report descriptor
     */
    record Kind(int number, int protocol, int edition, int packet, int interval, byte[] report) {
        static final Kind MOUSE = new Kind(0, 2, 0x0001, 4, 7, Reports.mouse());
        static final Kind TABLET = new Kind(1, 0, 0x0001, 8, 4, Reports.tablet());
        static final Kind KEYBOARD = new Kind(2, 1, 0x0111, 8, 7, Reports.keyboard());

        String product() {
            return STRINGS.get(1 + number);
        }
    }

    /**
     * What users tell a device.
     *
     * @param highSpeed whether it says what it would be at high speed
     * @param windows whether it answers Windows' questions
     * @param serial the serial number, or null for one made of the place
     */
    record Settings(boolean highSpeed, boolean windows, @Nullable String serial) {}

    // Configuration.
    private final Kind kind;
    private final Settings settings;
    private String serial;

    // Wiring.
    private Time time = () -> 0;
    private @Nullable Timer idleTimer;

    // Guest-visible state.
    int head;
    int count;
    int protocol;
    int idle;

    private boolean idleDue;

    HidDevice(Kind kind, Settings settings) {
        this.kind = kind;
        this.settings = settings;
        serial = settings.serial() != null ? settings.serial() : STRINGS.get(8 + kind.number());
    }

    /** The product string. */
    final String product() {
        return kind.product();
    }

    /** Says where it is, such as {@code 0000:00:01.2-1}: part of a serial number that users did not give. */
    final void place(String where) {
        if (settings.serial() == null) {
            serial = STRINGS.get(8 + kind.number()) + '-' + where;
        }
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
    byte @Nullable [] descriptor(int type, int index) {
        return switch (type) {
            case DESCRIPTOR_DEVICE -> device();
            case DESCRIPTOR_CONFIGURATION -> index == 0 ? configuration(type, 10) : null;
            case DESCRIPTOR_QUALIFIER ->
                    settings.highSpeed() ? bytes(10, type, 0, 2, 0, 0, 0, 64, 1, 0) : null;
            case DESCRIPTOR_OTHER_SPEED ->
                    settings.highSpeed() && index == 0
                            ? configuration(type, kind.interval())
                            : null;
            case DESCRIPTOR_BOS ->
                    settings.highSpeed()
                            // One capability: link power management.
                            ? bytes(5, type, 12, 0, 1, 7, 16, 2, 2, 0, 0, 0)
                            : bytes(5, type, 5, 0, 0);
            default -> null;
        };
    }

    /** 0627:0001, with manufacturer, product and serial number. */
    private byte[] device() {
        // Windows asks its questions from USB 2.0 on.
        int version = settings.windows() ? 2 : 1;
        int n = kind.number();
        return bytes(
                18,
                DESCRIPTOR_DEVICE,
                0,
                version,
                0,
                0,
                0,
                8,
                0x27,
                0x06,
                1,
                0,
                0,
                0,
                1,
                2 + n,
                9 + n,
                1);
    }

    /** One configuration, interface and endpoint; the host shall ask every {@code interval}. */
    private byte[] configuration(int type, int interval) {
        byte[] d = new byte[CONFIGURATION];
        int protocol = kind.protocol();
        // Configuration: one interface, powered by the bus with 100 mA, remote wakeup.
        put(d, 0, 9, type, d.length, 0, 1, 1, 6 + kind.number(), 0xa0, 50);
        // Interface: HID.
        put(d, 9, 9, 4, 0, 0, 1, 3, protocol != 0 ? 1 : 0, protocol, 0);
        // HID: one report descriptor.
        int edition = kind.edition();
        int length = kind.report().length;
        put(d, HID, 9, DESCRIPTOR_HID, edition, edition >> 8, 0, 1, DESCRIPTOR_REPORT, length, 0);
        // Endpoint 1 IN: interrupt.
        put(d, 27, 7, 5, 0x81, 3, kind.packet(), 0, interval);
        return d;
    }

    private static byte[] bytes(int... values) {
        byte[] d = new byte[values.length];
        put(d, 0, values);
        return d;
    }

    private static void put(byte[] d, int at, int... values) {
        for (int i = 0; i < values.length; i++) {
            d[at + i] = (byte) values[i];
        }
    }

    @Override
    @Nullable String string(int index) {
        if (index == WindowsDescriptors.INDEX && settings.windows()) {
            return WindowsDescriptors.SIGNATURE;
        }
        if (index == 9 + kind.number()) {
            return serial;
        }
        return index <= STRINGS.size() ? STRINGS.get(index - 1) : null;
    }

    @Override
    int classRequest(int request, int value, int index, int length) {
        switch (request) {
            case VENDOR_DEVICE | WindowsDescriptors.REQUEST,
                    VENDOR_INTERFACE | WindowsDescriptors.REQUEST -> {
                return settings.windows() ? answer(WindowsDescriptors.answer(index)) : STALL;
            }
            case INTERFACE_GET_DESCRIPTOR -> {
                return value >> 8 == DESCRIPTOR_REPORT ? answer(kind.report()) : STALL;
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
                return kind.protocol() == 0 ? STALL : 1;
            }
            case HID_SET_PROTOCOL -> {
                protocol = value & 1;
                return kind.protocol() == 0 ? STALL : 0;
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

    /** The guest asks what the user does. */
    void asked() {}

    /** Whether a poll finds something to say. */
    boolean changed() {
        return count > 0 || idleDue;
    }

    @Override
    int input(int endpoint, byte[] into, int size) {
        if (endpoint != 1) {
            return STALL;
        }
        asked();
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
