package lockstep.x86;

/** Blocks of one page, translated to bytecode: run from the first until the way leads out of them. */
abstract class Trace {
    /** Runs from {@link Cpu#rip}; a fault leaves {@link Cpu#faultOffset}. */
    abstract void run(Cpu c);

    // ---- called by what the translator writes

    /** Begins a block of so many bytes in 64-bit mode. */
    static void begin(Cpu c, int length) {
        long start = c.rip;
        c.regs[Cpu.BLOCK] = start;
        c.rip = start + length;
    }

    /** Begins a block of so many bytes in another mode. */
    static void beginLegacy(Cpu c, int length) {
        long start = c.rip;
        c.regs[Cpu.BLOCK] = start;
        c.rip = start + length & 0xffffffffL;
    }

    /** Whether the loop must look up, or the code changed. */
    static boolean stop(Cpu c) {
        return (int) Cpu.PENDING.getOpaque(c) != 0 || c.blockEnd == 0;
    }

    /** Where a block led to, from its start. */
    static int distance(Cpu c) {
        long d = c.rip - c.regs[Cpu.BLOCK];
        return d == (int) d ? (int) d : Block.NOWHERE;
    }

    /** After an operation that wrote memory: whether the code changed, so that the rest must be decoded again. */
    static boolean changed(Cpu c, int end) {
        if (c.blockEnd != 0) {
            return false;
        }
        c.rip = c.regs[Cpu.BLOCK] + end;
        return true;
    }
}
