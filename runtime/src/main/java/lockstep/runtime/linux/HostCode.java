package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Instructions of the host's processor for which the Java platform has no method, as functions. */
final class HostCode {
    private static final long PAGE = 4096;
    private static final CFunction MPROTECT = CFunction.ofInt("mprotect");

    private HostCode() {}

    /**
     * The address of a function of these bytes, by the C calling conventions, which stays for the life of the process; 0
     * where that cannot be.
     *
     * @param code at most a page of instructions of x86-64
     */
    static long load(byte[] code) {
        if (!System.getProperty("os.arch").equals("amd64")) {
            return 0;
        }
        int flags = MAP_PRIVATE() | MAP_ANONYMOUS();
        long page = Native.mmap(0, PAGE, PROT_READ() | PROT_WRITE(), flags, -1, 0);
        if (page < 0) {
            return 0;
        }
        MemorySegment.copy(code, 0, Native.at(page, PAGE), ValueLayout.JAVA_BYTE, 0, code.length);
        return MPROTECT.call(page, PAGE, PROT_READ() | PROT_EXEC()) < 0 ? 0 : page;
    }
}
