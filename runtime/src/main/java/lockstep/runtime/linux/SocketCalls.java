package lockstep.runtime.linux;

import static lockstep.runtime.linux.CFunction.address;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Objects;

/**
 * Socket calls as the C library offers them: the result, or the negated errno.
 *
 * <p>Rules as for {@link FileCalls}. {@link Sockets} is the typed layer over these.
 */
public final class SocketCalls {
    private static final CFunction SOCKET = CFunction.ofInt("socket");
    private static final CFunction SOCKETPAIR = CFunction.ofInt("socketpair");
    private static final CFunction BIND = CFunction.ofInt("bind");
    private static final CFunction LISTEN = CFunction.ofInt("listen");
    private static final CFunction ACCEPT4 = CFunction.ofInt("accept4");
    private static final CFunction CONNECT = CFunction.ofInt("connect");
    private static final CFunction GETSOCKNAME = CFunction.ofInt("getsockname");
    private static final CFunction GETPEERNAME = CFunction.ofInt("getpeername");
    private static final CFunction GETSOCKOPT = CFunction.ofInt("getsockopt");
    private static final CFunction SETSOCKOPT = CFunction.ofInt("setsockopt");
    private static final CFunction SHUTDOWN = CFunction.ofInt("shutdown");
    private static final CFunction SEND = CFunction.ofLong("send");
    private static final CFunction RECV = CFunction.ofLong("recv");
    private static final CFunction SENDTO = CFunction.ofLong("sendto");
    private static final CFunction RECVFROM = CFunction.ofLong("recvfrom");
    private static final CFunction SENDMSG = CFunction.ofLong("sendmsg");
    private static final CFunction RECVMSG = CFunction.ofLong("recvmsg");

    private SocketCalls() {}

    /** socket(2). */
    public static int socket(int domain, int type, int protocol) {
        return (int) SOCKET.call(domain, type, protocol);
    }

    /** socketpair(2). */
    public static int socketpair(int domain, int type, int protocol, MemorySegment descriptors) {
        int result = (int) SOCKETPAIR.call(domain, type, protocol, address(descriptors));
        Reference.reachabilityFence(descriptors);
        return result;
    }

    /** bind(2). */
    public static int bind(int fd, MemorySegment address, int length) {
        Objects.checkFromIndexSize(0, length, address.byteSize());
        return (int) BIND.call(fd, address, length);
    }

    /** listen(2). */
    public static int listen(int fd, int backlog) {
        return (int) LISTEN.call(fd, backlog);
    }

    /** accept4(2). */
    public static int accept4(int fd, MemorySegment address, MemorySegment length, int flags) {
        int result = (int) ACCEPT4.call(fd, address, address(length), flags);
        Reference.reachabilityFence(length);
        return result;
    }

    /** connect(2). */
    public static int connect(int fd, MemorySegment address, int length) {
        Objects.checkFromIndexSize(0, length, address.byteSize());
        return (int) CONNECT.call(fd, address, length);
    }

    /** getsockname(2). */
    public static int getsockname(int fd, MemorySegment address, MemorySegment length) {
        int result = (int) GETSOCKNAME.call(fd, address, address(length));
        Reference.reachabilityFence(length);
        return result;
    }

    /** getpeername(2). */
    public static int getpeername(int fd, MemorySegment address, MemorySegment length) {
        int result = (int) GETPEERNAME.call(fd, address, address(length));
        Reference.reachabilityFence(length);
        return result;
    }

    /** getsockopt(2). */
    public static int getsockopt(
            int fd, int level, int option, MemorySegment value, MemorySegment length) {
        int result = (int) GETSOCKOPT.call(fd, level, option, address(value), address(length));
        Reference.reachabilityFence(value);
        Reference.reachabilityFence(length);
        return result;
    }

    /** setsockopt(2). */
    public static int setsockopt(int fd, int level, int option, MemorySegment value, int length) {
        Objects.checkFromIndexSize(0, length, value.byteSize());
        int result = (int) SETSOCKOPT.call(fd, level, option, address(value), length);
        Reference.reachabilityFence(value);
        return result;
    }

    /** shutdown(2). */
    public static int shutdown(int fd, int how) {
        return (int) SHUTDOWN.call(fd, how);
    }

    /** send(2). */
    public static long send(int fd, MemorySegment buffer, long length, int flags) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return SEND.call(fd, buffer, length, flags);
    }

    /** recv(2). */
    public static long recv(int fd, MemorySegment buffer, long length, int flags) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        return RECV.call(fd, buffer, length, flags);
    }

    /** sendto(2). */
    public static long sendto(
            int fd,
            MemorySegment buffer,
            long length,
            int flags,
            MemorySegment address,
            int addressLength) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        long result = SENDTO.call(fd, buffer, length, flags, address(address), addressLength);
        Reference.reachabilityFence(address);
        return result;
    }

    /** recvfrom(2). */
    public static long recvfrom(
            int fd,
            MemorySegment buffer,
            long length,
            int flags,
            MemorySegment address,
            MemorySegment addressLength) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        long result =
                RECVFROM.call(fd, buffer, length, flags, address(address), address(addressLength));
        Reference.reachabilityFence(address);
        Reference.reachabilityFence(addressLength);
        return result;
    }

    /** sendmsg(2). */
    public static long sendmsg(int fd, MemorySegment message, int flags) {
        return SENDMSG.call(fd, message, flags);
    }

    /** recvmsg(2). */
    public static long recvmsg(int fd, MemorySegment message, int flags) {
        return RECVMSG.call(fd, message, flags);
    }
}
