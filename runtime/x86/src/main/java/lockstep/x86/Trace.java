package lockstep.x86;

import org.jspecify.annotations.Nullable;

/**
 * Blocks of one page, translated to bytecode. The methods here are what {@link TraceWriter} writes calls of: what is
 * rare, or the same everywhere.
 */
abstract class Trace {
    /**
     * Runs from {@link Cpu#rip}, the start of the block with this number, until the way leads out. A fault leaves
     * {@link Cpu#faultAt}. Without a processor nothing happens: that has the JVM compile the method before it is needed.
     */
    abstract void run(@Nullable Cpu c, int entry);

    /** Begins a block that is at an address and has so many bytes, in 64-bit mode. */
    static void begin(Cpu c, long start, int length) {
        c.regs[Cpu.BLOCK] = start;
        c.rip = start + length;
    }

    /** Begins the block at the instruction pointer, in another mode. */
    static void beginLegacy(Cpu c, int length) {
        long start = c.rip;
        c.regs[Cpu.BLOCK] = start;
        c.rip = start + length & 0xffffffffL;
    }

    /** Whether somebody wants the processor's attention. */
    static boolean asked(Cpu c) {
        return c.pending != 0;
    }

    /** Whether the loop must look up, or the code changed. */
    static boolean stop(Cpu c) {
        return asked(c) || c.blockEnd == 0;
    }

    /** Where a block led to, from its start. */
    static int distance(Cpu c) {
        long d = c.rip - c.regs[Cpu.BLOCK];
        return d == (int) d ? (int) d : Block.NOWHERE;
    }

    /** After a call of an action that wrote memory: whether the code changed, so that the rest must be decoded again. */
    static boolean changed(Cpu c, int end) {
        if (c.blockEnd != 0) {
            return false;
        }
        c.rip = c.regs[Cpu.BLOCK] + end;
        return true;
    }

    /** A called action faulted, at an offset in the block. */
    static void faulted(Cpu c, int offset) {
        c.faultAt = c.regs[Cpu.BLOCK] + offset;
    }

    /** Fails before a jump to where no code can be. */
    static void check(Cpu c, long to) {
        if (!Paging.canonical(to)) {
            throw c.gp(0);
        }
    }

    // ---- flags as a trace keeps them: a kind, and above it how far operands are from 64 bits; words are sign-extended

    /** They are in the processor. */
    static final int SETTLED = -1;

    /** The first word is {@link Cpu#carries}, the second one the result. */
    static final int PLAIN = 0;

    /** Without carries; the second word is the result. */
    static final int LOGIC = 1;

    /** Of the sum of both words. */
    static final int SUM = 2;

    /** Of the first word minus the second. */
    static final int DIFFERENCE = 3;

    /** The second word is the result of INC; the first one has the carry that stays in its sign. */
    static final int STEP_UP = 4;

    /** Likewise of DEC. */
    static final int STEP_DOWN = 5;

    /** Puts flags into the processor. */
    static void settle(Cpu c, int kind, long a, long b) {
        int shift = kind >> 8;
        switch (kind & 0xff) {
            case PLAIN -> {
                c.carries = a;
                c.result = b;
            }
            case LOGIC -> {
                c.carries = 0;
                c.result = b;
            }
            case SUM -> {
                long r = a + b;
                put(c, r, a & b | (a | b) & ~r, shift);
            }
            case DIFFERENCE -> {
                long r = a - b;
                put(c, r, ~a & b | ~(a ^ b) & r, shift);
            }
            case STEP_UP, STEP_DOWN -> {
                if ((kind & 0xff) == STEP_UP) {
                    put(c, b, b - 1 & ~b, shift);
                } else {
                    put(c, b, b & ~(b + 1), shift);
                }
                if ((c.carries ^ a) < 0) {
                    c.carries ^= Cpu.TOP;
                }
            }
            default -> {}
        }
    }

    private static void put(Cpu c, long result, long vector, int shift) {
        c.result = result << shift >> shift;
        c.carries = vector << shift & Cpu.TOP | vector & 8;
    }
}
