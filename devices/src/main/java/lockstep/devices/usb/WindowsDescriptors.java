package lockstep.devices.usb;

import static lockstep.runtime.memory.LittleEndian.put16;
import static lockstep.runtime.memory.LittleEndian.put32;

import java.nio.charset.StandardCharsets;

/**
 * Microsoft OS descriptors 1.0: what Windows asks a USB device beside the standard. The string {@link #INDEX}
 * names the vendor request that yields the others. They say that the device needs no driver of its own, and that
 * Windows may put it to sleep.
 */
final class WindowsDescriptors {
    /** The string by which Windows knows that there are such descriptors. */
    static final int INDEX = 0xee;

    /** The request of {@link #answer}, as the string says. */
    static final char REQUEST = 'Q';

    /** The string. */
    static final String SIGNATURE = "MSFT100" + REQUEST;

    private static final int COMPATIBLE_ID = 4;
    private static final int PROPERTIES = 5;
    private static final int VERSION = 0x0100;
    private static final int REG_DWORD = 4;

    /** Zeroes that QEMU counts to the property. */
    private static final int PADDING = 6;

    private WindowsDescriptors() {}

    /** The answer to the request for a descriptor; nothing for one that there is not. */
    static byte[] answer(int index) {
        return switch (index) {
            case COMPATIBLE_ID -> compatibleId();
            case PROPERTIES -> properties();
            default -> new byte[0];
        };
    }

    /** One function, interface 0, without compatible and subcompatible id. */
    private static byte[] compatibleId() {
        byte[] d = new byte[16 + 24];
        header(d, COMPATIBLE_ID);
        d[8] = 1;
        d[17] = 1;
        return d;
    }

    /** One value for the registry. */
    private static byte[] properties() {
        byte[] name = "SelectiveSuspendEnabled\0".getBytes(StandardCharsets.UTF_16LE);
        byte[] d = new byte[10 + 4 + 4 + 2 + name.length + 4 + 4 + PADDING];
        header(d, PROPERTIES);
        put16(d, 8, 1);
        put32(d, 10, d.length - 10);
        put32(d, 14, REG_DWORD);
        put16(d, 18, name.length);
        System.arraycopy(name, 0, d, 20, name.length);
        put32(d, 20 + name.length, 4);
        put32(d, 24 + name.length, 1);
        return d;
    }

    private static void header(byte[] d, int index) {
        put32(d, 0, d.length);
        put16(d, 4, VERSION);
        put16(d, 6, index);
    }
}
