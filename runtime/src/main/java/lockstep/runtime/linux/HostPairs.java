package lockstep.runtime.linux;

import java.lang.foreign.MemorySegment;

/** CMPXCHG16B of the host, which the Java platform does not offer. Any thread. */
public final class HostPairs {
    /**
     * PUSH RBX; MOV RBX, RCX; MOV RCX, R8; MOV RAX, RSI; LOCK CMPXCHG16B [RDI]; SETE AL; MOVZX EAX, AL; POP RBX; RET.
     * The arguments are the address, both words that shall be there (the higher one is in RDX already), and both new ones.
     */
    private static final byte[] CODE = {
        0x53,
        0x48,
        (byte) 0x89,
        (byte) 0xcb,
        0x4c,
        (byte) 0x89,
        (byte) 0xc1,
        0x48,
        (byte) 0x89,
        (byte) 0xf0,
        (byte) 0xf0,
        0x48,
        0x0f,
        (byte) 0xc7,
        0x0f,
        0x0f,
        (byte) 0x94,
        (byte) 0xc0,
        0x0f,
        (byte) 0xb6,
        (byte) 0xc0,
        0x5b,
        (byte) 0xc3
    };

    private static final long ADDRESS = HostCode.load(CODE);
    private static final CFunction EXCHANGE =
            CFunction.at("cmpxchg16b", MemorySegment.ofAddress(ADDRESS));

    private HostPairs() {}

    /** Whether the host has it: every x86-64 processor that this Java runs on does. */
    public static boolean available() {
        return ADDRESS != 0;
    }

    /**
     * Stores two words at an address of the process's if two others are there, in one step.
     *
     * @param host a multiple of 16, in memory that is mapped
     * @return whether the words were there
     */
    public static boolean exchange(long host, long low, long high, long newLow, long newHigh) {
        return EXCHANGE.call(host, low, high, newLow, newHigh) != 0;
    }
}
