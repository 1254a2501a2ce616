package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.POLLIN;
import static lockstep.linux.abi.LinuxAbi.POLLOUT;
import static lockstep.linux.abi.LinuxAbi.SOL_SOCKET;
import static lockstep.linux.abi.LinuxAbi.SO_REUSEADDR;

import lockstep.linux.abi.pollfd;
import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.BooleanSupplier;

/** Opens listening and connected sockets, with QEMU's words when that fails. */
final class SocketConnector {
    /** How often a wait looks whether it is still wanted. */
    private static final int LOOK_UP_MS = 200;

    private SocketConnector() {}

    /** Binds and listens; a unix socket's old file is removed first. */
    static Fd listen(Address address, int backlog) throws ChardevException {
        List<SocketName> names = SocketNames.resolve(address, true);
        int error = 0;
        for (SocketName name : names) {
            Fd fd;
            try {
                fd = Sockets.stream(name.family());
            } catch (LinuxException e) {
                throw new ChardevException(e.getMessage());
            }
            if (name instanceof SocketName.Inet) {
                Sockets.option(fd.number(), SOL_SOCKET(), SO_REUSEADDR(), 1);
            } else if (name instanceof SocketName.Unix u && !u.abstractName()) {
                int removed = FileIo.unlink(u.path());
                if (removed < 0 && removed != -Errno.ENOENT) {
                    fd.close();
                    throw new ChardevException(
                            "Failed to unlink socket " + u.path() + ": " + Errno.text(-removed));
                }
            }
            try {
                error = Sockets.bind(fd, name);
            } catch (IllegalArgumentException e) {
                fd.close();
                throw new ChardevException(String.valueOf(e.getMessage()));
            }
            if (error == 0) {
                error = Sockets.listen(fd, backlog);
                if (error == 0) {
                    return fd;
                }
                fd.close();
                throw new ChardevException("Failed to listen on socket: " + Errno.text(-error));
            }
            fd.close();
        }
        String what =
                address instanceof Address.Unix u
                        ? "Failed to bind socket to " + u.path()
                        : "Failed to find an available port";
        throw new ChardevException(what + ": " + Errno.text(-error));
    }

    /** Connects and waits until that is done, or {@code givenUp} says that nobody wants it any more. */
    static Fd connect(Address address, BooleanSupplier givenUp) throws ChardevException {
        int error = 0;
        for (SocketName name : SocketNames.resolve(address, false)) {
            Fd fd = start(name);
            try {
                error = Sockets.connect(fd, name);
            } catch (IllegalArgumentException e) {
                fd.close();
                throw new ChardevException(String.valueOf(e.getMessage()));
            }
            if (error == -Errno.EINPROGRESS) {
                try {
                    await(fd, POLLOUT(), givenUp);
                } catch (ChardevException e) {
                    fd.close();
                    throw e;
                }
                error = -Sockets.error(fd);
            }
            if (error == 0) {
                return fd;
            }
            fd.close();
        }
        throw new ChardevException(failure(address, -error));
    }

    /** A socket that {@code name} can be given to. */
    static Fd start(SocketName name) throws ChardevException {
        try {
            return Sockets.stream(name.family());
        } catch (LinuxException e) {
            throw new ChardevException(e.getMessage());
        }
    }

    /** What the user reads when connecting fails with {@code errno}. */
    static String failure(Address address, int errno) {
        return "Failed to connect to '" + SocketNames.shown(address) + "': " + Errno.text(errno);
    }

    /** Waits for a connection on a listening socket, likewise, and takes it. */
    static Fd accept(Fd listener, BooleanSupplier givenUp) throws ChardevException {
        while (true) {
            await(listener, POLLIN(), givenUp);
            int fd = Sockets.accept(listener);
            if (fd >= 0) {
                return new Fd(fd);
            }
            if (fd != -Errno.EAGAIN && fd != -Errno.EINTR && fd != -Errno.ECONNABORTED) {
                throw new ChardevException("Unable to accept connection: " + Errno.text(-fd));
            }
        }
    }

    /** Waits for an event of {@code poll}, likewise. */
    static void await(Fd fd, int events, BooleanSupplier givenUp) throws ChardevException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment p = pollfd.allocate(arena);
            pollfd.fd(p, fd.number());
            pollfd.events(p, (short) events);
            int result = 0;
            while (result == 0 || result == -Errno.EINTR) {
                if (givenUp.getAsBoolean()) {
                    throw new ChardevException("The wait for a socket was given up");
                }
                result = FileCalls.poll(p, 1, LOOK_UP_MS);
            }
            if (result < 0) {
                throw new ChardevException("Failed to wait for a socket: " + Errno.text(-result));
            }
        }
    }
}
