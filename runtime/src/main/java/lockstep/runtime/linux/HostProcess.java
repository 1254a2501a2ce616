package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.PR_SET_NAME;
import static lockstep.linux.abi.LinuxAbi.PR_SET_PDEATHSIG;

import java.lang.foreign.Arena;

/** What a process tells the kernel about itself. */
public final class HostProcess {
    private HostProcess() {}

    /** Names the calling thread for ps and gdb; longer names are cut to 15 bytes. */
    public static void nameThread(String name) {
        try (Arena arena = Arena.ofConfined()) {
            FileCalls.prctlPointer(PR_SET_NAME(), arena.allocateFrom(name));
        }
    }

    /**
     * Has the kernel send {@code signal} to this process when the thread that started it ends. Returns 0
     * or the negated errno.
     */
    public static int onParentDeath(int signal) {
        return FileCalls.prctl(PR_SET_PDEATHSIG(), signal);
    }
}
