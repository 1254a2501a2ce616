package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.termios;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Terminal modes and pseudo terminals. */
public final class Terminal {
    private Terminal() {}

    /** Settings of a terminal, to be put back later. */
    public static final class Settings {
        private final byte[] bytes;

        private Settings(byte[] bytes) {
            this.bytes = bytes;
        }
    }

    /** A new pseudo terminal: the master's descriptor and the path of the other side. */
    public record Pty(Fd master, String path) {}

    /** Whether the descriptor is a terminal. */
    public static boolean isTerminal(int fd) {
        return FileCalls.isatty(fd) == 1;
    }

    /** The present settings. */
    public static Settings settings(int fd) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment t = termios.allocate(arena);
            Errno.check(FileCalls.tcgetattr(fd, t), "tcgetattr");
            return new Settings(t.toArray(ValueLayout.JAVA_BYTE));
        }
    }

    /** Puts settings back. */
    public static void restore(int fd, Settings settings) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment t = termios.allocate(arena);
            MemorySegment.copy(
                    settings.bytes, 0, t, ValueLayout.JAVA_BYTE, 0, settings.bytes.length);
            Errno.check(FileCalls.tcsetattr(fd, TCSANOW(), t), "tcsetattr");
        }
    }

    /**
     * Passes every byte at once and unchanged, without echo.
     *
     * @param signals whether the interrupt and quit characters still raise signals
     */
    public static void raw(int fd, boolean signals) throws LinuxException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment t = termios.allocate(arena);
            Errno.check(FileCalls.tcgetattr(fd, t), "tcgetattr");
            int input = IGNBRK() | BRKINT() | PARMRK() | ISTRIP() | INLCR() | IGNCR() | ICRNL();
            termios.c_iflag(t, termios.c_iflag(t) & ~(input | IXON()));
            termios.c_oflag(t, termios.c_oflag(t) | OPOST());
            int local = ECHO() | ECHONL() | ICANON() | IEXTEN() | (signals ? 0 : ISIG());
            termios.c_lflag(t, termios.c_lflag(t) & ~local);
            termios.c_cflag(t, termios.c_cflag(t) & ~(CSIZE() | PARENB()) | CS8());
            termios.c_cc(t, VMIN(), (byte) 1);
            termios.c_cc(t, VTIME(), (byte) 0);
            Errno.check(FileCalls.tcsetattr(fd, TCSANOW(), t), "tcsetattr");
        }
    }

    /** Makes a pseudo terminal in raw mode, non-blocking and close-on-exec. */
    public static Pty openPty() throws LinuxException {
        int flags = O_RDWR() | O_NOCTTY() | O_CLOEXEC() | O_NONBLOCK();
        Fd master = new Fd(Errno.check(FileCalls.openPty(flags), "Failed to create PTY"));
        try {
            Errno.check(FileCalls.unlockPty(master.number()), "Failed to create PTY");
            MemorySegment name = Native.small();
            Errno.check(Native.ptsname(master.number(), name), "Failed to create PTY");
            Pty pty = new Pty(master, name.getString(0));
            raw(master.number(), false);
            return pty;
        } catch (LinuxException e) {
            master.close();
            throw e;
        }
    }
}
