package lockstep.devices.usb;

/**
 * Numbers of USB 2.0 (chapters 8 and 9), HID 1.11 (chapters 6 and 7) and UHCI 1.1 (chapters 2 and 3).
 */
final class UsbSpec {
    static final int PID_SETUP = 0x2d;
    static final int PID_IN = 0x69;
    static final int PID_OUT = 0xe1;

    /** Answers of a device that are no length. */
    static final int NAK = -1;

    static final int STALL = -2;
    static final int BABBLE = -3;
    static final int NO_DEVICE = -4;

    /** Device states, as QEMU numbers them on the wire. */
    static final int STATE_NOT_ATTACHED = 0;

    static final int STATE_ATTACHED = 1;
    static final int STATE_DEFAULT = 3;
    static final int STATE_SUSPENDED = 6;

    /** Request type: data towards the host. */
    static final int TO_HOST = 0x80;

    // Request type and request in one number.
    static final int DEVICE_GET_STATUS = 0x8000;
    static final int DEVICE_CLEAR_FEATURE = 0x0001;
    static final int DEVICE_SET_FEATURE = 0x0003;
    static final int DEVICE_SET_ADDRESS = 0x0005;
    static final int DEVICE_GET_DESCRIPTOR = 0x8006;
    static final int DEVICE_GET_CONFIGURATION = 0x8008;
    static final int DEVICE_SET_CONFIGURATION = 0x0009;
    static final int INTERFACE_GET_DESCRIPTOR = 0x8106;
    static final int INTERFACE_GET_INTERFACE = 0x810a;
    static final int INTERFACE_SET_INTERFACE = 0x010b;
    static final int VENDOR_DEVICE = 0xc000;
    static final int VENDOR_INTERFACE = 0xc100;
    static final int HID_GET_REPORT = 0xa101;
    static final int HID_GET_IDLE = 0xa102;
    static final int HID_GET_PROTOCOL = 0xa103;
    static final int HID_SET_REPORT = 0x2109;
    static final int HID_SET_IDLE = 0x210a;
    static final int HID_SET_PROTOCOL = 0x210b;

    static final int FEATURE_REMOTE_WAKEUP = 1;

    static final int DESCRIPTOR_DEVICE = 1;
    static final int DESCRIPTOR_CONFIGURATION = 2;
    static final int DESCRIPTOR_STRING = 3;
    static final int DESCRIPTOR_QUALIFIER = 6;
    static final int DESCRIPTOR_OTHER_SPEED = 7;
    static final int DESCRIPTOR_BOS = 15;
    static final int DESCRIPTOR_HID = 0x21;
    static final int DESCRIPTOR_REPORT = 0x22;

    // UHCI registers.
    static final int USBCMD = 0x00;
    static final int USBSTS = 0x02;
    static final int USBINTR = 0x04;
    static final int FRNUM = 0x06;
    static final int FRBASEADD = 0x08;
    static final int SOFMOD = 0x0c;
    static final int PORTSC = 0x10;

    static final int CMD_RUN = 0x0001;
    static final int CMD_HCRESET = 0x0002;
    static final int CMD_GRESET = 0x0004;
    static final int CMD_EGSM = 0x0008;
    static final int CMD_FGR = 0x0010;

    static final int STS_USBINT = 0x0001;
    static final int STS_ERROR = 0x0002;
    static final int STS_RESUME = 0x0004;
    static final int STS_HOST_ERROR = 0x0008;
    static final int STS_PROCESS_ERROR = 0x0010;
    static final int STS_HALTED = 0x0020;

    static final int INTR_TIMEOUT = 0x01;
    static final int INTR_RESUME = 0x02;
    static final int INTR_COMPLETE = 0x04;
    static final int INTR_SHORT = 0x08;

    static final int PORT_CONNECTED = 0x0001;
    static final int PORT_CONNECT_CHANGE = 0x0002;
    static final int PORT_ENABLED = 0x0004;
    static final int PORT_ENABLE_CHANGE = 0x0008;
    static final int PORT_RESUME = 0x0040;
    static final int PORT_ALWAYS = 0x0080;
    static final int PORT_LOW_SPEED = 0x0100;
    static final int PORT_RESET = 0x0200;
    static final int PORT_SUSPEND = 0x1000;

    /** Port bits that a write leaves alone. */
    static final int PORT_READ_ONLY = 0x01bb;

    // Links and transfer descriptors.
    static final int LINK_END = 0x1;
    static final int LINK_QUEUE = 0x2;
    static final int LINK_DEPTH_FIRST = 0x4;

    static final int TD_TIMEOUT = 1 << 18;
    static final int TD_NAK = 1 << 19;
    static final int TD_BABBLE = 1 << 20;
    static final int TD_STALL = 1 << 22;
    static final int TD_ACTIVE = 1 << 23;
    static final int TD_IOC = 1 << 24;
    static final int TD_ISOCHRONOUS = 1 << 25;
    static final int TD_SHORT = 1 << 29;
    static final int TD_ERROR_COUNT = 3 << 27;

    private UsbSpec() {}
}
