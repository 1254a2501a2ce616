package lockstep.devices.aml;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/** Writes ACPI machine language: ACPI 6.5 chapter 20. Each method gives one complete term. */
public final class Aml {
    /** The operator with which a name's definition starts. */
    public static final int NAME = 0x08;

    private Aml() {}

    /** Terms one after the other. */
    public static byte[] all(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] p : parts) {
            out.writeBytes(p);
        }
        return out.toByteArray();
    }

    public static byte[] bytes(int... values) {
        byte[] b = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            b[i] = (byte) values[i];
        }
        return b;
    }

    private static byte[] little(long value, int size) {
        byte[] b = new byte[size];
        for (int i = 0; i < size; i++) {
            b[i] = (byte) (value >>> (8 * i));
        }
        return b;
    }

    /** Section 20.2.4: the length includes its own encoding. */
    private static byte[] length(int body) {
        if (body + 1 < 0x40) {
            return bytes(body + 1);
        }
        if (body + 2 < 0x1000) {
            int n = body + 2;
            return bytes(0x40 | n & 0x0f, n >> 4);
        }
        int n = body + 3;
        return bytes(0x80 | n & 0x0f, n >> 4, n >> 12);
    }

    private static byte[] packaged(byte[] opcode, byte[]... body) {
        byte[] b = all(body);
        return all(opcode, length(b.length), b);
    }

    /** A path such as {@code \_SB.PCI0} or {@code ^LNKA}. Segments shorter than four are padded. */
    public static byte[] path(String text) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        String rest = text;
        while (rest.startsWith("\\") || rest.startsWith("^")) {
            out.write(rest.charAt(0));
            rest = rest.substring(1);
        }
        String[] segments = rest.split("\\.", -1);
        if (segments.length == 2) {
            out.write(0x2e);
        } else if (segments.length > 2) {
            out.write(0x2f);
            out.write(segments.length);
        }
        for (String s : segments) {
            out.writeBytes((s + "____").substring(0, 4).getBytes(StandardCharsets.US_ASCII));
        }
        return out.toByteArray();
    }

    public static byte[] integer(long value) {
        if (value == 0) {
            return bytes(0x00);
        }
        if (value == 1) {
            return bytes(0x01);
        }
        if (value >>> 8 == 0) {
            return all(bytes(0x0a), little(value, 1));
        }
        if (value >>> 16 == 0) {
            return all(bytes(0x0b), little(value, 2));
        }
        if (value >>> 32 == 0) {
            return all(bytes(0x0c), little(value, 4));
        }
        return all(bytes(0x0e), little(value, 8));
    }

    public static byte[] string(String text) {
        return all(bytes(0x0d), text.getBytes(StandardCharsets.US_ASCII), bytes(0));
    }

    /** A compressed EISA id such as {@code PNP0A03}: section 19.3.4. */
    public static byte[] eisaId(String id) {
        int letters = (id.charAt(0) - '@') << 10 | (id.charAt(1) - '@') << 5 | id.charAt(2) - '@';
        int number = Integer.parseInt(id.substring(3), 16);
        return integer(Integer.reverseBytes(letters << 16 | number) & 0xffff_ffffL);
    }

    public static byte[] name(String name, byte[] value) {
        return all(bytes(0x08), path(name), value);
    }

    public static byte[] scope(String path, byte[]... body) {
        return packaged(bytes(0x10), path(path), all(body));
    }

    public static byte[] device(String name, byte[]... body) {
        return packaged(bytes(0x5b, 0x82), path(name), all(body));
    }

    public static byte[] method(String name, int arguments, byte[]... body) {
        return packaged(bytes(0x14), path(name), bytes(arguments), all(body));
    }

    public static byte[] list(byte[]... elements) {
        return packaged(bytes(0x12), bytes(elements.length), all(elements));
    }

    public static byte[] buffer(byte[] content) {
        return packaged(bytes(0x11), integer(content.length), content);
    }

    /** An operation region; space 1 is ports, 2 is PCI configuration. */
    public static byte[] region(String name, int space, long offset, long size) {
        return all(bytes(0x5b, 0x80), path(name), bytes(space), integer(offset), integer(size));
    }

    /** Byte-wide fields of a region, one after the other. */
    public static byte[] byteFields(String region, String... names) {
        ByteArrayOutputStream fields = new ByteArrayOutputStream();
        for (String n : names) {
            fields.writeBytes(path(n));
            fields.write(8);
        }
        // Byte access, no lock, preserve.
        return packaged(bytes(0x5b, 0x81), path(region), bytes(0x01), fields.toByteArray());
    }

    /** Fields of four bytes of a region, one after the other; what else is in a unit is written as zero. */
    public static byte[] dwordFields(String region, String... names) {
        ByteArrayOutputStream fields = new ByteArrayOutputStream();
        for (String n : names) {
            fields.writeBytes(path(n));
            // 32 bits, in the encoding of a package length.
            fields.write(32);
        }
        return packaged(bytes(0x5b, 0x81), path(region), bytes(0x43), fields.toByteArray());
    }

    public static byte[] mutex(String name) {
        return all(bytes(0x5b, 0x01), path(name), bytes(0));
    }

    /** Waits for the mutex without end. */
    public static byte[] acquire(byte[] mutex) {
        return all(bytes(0x5b, 0x23), mutex, bytes(0xff, 0xff));
    }

    public static byte[] release(byte[] mutex) {
        return all(bytes(0x5b, 0x27), mutex);
    }

    public static byte[] tell(byte[] object, byte[] value) {
        return all(bytes(0x86), object, value);
    }

    public static byte[] call(String method, byte[]... arguments) {
        return all(path(method), all(arguments));
    }

    public static byte[] shiftLeft(byte[] value, byte[] count, byte[] target) {
        return all(bytes(0x79), value, count, target);
    }

    public static byte[] returns(byte[] value) {
        return all(bytes(0xa4), value);
    }

    public static byte[] store(byte[] value, byte[] target) {
        return all(bytes(0x70), value, target);
    }

    public static byte[] and(byte[] a, byte[] b, byte[] target) {
        return all(bytes(0x7b), a, b, target);
    }

    public static byte[] or(byte[] a, byte[] b, byte[] target) {
        return all(bytes(0x7d), a, b, target);
    }

    public static byte[] when(byte[] condition, byte[]... body) {
        return packaged(bytes(0xa0), condition, all(body));
    }

    public static byte[] local0() {
        return bytes(0x60);
    }

    public static byte[] argument0() {
        return bytes(0x68);
    }

    public static byte[] argument1() {
        return bytes(0x69);
    }

    public static byte[] argument2() {
        return bytes(0x6a);
    }

    public static byte[] argument3() {
        return bytes(0x6b);
    }

    public static byte[] local1() {
        return bytes(0x61);
    }

    public static byte[] not(byte[] value) {
        return all(bytes(0x92), value);
    }

    public static byte[] equal(byte[] a, byte[] b) {
        return all(bytes(0x93), a, b);
    }

    public static byte[] less(byte[] a, byte[] b) {
        return all(bytes(0x95), a, b);
    }

    /** A reference to an element of a list. */
    public static byte[] element(byte[] list, int index) {
        return all(bytes(0x88), list, integer(index), bytes(0));
    }

    /** The sixteen bytes that {@code ToUUID} makes: section 19.6.142. */
    public static byte[] uuid(String text) {
        byte[] b = HexFormat.of().parseHex(text.replace("-", ""));
        return buffer(
                new byte[] {
                    b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12],
                    b[13], b[14], b[15]
                });
    }

    /** Names four bytes of a buffer. */
    public static byte[] dwordField(byte[] buffer, int offset, String name) {
        return all(bytes(0x8a), buffer, integer(offset), path(name));
    }

    /** Descriptors with the end tag, as a buffer: section 6.4. */
    public static byte[] resources(byte[]... descriptors) {
        return buffer(all(all(descriptors), bytes(0x79, 0)));
    }

    public static byte[] ports(int first, int last, int alignment, int length) {
        return all(bytes(0x47, 0x01), little(first, 2), little(last, 2), bytes(alignment, length));
    }

    /** Edge-triggered ISA interrupt. */
    public static byte[] isaIrq(int irq) {
        return all(bytes(0x22), little(1L << irq, 2));
    }

    public static byte[] isaDma(int channel) {
        return bytes(0x2a, 1 << channel, 0x00);
    }

    /** Level-triggered, active high, shared interrupts. */
    public static byte[] interrupts(int... irqs) {
        byte[] numbers = new byte[0];
        for (int irq : irqs) {
            numbers = all(numbers, little(irq, 4));
        }
        return all(bytes(0x89), little(2 + numbers.length, 2), bytes(0x09, irqs.length), numbers);
    }

    public static byte[] fixedMemory(long base, long size) {
        return all(bytes(0x86), little(9, 2), bytes(0x00), little(base, 4), little(size, 4));
    }

    public static byte[] busNumbers(int first, int last) {
        return addressSpace(2, 0x0c, 0x00, 2, first, last);
    }

    public static byte[] portWindow(int first, int last) {
        return addressSpace(1, 0x0c, 0x03, 2, first, last);
    }

    public static byte[] memoryWindow(long first, long last, boolean cacheable) {
        return addressSpace(0, 0x0c, cacheable ? 0x03 : 0x01, 4, first, last);
    }

    private static byte[] addressSpace(
            int type, int flags, int typeFlags, int width, long first, long last) {
        byte[] body =
                all(
                        bytes(type, flags, typeFlags),
                        little(0, width),
                        little(first, width),
                        little(last, width),
                        little(0, width),
                        little(last - first + 1, width));
        return all(bytes(width == 2 ? 0x88 : 0x87), little(body.length, 2), body);
    }
}
