package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.cmsghdr;
import lockstep.linux.abi.iovec;
import lockstep.linux.abi.msghdr;
import lockstep.linux.abi.ucred;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Sockets with errors as {@link LinuxException}. All sockets made here are non-blocking and close-on-exec;
 * data goes through {@link FileIo#read} and {@link #send}. Any thread.
 */
public final class Sockets {
    /** The most descriptors one message carries here (Linux allows 253). */
    public static final int MAXIMUM_DESCRIPTORS = 16;

    private static final int INT = 4;
    private static final int IPPROTO_ICMP = 1; // linux/in.h
    // Ancillary data is aligned to the size of a pointer (CMSG_ALIGN).
    private static final int CONTROL_HEADER = align((int) cmsghdr.sizeof());
    private static final int CONTROL_SPACE = CONTROL_HEADER + align(MAXIMUM_DESCRIPTORS * INT);

    // Where the parts of a message that is received are in the thread's small buffer.
    private static final int VECTOR = align((int) msghdr.sizeof());
    private static final int CONTROL = VECTOR + align((int) iovec.sizeof());

    private Sockets() {}

    /** A stream socket for addresses of that family (AF_*). */
    public static Fd stream(int family) throws LinuxException {
        return socket(family, SOCK_STREAM());
    }

    /** A datagram socket for addresses of that family (AF_*). */
    public static Fd datagram(int family) throws LinuxException {
        return socket(family, SOCK_DGRAM());
    }

    /**
     * A socket for ICMP echo requests and the replies to them, which needs no privilege where the kernel's
     * {@code ping_group_range} admits this process (icmp(7)).
     */
    public static Fd ping() throws LinuxException {
        return socket(AF_INET(), SOCK_DGRAM(), IPPROTO_ICMP);
    }

    private static Fd socket(int family, int type) throws LinuxException {
        return socket(family, type, 0);
    }

    private static Fd socket(int family, int type, int protocol) throws LinuxException {
        int fd = SocketCalls.socket(family, type | SOCK_NONBLOCK() | SOCK_CLOEXEC(), protocol);
        return new Fd(Errno.check(fd, "Failed to create socket"));
    }

    /** Has a stream socket tell its peer by a reset, not by an end of file, when it is closed. */
    public static void abortOnClose(Fd socket) {
        MemorySegment linger = Native.small(); // struct linger: on, for no time
        linger.set(ValueLayout.JAVA_INT, 0, 1);
        linger.set(ValueLayout.JAVA_INT, INT, 0);
        SocketCalls.setsockopt(socket.number(), SOL_SOCKET(), SO_LINGER(), linger, 2 * INT);
    }

    /** Two connected stream sockets. */
    public static Fd[] pair() throws LinuxException {
        MemorySegment pair = Native.small();
        int type = SOCK_STREAM() | SOCK_NONBLOCK() | SOCK_CLOEXEC();
        Errno.check(SocketCalls.socketpair(AF_UNIX(), type, 0, pair), "socketpair");
        return new Fd[] {
            new Fd(pair.get(ValueLayout.JAVA_INT, 0)), new Fd(pair.get(ValueLayout.JAVA_INT, INT))
        };
    }

    /** Binds; returns 0 or the negated errno. */
    public static int bind(Fd socket, SocketName name) {
        MemorySegment address = Native.small();
        int length = name.encode(address);
        return SocketCalls.bind(socket.number(), address, length);
    }

    /** Listens; returns 0 or the negated errno. */
    public static int listen(Fd socket, int backlog) {
        return SocketCalls.listen(socket.number(), backlog);
    }

    /**
     * Takes a connection off a listening socket.
     *
     * @return the descriptor, or the negated errno ({@link Errno#EAGAIN} when there is none)
     */
    public static int accept(Fd listener) {
        return SocketCalls.accept4(
                listener.number(),
                MemorySegment.NULL,
                MemorySegment.NULL,
                SOCK_NONBLOCK() | SOCK_CLOEXEC());
    }

    /**
     * Starts to connect.
     *
     * @return 0 when connected at once, {@code -EINPROGRESS} when under way (wait until the socket is
     *     writable, then ask {@link #error}), else the negated errno
     */
    public static int connect(Fd socket, SocketName name) {
        MemorySegment address = Native.small();
        int length = name.encode(address);
        return SocketCalls.connect(socket.number(), address, length);
    }

    /** Takes the pending error (SO_ERROR): 0 or a positive errno. */
    public static int error(Fd socket) {
        int result = option(socket.number(), SOL_SOCKET(), SO_ERROR());
        return Math.abs(result);
    }

    /** An integer option, or the negated errno. */
    public static int option(int fd, int level, int option) {
        MemorySegment value = Native.small();
        value.set(ValueLayout.JAVA_INT, 0, 0);
        value.set(ValueLayout.JAVA_INT, 8, INT);
        int result = SocketCalls.getsockopt(fd, level, option, value, value.asSlice(8, INT));
        return result < 0 ? result : value.get(ValueLayout.JAVA_INT, 0);
    }

    /** Sets an integer option; returns 0 or the negated errno. */
    public static int option(int fd, int level, int option, int setting) {
        MemorySegment value = Native.small();
        value.set(ValueLayout.JAVA_INT, 0, setting);
        return SocketCalls.setsockopt(fd, level, option, value, INT);
    }

    /** Sends small segments at once (TCP_NODELAY); no effect on other kinds of socket. */
    public static void noDelay(Fd socket, boolean on) {
        option(socket.number(), IPPROTO_TCP(), TCP_NODELAY(), on ? 1 : 0);
    }

    /** Whether the descriptor is a socket, of whatever family. */
    public static boolean isSocket(int fd) {
        MemorySegment address = prepared();
        MemorySegment length = address.asSlice(SocketName.MAXIMUM, INT);
        return SocketCalls.getsockname(fd, address, length) == 0;
    }

    /** The socket's own address. */
    public static SocketName localName(int fd) throws LinuxException {
        MemorySegment address = prepared();
        MemorySegment length = address.asSlice(SocketName.MAXIMUM, INT);
        Errno.check(SocketCalls.getsockname(fd, address, length), "getsockname");
        return SocketName.decode(address, length.get(ValueLayout.JAVA_INT, 0));
    }

    /** The address of the other end. */
    public static SocketName peerName(int fd) throws LinuxException {
        MemorySegment address = prepared();
        MemorySegment length = address.asSlice(SocketName.MAXIMUM, INT);
        Errno.check(SocketCalls.getpeername(fd, address, length), "getpeername");
        return SocketName.decode(address, length.get(ValueLayout.JAVA_INT, 0));
    }

    private static MemorySegment prepared() {
        MemorySegment address = Native.small();
        address.asSlice(0, SocketName.MAXIMUM).fill((byte) 0);
        address.set(ValueLayout.JAVA_INT, SocketName.MAXIMUM, SocketName.MAXIMUM);
        return address;
    }

    /** The process at the other end of a unix socket, or -1. */
    public static int peerProcess(int fd) {
        MemorySegment value = Native.small();
        value.set(ValueLayout.JAVA_INT, 64, (int) ucred.sizeof());
        int result =
                SocketCalls.getsockopt(
                        fd, SOL_SOCKET(), SO_PEERCRED(), value, value.asSlice(64, INT));
        return result < 0 ? -1 : ucred.pid(value);
    }

    /** Whether the descriptor is a socket that listens. */
    public static boolean listening(int fd) {
        return option(fd, SOL_SOCKET(), SO_ACCEPTCONN()) == 1;
    }

    /** Ends reading (SHUT_RD), writing (SHUT_WR) or both (SHUT_RDWR). Blocked peers see it at once. */
    public static void shutdown(Fd socket, int how) {
        SocketCalls.shutdown(socket.number(), how);
    }

    /** Sends bytes without raising SIGPIPE; returns bytes taken or the negated errno. */
    public static int send(int fd, byte[] source, int offset, int length) {
        MemorySegment scratch = Native.scratch();
        int wanted = (int) Math.min(length, scratch.byteSize());
        MemorySegment.copy(source, offset, scratch, ValueLayout.JAVA_BYTE, 0, wanted);
        return (int) SocketCalls.send(fd, scratch, wanted, MSG_NOSIGNAL());
    }

    /** As above, from native memory. */
    public static long send(int fd, MemorySegment source) {
        return SocketCalls.send(fd, source, source.byteSize(), MSG_NOSIGNAL());
    }

    /** Sends a datagram to an address; returns bytes taken or the negated errno. */
    public static int sendTo(int fd, byte[] source, int offset, int length, SocketName to) {
        MemorySegment scratch = Native.scratch();
        if (length > scratch.byteSize()) {
            return -Errno.EMSGSIZE;
        }
        MemorySegment.copy(source, offset, scratch, ValueLayout.JAVA_BYTE, 0, length);
        MemorySegment address = Native.small();
        int addressLength = to.encode(address);
        return (int)
                SocketCalls.sendto(fd, scratch, length, MSG_NOSIGNAL(), address, addressLength);
    }

    /**
     * Receives a datagram; what does not fit is lost.
     *
     * @param from takes the sender in its first element
     * @return bytes read or the negated errno
     */
    public static int receiveFrom(
            int fd, byte[] target, int offset, int length, SocketName[] from) {
        MemorySegment scratch = Native.scratch();
        int wanted = (int) Math.min(length, scratch.byteSize());
        MemorySegment address = prepared();
        MemorySegment size = address.asSlice(SocketName.MAXIMUM, INT);
        int n = (int) SocketCalls.recvfrom(fd, scratch, wanted, 0, address, size);
        if (n >= 0) {
            MemorySegment.copy(scratch, ValueLayout.JAVA_BYTE, 0, target, offset, n);
            from[0] = SocketName.decode(address, size.get(ValueLayout.JAVA_INT, 0));
        }
        return n;
    }

    /**
     * Sends bytes together with copies of descriptors (SCM_RIGHTS) over a unix socket.
     *
     * @return bytes taken or the negated errno
     */
    public static int sendDescriptors(int fd, byte[] data, int... descriptors) {
        if (descriptors.length > MAXIMUM_DESCRIPTORS) {
            return -Errno.E2BIG;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(Math.max(1, data.length));
            MemorySegment.copy(data, 0, buffer, ValueLayout.JAVA_BYTE, 0, data.length);
            MemorySegment message = message(arena, buffer, data.length);
            if (descriptors.length > 0) {
                MemorySegment control = arena.allocate(CONTROL_SPACE, 8);
                int payload = descriptors.length * INT;
                cmsghdr.cmsg_len(control, CONTROL_HEADER + payload);
                cmsghdr.cmsg_level(control, SOL_SOCKET());
                cmsghdr.cmsg_type(control, SCM_RIGHTS());
                for (int i = 0; i < descriptors.length; i++) {
                    control.set(ValueLayout.JAVA_INT, CONTROL_HEADER + i * INT, descriptors[i]);
                }
                msghdr.msg_control(message, control);
                msghdr.msg_controllen(message, CONTROL_HEADER + align(payload));
            }
            return (int) SocketCalls.sendmsg(fd, message, MSG_NOSIGNAL());
        }
    }

    /**
     * Receives bytes and any descriptors that come with them, which are appended to {@code received},
     * close-on-exec; the caller owns them.
     *
     * @return bytes read, 0 at the end, or the negated errno
     */
    public static int receiveDescriptors(
            int fd, byte[] target, int offset, int length, List<Fd> received) {
        MemorySegment buffer = Native.scratch();
        int wanted = (int) Math.min(length, buffer.byteSize());
        // Written by offsets into memory that is there, since packets come this way.
        MemorySegment m = Native.small();
        m.set(ValueLayout.JAVA_LONG, VECTOR + iovec.iov_base$offset(), buffer.address());
        m.set(ValueLayout.JAVA_LONG, VECTOR + iovec.iov_len$offset(), wanted);
        m.set(ValueLayout.JAVA_LONG, msghdr.msg_name$offset(), 0);
        m.set(ValueLayout.JAVA_INT, msghdr.msg_namelen$offset(), 0);
        m.set(ValueLayout.JAVA_LONG, msghdr.msg_iov$offset(), m.address() + VECTOR);
        m.set(ValueLayout.JAVA_LONG, msghdr.msg_iovlen$offset(), 1);
        m.set(ValueLayout.JAVA_LONG, msghdr.msg_control$offset(), m.address() + CONTROL);
        m.set(ValueLayout.JAVA_LONG, msghdr.msg_controllen$offset(), CONTROL_SPACE);
        int n = (int) SocketCalls.recvmsg(fd, m, MSG_CMSG_CLOEXEC());
        if (n < 0) {
            return n;
        }
        long control = m.get(ValueLayout.JAVA_LONG, msghdr.msg_controllen$offset());
        if (control > 0) {
            takeDescriptors(m.asSlice(CONTROL, CONTROL_SPACE), control, received);
        }
        MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, target, offset, n);
        return n;
    }

    private static MemorySegment message(Arena arena, MemorySegment buffer, long length) {
        MemorySegment vector = iovec.allocate(arena);
        iovec.iov_base(vector, buffer);
        iovec.iov_len(vector, length);
        MemorySegment message = msghdr.allocate(arena);
        msghdr.msg_iov(message, vector);
        msghdr.msg_iovlen(message, 1);
        return message;
    }

    private static void takeDescriptors(MemorySegment control, long length, List<Fd> received) {
        long at = 0;
        while (at + CONTROL_HEADER <= length) {
            MemorySegment header = control.asSlice(at);
            long size = cmsghdr.cmsg_len(header);
            if (size < CONTROL_HEADER || at + size > length) {
                return;
            }
            if (cmsghdr.cmsg_level(header) == SOL_SOCKET()
                    && cmsghdr.cmsg_type(header) == SCM_RIGHTS()) {
                for (long p = CONTROL_HEADER; p + INT <= size; p += INT) {
                    received.add(new Fd(header.get(ValueLayout.JAVA_INT, p)));
                }
            }
            at += align((int) size);
        }
    }

    private static int align(int size) {
        return (size + 7) & ~7;
    }
}
