package lockstep.runtime.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Objects;

/**
 * Socket calls as the C library offers them: the result, or the negated errno.
 *
 * <p>Rules as for {@link FileCalls}. {@link Sockets} is the typed layer over these.
 */
public final class SocketCalls {
    private SocketCalls() {}

    /** socket(2). */
    public static int socket(int domain, int type, int protocol) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Socket.CALL.invokeExact(state, domain, type, protocol);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** socketpair(2). */
    public static int socketpair(int domain, int type, int protocol, MemorySegment descriptors) {
        MemorySegment state = Native.callState();
        try {
            int result =
                    (int) Socketpair.CALL.invokeExact(state, domain, type, protocol, descriptors);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** bind(2). */
    public static int bind(int fd, MemorySegment address, int length) {
        Objects.checkFromIndexSize(0, length, address.byteSize());
        MemorySegment state = Native.callState();
        try {
            int result = (int) Bind.CALL.invokeExact(state, fd, address, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** listen(2). */
    public static int listen(int fd, int backlog) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Listen.CALL.invokeExact(state, fd, backlog);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** accept4(2). */
    public static int accept4(int fd, MemorySegment address, MemorySegment length, int flags) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Accept4.CALL.invokeExact(state, fd, address, length, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** connect(2). */
    public static int connect(int fd, MemorySegment address, int length) {
        Objects.checkFromIndexSize(0, length, address.byteSize());
        MemorySegment state = Native.callState();
        try {
            int result = (int) Connect.CALL.invokeExact(state, fd, address, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** getsockname(2). */
    public static int getsockname(int fd, MemorySegment address, MemorySegment length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Getsockname.CALL.invokeExact(state, fd, address, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** getpeername(2). */
    public static int getpeername(int fd, MemorySegment address, MemorySegment length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Getpeername.CALL.invokeExact(state, fd, address, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** getsockopt(2). */
    public static int getsockopt(
            int fd, int level, int option, MemorySegment value, MemorySegment length) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Getsockopt.CALL.invokeExact(state, fd, level, option, value, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** setsockopt(2). */
    public static int setsockopt(int fd, int level, int option, MemorySegment value, int length) {
        Objects.checkFromIndexSize(0, length, value.byteSize());
        MemorySegment state = Native.callState();
        try {
            int result = (int) Setsockopt.CALL.invokeExact(state, fd, level, option, value, length);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** shutdown(2). */
    public static int shutdown(int fd, int how) {
        MemorySegment state = Native.callState();
        try {
            int result = (int) Shutdown.CALL.invokeExact(state, fd, how);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** send(2). */
    public static long send(int fd, MemorySegment buffer, long length, int flags) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Send.CALL.invokeExact(state, fd, buffer, length, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** recv(2). */
    public static long recv(int fd, MemorySegment buffer, long length, int flags) {
        Objects.checkFromIndexSize(0, length, buffer.byteSize());
        MemorySegment state = Native.callState();
        try {
            long result = (long) Recv.CALL.invokeExact(state, fd, buffer, length, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
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
        MemorySegment state = Native.callState();
        try {
            long result =
                    (long)
                            Sendto.CALL.invokeExact(
                                    state, fd, buffer, length, flags, address, addressLength);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
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
        MemorySegment state = Native.callState();
        try {
            long result =
                    (long)
                            Recvfrom.CALL.invokeExact(
                                    state, fd, buffer, length, flags, address, addressLength);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** sendmsg(2). */
    public static long sendmsg(int fd, MemorySegment message, int flags) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Sendmsg.CALL.invokeExact(state, fd, message, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** recvmsg(2). */
    public static long recvmsg(int fd, MemorySegment message, int flags) {
        MemorySegment state = Native.callState();
        try {
            long result = (long) Recvmsg.CALL.invokeExact(state, fd, message, flags);
            return result != -1 ? result : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    private static final class Socket {
        static final MethodHandle CALL =
                Native.link("socket", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class Socketpair {
        static final MethodHandle CALL =
                Native.link("socketpair", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);
    }

    private static final class Bind {
        static final MethodHandle CALL = Native.link("bind", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Listen {
        static final MethodHandle CALL = Native.link("listen", JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class Accept4 {
        static final MethodHandle CALL =
                Native.link("accept4", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT);
    }

    private static final class Connect {
        static final MethodHandle CALL =
                Native.link("connect", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Getsockname {
        static final MethodHandle CALL =
                Native.link("getsockname", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    }

    private static final class Getpeername {
        static final MethodHandle CALL =
                Native.link("getpeername", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    }

    private static final class Getsockopt {
        static final MethodHandle CALL =
                Native.link("getsockopt", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    }

    private static final class Setsockopt {
        static final MethodHandle CALL =
                Native.link(
                        "setsockopt", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Shutdown {
        static final MethodHandle CALL = Native.link("shutdown", JAVA_INT, JAVA_INT, JAVA_INT);
    }

    private static final class Send {
        static final MethodHandle CALL =
                Native.link("send", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    }

    private static final class Recv {
        static final MethodHandle CALL =
                Native.link("recv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    }

    private static final class Sendto {
        static final MethodHandle CALL =
                Native.link(
                        "sendto", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS,
                        JAVA_INT);
    }

    private static final class Recvfrom {
        static final MethodHandle CALL =
                Native.link(
                        "recvfrom",
                        JAVA_LONG,
                        JAVA_INT,
                        ADDRESS,
                        JAVA_LONG,
                        JAVA_INT,
                        ADDRESS,
                        ADDRESS);
    }

    private static final class Sendmsg {
        static final MethodHandle CALL =
                Native.link("sendmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }

    private static final class Recvmsg {
        static final MethodHandle CALL =
                Native.link("recvmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    }
}
