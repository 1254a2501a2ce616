package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.AF_INET;
import static lockstep.linux.abi.LinuxAbi.AF_INET6;
import static lockstep.linux.abi.LinuxAbi.AF_UNIX;
import static lockstep.linux.abi.LinuxAbi.AF_UNSPEC;

import lockstep.linux.abi.sockaddr_in;
import lockstep.linux.abi.sockaddr_in6;
import lockstep.linux.abi.sockaddr_un;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** An address a socket can be bound or connected to. */
public sealed interface SocketName {
    /** The most bytes of any encoded name. */
    int MAXIMUM = 128;

    /** An IPv4 or IPv6 address (with its scope) and port. */
    record Inet(InetSocketAddress address) implements SocketName {
        /** The host in figures, without a scope. */
        public String host() {
            InetAddress a = address.getAddress();
            String host = a.getHostAddress();
            int scope = host.indexOf('%');
            return a instanceof Inet6Address
                    ? shorten(scope < 0 ? host : host.substring(0, scope))
                    : host;
        }

        /** The canonical text of RFC 5952: the longest run of two or more zero groups becomes {@code ::}. */
        public static String shorten(String full) {
            String[] groups = full.split(":");
            int best = -1;
            int bestLength = 1;
            for (int i = 0; i < groups.length; i++) {
                int j = i;
                while (j < groups.length && groups[j].equals("0")) {
                    j++;
                }
                if (j - i > bestLength) {
                    best = i;
                    bestLength = j - i;
                }
                i = Math.max(i, j - 1);
            }
            if (best < 0) {
                return full;
            }
            String head = String.join(":", List.of(groups).subList(0, best));
            String tail =
                    String.join(":", List.of(groups).subList(best + bestLength, groups.length));
            return head + "::" + tail;
        }
    }

    /**
     * A unix socket's path; with {@code abstractName} a name outside the file system. {@code tight} says
     * that the name ends with its last character (as against filling the whole field with zeros).
     */
    record Unix(String path, boolean abstractName, boolean tight) implements SocketName {
        /** A socket in the file system. */
        public Unix(String path) {
            this(path, false, true);
        }
    }

    /** The unnamed end of a socket pair, or of a unix client that did not bind. */
    record Unnamed() implements SocketName {}

    /** The address family, AF_*. */
    default int family() {
        return switch (this) {
            case Inet i ->
                    i.address().getAddress() instanceof Inet4Address ? AF_INET() : AF_INET6();
            case Unix u -> AF_UNIX();
            case Unnamed u -> AF_UNIX();
        };
    }

    /**
     * Writes the kernel's form into {@code target}, at least {@link #MAXIMUM} bytes.
     *
     * @return the length in bytes
     * @throws IllegalArgumentException a path too long for a unix socket, or an unresolved address
     */
    default int encode(MemorySegment target) {
        target.asSlice(0, MAXIMUM).fill((byte) 0);
        switch (this) {
            case Inet i -> {
                InetAddress host = i.address().getAddress();
                if (host == null) {
                    throw new IllegalArgumentException(i.address() + " is not resolved");
                }
                byte[] bytes = host.getAddress();
                short port = bigEndian((short) i.address().getPort());
                if (bytes.length == 4) {
                    sockaddr_in.sin_family(target, (short) AF_INET());
                    sockaddr_in.sin_port(target, port);
                    copy(bytes, target, sockaddr_in.sin_addr$offset());
                    return (int) sockaddr_in.sizeof();
                }
                sockaddr_in6.sin6_family(target, (short) AF_INET6());
                sockaddr_in6.sin6_port(target, port);
                copy(bytes, target, sockaddr_in6.sin6_addr$offset());
                if (host instanceof Inet6Address six) {
                    sockaddr_in6.sin6_scope_id(target, six.getScopeId());
                }
                return (int) sockaddr_in6.sizeof();
            }
            case Unix u -> {
                byte[] path = u.path().getBytes(StandardCharsets.UTF_8);
                int room = (int) sockaddr_un.sizeof() - (int) sockaddr_un.sun_path$offset();
                if (path.length + 1 > room) {
                    throw new IllegalArgumentException(
                            "UNIX socket path '"
                                    + u.path()
                                    + "' is too long; path must be less than "
                                    + room
                                    + " bytes");
                }
                sockaddr_un.sun_family(target, (short) AF_UNIX());
                int start = (int) sockaddr_un.sun_path$offset();
                copy(path, target, start + (u.abstractName() ? 1 : 0));
                return u.abstractName() && u.tight()
                        ? start + 1 + path.length
                        : (int) sockaddr_un.sizeof();
            }
            case Unnamed u ->
                    throw new IllegalArgumentException("an unnamed socket has no address");
        }
    }

    /** Reads the kernel's form, {@code length} bytes long. Unknown families are {@link Unnamed}. */
    static SocketName decode(MemorySegment source, int length) {
        int family = length < 2 ? AF_UNSPEC() : source.get(ValueLayout.JAVA_SHORT, 0);
        if (family == AF_INET() && length >= sockaddr_in.sizeof()) {
            return inet(source, sockaddr_in.sin_addr$offset(), 4, sockaddr_in.sin_port(source), 0);
        }
        if (family == AF_INET6() && length >= sockaddr_in6.sizeof()) {
            return inet(
                    source,
                    sockaddr_in6.sin6_addr$offset(),
                    16,
                    sockaddr_in6.sin6_port(source),
                    sockaddr_in6.sin6_scope_id(source));
        }
        int start = (int) sockaddr_un.sun_path$offset();
        int end = (int) Math.min(Math.min(length, sockaddr_un.sizeof()), source.byteSize());
        if (family == AF_UNIX() && end > start) {
            byte[] path = source.asSlice(start, end - start).toArray(ValueLayout.JAVA_BYTE);
            if (path[0] == 0) {
                String name = new String(path, 1, path.length - 1, StandardCharsets.UTF_8);
                return new Unix(name, true, true);
            }
            int n = 0;
            while (n < path.length && path[n] != 0) {
                n++;
            }
            return new Unix(new String(path, 0, n, StandardCharsets.UTF_8));
        }
        return new Unnamed();
    }

    private static SocketName inet(
            MemorySegment source, long offset, int length, short port, int scope) {
        byte[] bytes = source.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
        try {
            InetAddress host =
                    length == 16 && scope != 0
                            ? Inet6Address.getByAddress(null, bytes, scope)
                            : InetAddress.getByAddress(bytes);
            return new Inet(new InetSocketAddress(host, bigEndian(port) & 0xffff));
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    private static short bigEndian(short value) {
        return ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
                ? Short.reverseBytes(value)
                : value;
    }

    private static void copy(byte[] bytes, MemorySegment target, long offset) {
        MemorySegment.copy(bytes, 0, target, ValueLayout.JAVA_BYTE, offset, bytes.length);
    }
}
