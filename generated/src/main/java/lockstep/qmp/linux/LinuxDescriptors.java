package lockstep.qmp.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import lockstep.linux.abi.cmsghdr;
import lockstep.linux.abi.iovec;
import lockstep.linux.abi.msghdr;
import lockstep.linux.abi.sockaddr_un;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;

/**
 * Descriptors as numbers, because the JDK does not tell those of its own sockets. Errors name the call
 * and the C library's text. All calls block as the system does; any thread.
 */
@SuppressWarnings("restricted")
public final class LinuxDescriptors {
    private static final int ALIGNMENT = 8; // CMSG_ALIGN on 64-bit systems
    private static final int MAXIMUM = 253; // SCM_MAX_FD

    private LinuxDescriptors() {}

    /** Linked by the first use, which is where a missing permission shows. */
    private static final class Calls {
        static final Linker LINKER = Linker.nativeLinker();
        static final StructLayout STATE = Linker.Option.captureStateLayout();
        static final VarHandle ERRNO =
                STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        static final MethodHandle SOCKET = link("socket", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
        static final MethodHandle CONNECT = link("connect", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
        static final MethodHandle SHUTDOWN = link("shutdown", JAVA_INT, JAVA_INT, JAVA_INT);
        static final MethodHandle CLOSE = link("close", JAVA_INT, JAVA_INT);
        static final MethodHandle RECV =
                link("recv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
        static final MethodHandle SENDMSG = link("sendmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
        static final MethodHandle OPEN =
                LINKER.downcallHandle(
                        LINKER.defaultLookup().findOrThrow("open"),
                        FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT),
                        Linker.Option.captureCallState("errno"),
                        Linker.Option.firstVariadicArg(2));
        static final MethodHandle FCNTL =
                LINKER.downcallHandle(
                        LINKER.defaultLookup().findOrThrow("fcntl"),
                        FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT),
                        Linker.Option.captureCallState("errno"),
                        Linker.Option.firstVariadicArg(2));
        static final MethodHandle STRERROR =
                LINKER.downcallHandle(
                        LINKER.defaultLookup().findOrThrow("strerror"),
                        FunctionDescriptor.of(ADDRESS, JAVA_INT));

        private Calls() {}

        private static MethodHandle link(
                String name, MemoryLayout result, MemoryLayout... parameters) {
            return LINKER.downcallHandle(
                    LINKER.defaultLookup().findOrThrow(name),
                    FunctionDescriptor.of(result, parameters),
                    Linker.Option.captureCallState("errno"));
        }

        static IOException failure(String what, MemorySegment state) {
            int errno = (int) ERRNO.get(state, 0L);
            try {
                MemorySegment text = (MemorySegment) STRERROR.invokeExact(errno);
                return new IOException(what + ": " + text.reinterpret(Long.MAX_VALUE).getString(0));
            } catch (Throwable t) {
                throw unexpected(t);
            }
        }

        static boolean interrupted(MemorySegment state) {
            return (int) ERRNO.get(state, 0L) == EINTR();
        }

        /** What a method handle that throws nothing of its own threw. */
        static RuntimeException unexpected(Throwable t) {
            if (t instanceof Error e) {
                throw e;
            }
            return t instanceof RuntimeException e ? e : new IllegalStateException(t);
        }
    }

    /**
     * Says whether these calls exist here.
     *
     * @throws UnsupportedOperationException on systems other than Linux
     */
    public static void requireLinux() {
        String system = System.getProperty("os.name");
        if (!"Linux".equals(system)) {
            throw new UnsupportedOperationException(
                    "File descriptors can be passed on Linux only, not on " + system + ".");
        }
    }

    /** Opens a file with options of {@link StandardOpenOption}. */
    public static int open(Path path, Set<OpenOption> options) throws IOException {
        requireLinux();
        int flags = O_CLOEXEC();
        boolean read = options.contains(StandardOpenOption.READ);
        boolean append = options.contains(StandardOpenOption.APPEND);
        if (append || options.contains(StandardOpenOption.WRITE)) {
            flags |= read ? O_RDWR() : O_WRONLY();
        }
        flags |= append ? O_APPEND() : 0;
        for (OpenOption option : options) {
            if (option == StandardOpenOption.CREATE) {
                flags |= O_CREAT();
            } else if (option == StandardOpenOption.CREATE_NEW) {
                flags |= O_CREAT() | O_EXCL();
            } else if (option == StandardOpenOption.TRUNCATE_EXISTING) {
                flags |= O_TRUNC();
            } else if (option != StandardOpenOption.READ
                    && option != StandardOpenOption.WRITE
                    && option != StandardOpenOption.APPEND) {
                throw new UnsupportedOperationException(
                        "Files cannot be opened with option " + option + " here.");
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            MemorySegment name = arena.allocateFrom(path.toString());
            int fd = (int) Calls.OPEN.invokeExact(state, name, flags, 0666);
            if (fd < 0) {
                throw Calls.failure("Cannot open " + path, state);
            }
            return fd;
        } catch (IOException e) {
            throw e;
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /** Closes a descriptor; there is nothing to do about an error. */
    public static void close(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) Calls.CLOSE.invokeExact(arena.allocate(Calls.STATE), fd);
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /** A new stream socket for UNIX addresses, to be connected. */
    public static int socket() throws IOException {
        requireLinux();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            int type = SOCK_STREAM() | SOCK_CLOEXEC() | SOCK_NONBLOCK();
            int fd = (int) Calls.SOCKET.invokeExact(state, AF_UNIX(), type, 0);
            if (fd < 0) {
                throw Calls.failure("Cannot create a socket", state);
            }
            return fd;
        } catch (IOException e) {
            throw e;
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /**
     * Connects a socket; its calls block from then on. Connecting does not: a server whose queue of
     * connections is full is an error.
     */
    public static void connect(int fd, Path path) throws IOException {
        byte[] name = path.toString().getBytes(StandardCharsets.UTF_8);
        int start = (int) sockaddr_un.sun_path$offset();
        if (start + name.length + 1 > sockaddr_un.sizeof()) {
            throw new IOException("Cannot connect to " + path + ": the path is too long");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            MemorySegment address = sockaddr_un.allocate(arena);
            sockaddr_un.sun_family(address, (short) AF_UNIX());
            MemorySegment.copy(name, 0, address, ValueLayout.JAVA_BYTE, start, name.length);
            int length = start + name.length + 1;
            if ((int) Calls.CONNECT.invokeExact(state, fd, address, length) != 0
                    || (int) Calls.FCNTL.invokeExact(state, fd, F_SETFL(), 0) != 0) {
                throw Calls.failure("Cannot connect to unix:" + path, state);
            }
        } catch (IOException e) {
            throw e;
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /** Ends both directions, which wakes whoever is in a call. */
    public static void shutdown(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            int ignored = (int) Calls.SHUTDOWN.invokeExact(state, fd, SHUT_RDWR());
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /** Receives at least one byte into native memory; gives their number, or 0 at the end. */
    public static int receive(int fd, MemorySegment target) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            while (true) {
                long count = (long) Calls.RECV.invokeExact(state, fd, target, target.byteSize(), 0);
                if (count >= 0) {
                    return (int) count;
                }
                if (!Calls.interrupted(state)) {
                    throw Calls.failure("Cannot read from the socket", state);
                }
            }
        } catch (IOException e) {
            throw e;
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    /** Sends all of the bytes, and copies of the descriptors with the first of them. */
    public static void send(int fd, byte[] bytes, int length, int... descriptors)
            throws IOException {
        if (descriptors.length > MAXIMUM) {
            throw new IOException("Linux passes at most " + MAXIMUM + " descriptors at once.");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Calls.STATE);
            MemorySegment data = arena.allocate(Math.max(1, length));
            MemorySegment.copy(bytes, 0, data, ValueLayout.JAVA_BYTE, 0, length);
            MemorySegment message = msghdr.allocate(arena);
            MemorySegment vector = iovec.allocate(arena);
            msghdr.msg_iov(message, vector);
            msghdr.msg_iovlen(message, 1);
            if (descriptors.length > 0) {
                attach(arena, message, descriptors);
            }
            int sent = 0;
            while (sent < length) {
                iovec.iov_base(vector, data.asSlice(sent));
                iovec.iov_len(vector, length - sent);
                long count = (long) Calls.SENDMSG.invokeExact(state, fd, message, MSG_NOSIGNAL());
                if (count > 0) {
                    sent += (int) count;
                    msghdr.msg_control(message, MemorySegment.NULL);
                    msghdr.msg_controllen(message, 0);
                } else if (!Calls.interrupted(state)) {
                    throw Calls.failure("Cannot write to the socket", state);
                }
            }
        } catch (IOException e) {
            throw e;
        } catch (Throwable t) {
            throw Calls.unexpected(t);
        }
    }

    private static void attach(Arena arena, MemorySegment message, int[] descriptors) {
        long header = align(cmsghdr.sizeof());
        long payload = (long) descriptors.length * Integer.BYTES;
        MemorySegment control = arena.allocate(header + align(payload), ALIGNMENT);
        cmsghdr.cmsg_len(control, header + payload);
        cmsghdr.cmsg_level(control, SOL_SOCKET());
        cmsghdr.cmsg_type(control, SCM_RIGHTS());
        for (int i = 0; i < descriptors.length; i++) {
            control.set(JAVA_INT, header + (long) i * Integer.BYTES, descriptors[i]);
        }
        msghdr.msg_control(message, control);
        msghdr.msg_controllen(message, control.byteSize());
    }

    private static long align(long size) {
        return (size + ALIGNMENT - 1) & -ALIGNMENT;
    }
}
