package lockstep.devices.pci;

/** Offsets and bits of the configuration header: PCI Local Bus Specification 3.0, section 6.1 and 6.2. */
public final class PciSpec {
    private PciSpec() {}

    /** Bytes of configuration space of a conventional function. */
    public static final int CONFIG_SIZE = 256;

    public static final int VENDOR_ID = 0x00;
    public static final int DEVICE_ID = 0x02;
    public static final int COMMAND = 0x04;
    public static final int STATUS = 0x06;
    public static final int REVISION_ID = 0x08;
    public static final int CLASS_PROG = 0x09;
    public static final int CLASS_DEVICE = 0x0a;
    public static final int CACHE_LINE_SIZE = 0x0c;
    public static final int LATENCY_TIMER = 0x0d;
    public static final int HEADER_TYPE = 0x0e;
    public static final int BASE_ADDRESS_0 = 0x10;
    public static final int SUBSYSTEM_VENDOR_ID = 0x2c;
    public static final int SUBSYSTEM_ID = 0x2e;
    public static final int ROM_ADDRESS = 0x30;
    public static final int CAPABILITY_LIST = 0x34;
    public static final int INTERRUPT_LINE = 0x3c;
    public static final int INTERRUPT_PIN = 0x3d;

    public static final int COMMAND_IO = 0x0001;
    public static final int COMMAND_MEMORY = 0x0002;
    public static final int COMMAND_MASTER = 0x0004;
    public static final int COMMAND_SERR = 0x0100;
    public static final int COMMAND_INTX_DISABLE = 0x0400;

    public static final int STATUS_INTERRUPT = 0x0008;
    public static final int STATUS_CAPABILITIES = 0x0010;
    public static final int STATUS_FAST_BACK = 0x0080;
    public static final int STATUS_DEVSEL_MEDIUM = 0x0200;

    /** The status bits that a guest clears by writing 1. */
    public static final int STATUS_WRITE_1_TO_CLEAR = 0xf900;

    public static final int HEADER_MULTI_FUNCTION = 0x80;

    public static final int VENDOR_INTEL = 0x8086;

    /** Subsystem of a function that has none of its own. QEMU: Red Hat's virtual devices. */
    public static final int SUBSYSTEM_VENDOR_DEFAULT = 0x1af4;

    public static final int SUBSYSTEM_DEFAULT = 0x1100;

    /** What a class code means, in QEMU's words; appendix D of the specification. */
    static String className(int classCode) {
        return switch (classCode) {
            case 0x0101 -> "IDE controller";
            case 0x0200 -> "Ethernet controller";
            case 0x0300 -> "VGA controller";
            case 0x0600 -> "Host bridge";
            case 0x0601 -> "ISA bridge";
            case 0x0680 -> "Bridge";
            case 0x0c03 -> "USB controller";
            default -> "Class %04d".formatted(classCode);
        };
    }
}
