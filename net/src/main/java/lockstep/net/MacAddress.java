package lockstep.net;

import java.util.HexFormat;

/**
 * A 48-bit Ethernet address.
 *
 * @param value the address as a number, the first byte on the wire in bits 40 to 47; higher bits
 *     are zero
 */
public record MacAddress(long value) {
    private static final HexFormat COLONS = HexFormat.ofDelimiter(":");

    /** Throws IllegalArgumentException for a number of more than 48 bits. */
    public MacAddress {
        if (value >>> 48 != 0) {
            throw new IllegalArgumentException("a MAC address has 48 bits");
        }
    }

    /** The address in the six bytes from {@code offset}. */
    public static MacAddress of(byte[] bytes, int offset) {
        long v = 0;
        for (int i = 0; i < 6; i++) {
            v = v << 8 | bytes[offset + i] & 0xff;
        }
        return new MacAddress(v);
    }

    /** Reads six hexadecimal bytes with colons or dashes between them, as {@code mac=} takes it. */
    public static MacAddress parse(String text) throws NetException {
        String[] parts = text.split("[:-]", -1);
        if (parts.length != 6) {
            throw new NetException("invalid Ethernet address '" + text + "'");
        }
        long v = 0;
        for (String p : parts) {
            if (!p.matches("[0-9a-fA-F]{1,2}")) {
                throw new NetException("invalid Ethernet address '" + text + "'");
            }
            v = v << 8 | Integer.parseInt(p, 16);
        }
        return new MacAddress(v);
    }

    /** The six bytes in wire order. */
    public byte[] bytes() {
        byte[] b = new byte[6];
        for (int i = 0; i < 6; i++) {
            b[i] = (byte) (value >>> 40 - 8 * i);
        }
        return b;
    }

    /** Lower-case hexadecimal with colons. */
    @Override
    public String toString() {
        return COLONS.formatHex(bytes());
    }
}
