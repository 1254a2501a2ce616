package lockstep.net.user;

import lockstep.runtime.linux.SocketName;
import lockstep.runtime.memory.BigEndian;

import org.jspecify.annotations.Nullable;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;

/** IPv4 addresses as numbers, and what stands in the headers of IPv4's protocols. */
final class Ip {
    static final int ICMP = 1;
    static final int TCP = 6;
    static final int UDP = 17;

    /** Bytes of a header without options (RFC 791). */
    static final int HEADER = 20;

    static final int BROADCAST = 0xffff_ffff;
    static final int LOOPBACK = 0x7f00_0001;

    private Ip() {}

    /** The four numbers with dots. */
    static String text(int address) {
        return (address >>> 24)
                + "."
                + (address >> 16 & 0xff)
                + "."
                + (address >> 8 & 0xff)
                + "."
                + (address & 0xff);
    }

    /**
     * An address as inet_aton(3) reads it: one to four numbers, decimal, octal or hexadecimal, of which the last fills
     * what is left; null when it is none.
     */
    static @Nullable Integer parse(String text) {
        String[] parts = text.split("\\.", -1);
        if (parts.length > 4) {
            return null;
        }
        long address = 0;
        for (int i = 0; i < parts.length; i++) {
            long limit = i < parts.length - 1 ? 0xff : 0xffff_ffffL >>> 8 * i;
            long value;
            try {
                String part = parts[i];
                if (part.isEmpty() || part.charAt(0) == '-' || part.charAt(0) == '+') {
                    return null;
                }
                value = Long.decode(part);
            } catch (NumberFormatException e) {
                return null;
            }
            if (value > limit) {
                return null;
            }
            address = i < parts.length - 1 ? address | value << 24 - 8 * i : address | value;
        }
        return (int) address;
    }

    static boolean isLoopback(int address) {
        return address >>> 24 == 127;
    }

    static boolean isMulticast(int address) {
        return address >>> 28 == 14;
    }

    /** The host's name for an address and a port. */
    static SocketName.Inet name(int address, int port) {
        byte[] bytes = new byte[4];
        BigEndian.put32(bytes, 0, address);
        try {
            return new SocketName.Inet(
                    new InetSocketAddress(InetAddress.getByAddress(bytes), port));
        } catch (UnknownHostException e) {
            throw new AssertionError(e); // Four bytes are an address.
        }
    }

    /** The address in a name of the host's; 0 when it is none of IPv4. */
    static int address(SocketName name) {
        if (name instanceof SocketName.Inet inet) {
            byte[] bytes = inet.address().getAddress().getAddress();
            return bytes.length == 4 ? BigEndian.get32(bytes, 0) : 0;
        }
        return 0;
    }

    /** The port in a name of the host's. */
    static int port(SocketName name) {
        return name instanceof SocketName.Inet inet ? inet.address().getPort() : 0;
    }

    static int get8(byte[] b, int at) {
        return b[at] & 0xff;
    }
}
