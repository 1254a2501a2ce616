package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.O_RDWR;

import java.lang.foreign.Arena;

/** What a daemon does to leave the terminal it was started from. Any thread. */
public final class Detachment {
    private static final int STANDARD_DESCRIPTORS = 3;

    private static final CFunction UMASK = CFunction.ofInt("umask");
    private static final CFunction SETSID = CFunction.ofInt("setsid");
    private static final CFunction CHDIR = CFunction.ofInt("chdir");
    private static final CFunction DUP2 = CFunction.ofInt("dup2");

    private Detachment() {}

    /** Sets the permission bits that new files do not get. */
    public static void fileModeMask(int mask) {
        UMASK.call(mask);
    }

    /** Becomes the leader of a new session without terminal; harmless when it is one already. */
    public static void newSession() {
        SETSID.call();
    }

    /** Changes the directory that relative names in system calls start from; 0 or the negated errno. */
    public static int directory(String path) {
        try (Arena arena = Arena.ofConfined()) {
            return (int) CHDIR.call(CFunction.address(arena.allocateFrom(path)));
        }
    }

    /** Puts /dev/null in place of standard input, output and error. */
    public static void closeStandardStreams() throws LinuxException {
        try (Fd nowhere = FileIo.open("/dev/null", O_RDWR(), 0)) {
            for (int fd = 0; fd < STANDARD_DESCRIPTORS; fd++) {
                Errno.check(DUP2.call(nowhere.number(), fd), "dup2");
            }
        }
    }
}
