package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.O_RDWR;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** What a daemon does to leave the terminal it was started from. Any thread. */
public final class Detachment {
    private static final int STANDARD_DESCRIPTORS = 3;

    private Detachment() {}

    /** Sets the permission bits that new files do not get. */
    public static void fileModeMask(int mask) {
        try {
            int old = (int) Umask.CALL.invokeExact(Native.callState(), mask);
            assert old >= 0;
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** Becomes the leader of a new session without terminal; harmless when it is one already. */
    public static void newSession() {
        try {
            int session = (int) Setsid.CALL.invokeExact(Native.callState());
            assert session != 0;
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** Changes the directory that relative names in system calls start from. */
    public static int directory(String path) {
        MemorySegment state = Native.callState();
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) Chdir.CALL.invokeExact(state, arena.allocateFrom(path));
            return result == 0 ? 0 : -Native.errno(state);
        } catch (Throwable t) {
            throw Native.unexpected(t);
        }
    }

    /** Puts /dev/null in place of standard input, output and error. */
    public static void closeStandardStreams() throws LinuxException {
        try (Fd nowhere = FileIo.open("/dev/null", O_RDWR(), 0)) {
            for (int fd = 0; fd < STANDARD_DESCRIPTORS; fd++) {
                MemorySegment state = Native.callState();
                int result;
                try {
                    result = (int) Dup2.CALL.invokeExact(state, nowhere.number(), fd);
                } catch (Throwable t) {
                    throw Native.unexpected(t);
                }
                if (result < 0) {
                    throw new LinuxException("dup2", Native.errno(state));
                }
            }
        }
    }

    private static final class Umask {
        static final MethodHandle CALL = Native.link("umask", JAVA_INT, JAVA_INT);
    }

    private static final class Setsid {
        static final MethodHandle CALL = Native.link("setsid", JAVA_INT);
    }

    private static final class Chdir {
        static final MethodHandle CALL = Native.link("chdir", JAVA_INT, ADDRESS);
    }

    private static final class Dup2 {
        static final MethodHandle CALL = Native.link("dup2", JAVA_INT, JAVA_INT, JAVA_INT);
    }
}
