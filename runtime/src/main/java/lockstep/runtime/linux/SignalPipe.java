package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.MAP_ANONYMOUS;
import static lockstep.linux.abi.LinuxAbi.MAP_PRIVATE;
import static lockstep.linux.abi.LinuxAbi.O_CLOEXEC;
import static lockstep.linux.abi.LinuxAbi.O_NONBLOCK;
import static lockstep.linux.abi.LinuxAbi.POLLIN;
import static lockstep.linux.abi.LinuxAbi.PROT_EXEC;
import static lockstep.linux.abi.LinuxAbi.PROT_READ;
import static lockstep.linux.abi.LinuxAbi.PROT_WRITE;
import static lockstep.linux.abi.LinuxAbi.SA_RESTART;
import static lockstep.linux.abi.LinuxAbi.SA_SIGINFO;

import lockstep.linux.abi.pollfd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Signals as something to read: each one that arrives is a record in a pipe, with its sender.
 *
 * <p>The Java machine's threads do not block signals, so a signalfd would never see any, and its own way
 * of handling them neither tells the sender nor takes a signal over that was ignored when the process
 * began. A handler in Java is impossible, as it would interrupt a thread anywhere. So the handler is the one
 * system call that the well-known self-pipe needs, as machine code: 26 bytes that touch no memory but
 * the pipe.
 */
public final class SignalPipe {
    /**
     * A signal that arrived.
     *
     * @param number which
     * @param sender the process that sent it, or 0 if it was the kernel, as for Ctrl-C
     */
    public record Arrival(int number, int sender) {}

    // siginfo_t begins with the number, an errno, a code, padding and, if a process sent it, its
    // id.
    private static final int RECORD = 24;
    private static final int SENDER = 16;

    // glibc's struct sigaction on x86-64: handler, 1024-bit mask, flags, restorer.
    private static final int ACTION_BYTES = 152;
    private static final int ACTION_FLAGS = 136;

    private static final int PAGE = 4096;
    private static final CFunction SIGACTION = CFunction.ofInt("sigaction");
    private static final CFunction MPROTECT = CFunction.ofInt("mprotect");

    private final int readEnd;
    private final byte[] record = new byte[RECORD];

    /** Takes the signals over for the rest of the process's life, even those that are ignored now. */
    public SignalPipe(int... signals) throws LinuxException {
        if (!System.getProperty("os.arch").equals("amd64")) {
            throw new UnsupportedOperationException("signals are handled on x86-64 only");
        }
        MemorySegment pair = Native.small();
        Errno.check(FileCalls.pipe2(pair, O_CLOEXEC() | O_NONBLOCK()), "pipe2");
        readEnd = pair.get(ValueLayout.JAVA_INT, 0);
        long handler = handler(pair.get(ValueLayout.JAVA_INT, 4));
        MemorySegment action = Native.small().asSlice(0, ACTION_BYTES);
        action.fill((byte) 0);
        action.set(ValueLayout.JAVA_LONG, 0, handler);
        action.set(ValueLayout.JAVA_INT, ACTION_FLAGS, SA_SIGINFO() | SA_RESTART());
        for (int signal : signals) {
            Errno.check((int) SIGACTION.call(signal, action, 0), "sigaction");
        }
        Reference.reachabilityFence(action);
    }

    /** Assembles {@code write(writeEnd, siginfo, RECORD)}; the second argument is in place already. */
    private static long handler(int writeEnd) throws LinuxException {
        ByteBuffer code = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN);
        code.putInt(0xfa1e0ff3); // endbr64
        code.put((byte) 0xbf).putInt(writeEnd); // mov edi, writeEnd
        code.put((byte) 0xba).putInt(RECORD); // mov edx, RECORD
        code.put((byte) 0xb8).putInt(1); // mov eax, write
        code.put((byte) 0x0f).put((byte) 0x05); // syscall
        code.put((byte) 0xc3); // ret
        int writable = PROT_READ() | PROT_WRITE();
        int flags = MAP_PRIVATE() | MAP_ANONYMOUS();
        long address = Errno.check(Native.mmap(0, PAGE, writable, flags, -1, 0), "mmap");
        Native.at(address, PAGE).asByteBuffer().put(code.flip());
        Errno.check((int) MPROTECT.call(address, PAGE, PROT_READ() | PROT_EXEC()), "mprotect");
        return address;
    }

    /** Waits for the next signal. */
    public Arrival await() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment wait = pollfd.allocate(arena);
            pollfd.fd(wait, readEnd);
            pollfd.events(wait, (short) POLLIN());
            while (FileIo.read(readEnd, record, 0, RECORD) != RECORD) {
                FileCalls.poll(wait, 1, -1);
            }
        }
        ByteBuffer fields = ByteBuffer.wrap(record).order(ByteOrder.nativeOrder());
        return new Arrival(fields.getInt(0), fields.getInt(SENDER));
    }
}
