package lockstep.x86;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * The registers of one processor and its way to memory. Instructions are static methods over it. Used by one thread at
 * a time; only {@link #pending} and what sets it may be touched by others. It is long because all that instructions touch
 * is one field away: a second object between an access and its translation would cost each access a load.
 *
 * <p>Arithmetic flags are kept as two words from which each flag follows in a few operations: {@link #result} is the
 * sign-extended result, zero and sign and parity follow from it; {@link #carries} has in bits 63 and 62 the carries out
 * of and into the top bit (so that CF is bit 63 and OF their difference), in bit 3 the half carry, in bit 0 a correction
 * of the sign and in bits 8 to 15 one of the byte whose parity counts, for flags that no result could have left.
 */
final class Cpu {
    static final int RAX = 0;
    static final int RCX = 1;
    static final int RDX = 2;
    static final int RBX = 3;
    static final int RSP = 4;
    static final int RBP = 5;
    static final int RSI = 6;
    static final int RDI = 7;

    /** Index of a register that is always 0. */
    static final int ZERO = 16;

    /** Index of the instruction pointer where the running block begins. */
    static final int BLOCK = 17;

    static final int ES = 0;
    static final int CS = 1;
    static final int SS = 2;
    static final int DS = 3;
    static final int FS = 4;
    static final int GS = 5;
    static final int LDTR = 6;
    static final int TR = 7;

    /** Index of a segment with base 0. */
    static final int NONE = 8;

    // EFLAGS
    static final int CF = 1;
    static final int PF = 4;
    static final int AF = 0x10;
    static final int ZF = 0x40;
    static final int SF = 0x80;
    static final int TF = 0x100;
    static final int IF = 0x200;
    static final int DF = 0x400;
    static final int OF = 0x800;
    static final int IOPL = 0x3000;
    static final int NT = 0x4000;
    static final int RF = 0x10000;
    static final int VM = 0x20000;
    static final int AC = 0x40000;
    static final int VIF = 0x80000;
    static final int VIP = 0x100000;
    static final int ID = 0x200000;
    static final int ARITHMETIC = CF | PF | AF | ZF | SF | OF;

    // CR0, CR4, EFER
    static final int PE = 1;
    static final int MP = 2;
    static final int EM = 4;
    static final int TS = 8;
    static final int ET = 0x10;
    static final int NE = 0x20;
    static final int WP = 0x10000;
    static final int AM = 0x40000;
    static final int PG = 0x80000000;
    static final int VME = 1;
    static final int PVI = 2;
    static final int TSD = 4;
    static final int DE = 8;
    static final int PSE = 0x10;
    static final int PAE = 0x20;
    static final int PGE = 0x80;
    static final int PCE = 0x100;
    static final int OSFXSR = 0x200;
    static final int OSXMMEXCPT = 0x400;
    static final int FSGSBASE = 0x10000;
    static final int OSXSAVE = 0x40000;
    static final int SMEP = 0x100000;
    static final int SCE = 1;
    static final int LME = 0x100;
    static final int LMA = 0x400;
    static final int NXE = 0x800;

    // A segment's attributes: the second dword of its descriptor.
    static final int TYPE_CODE = 0x800;
    static final int TYPE_DOWN = 0x400;
    static final int TYPE_WRITE = 0x200;
    static final int TYPE_ACCESSED = 0x100;
    static final int S = 0x1000;
    static final int P = 0x8000;
    static final int L = 0x200000;
    static final int DB = 0x400000;
    static final int G = 0x800000;

    /** Carry into and out of the top bit. */
    static final long TOP = 0xc000000000000000L;

    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final MemorySegment HOST = PhysicalMemory.HOST;

    // ---- registers
    final long[] regs = new long[18];
    long rip;
    long result;
    long carries;

    /** EFLAGS without the arithmetic flags. */
    int eflags = 2;

    final int[] selector = new int[9];
    final long[] base = new long[9];

    /** Unsigned limits, in bytes. */
    final long[] limit = new long[9];

    final int[] attributes = new int[9];

    /** Whether a segment outside 64-bit mode needs no check: 4 GiB, readable and writable. */
    final boolean[] flat = new boolean[9];

    long gdtBase;
    int gdtLimit;
    long idtBase;
    int idtLimit;
    int cr0 = ET;
    long cr2;
    long cr3;
    int cr4;
    int efer;
    final long[] dr = new long[8];
    int cpl;

    /** 16, 32 or 64: what the code segment says. */
    int codeSize = 16;

    /** Bytes of the stack pointer that count: 2, 4 or 8. */
    int stackSize = 2;

    /** What decoding depends on: the code size over 32, and {@link Decoder#STACK16}. */
    int mode = Decoder.STACK16;

    // ---- model-specific registers
    int sysenterCs;
    long sysenterEsp;
    long sysenterEip;
    long star;
    long lstar;
    long cstar;
    long fmask;
    long kernelGsBase;
    long tscAux;
    long pat = 0x0007040600070406L;

    // ---- x87 and SSE
    final Fpu fpu = new Fpu();

    /** The low half of register n is word 2n. */
    final long[] xmm = new long[32];

    int mxcsr = 0x1f80;
    long xcr0 = 1;

    // ---- how the processor stands
    boolean halted;

    /** No interrupt before the end of the next instruction. */
    boolean shadow;

    boolean nmiMasked;

    /** The running instruction loaded RF, which holds for the next one. */
    boolean resumed;

    /** Access to {@link #pending} from any thread. */
    static final VarHandle PENDING;

    static {
        try {
            PENDING = MethodHandles.lookup().findVarHandle(Cpu.class, "pending", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Why the loop must look up: {@link Processor} knows the bits. */
    volatile int pending;

    /** How many operations of the running block are to run; zeroed when its code changes. */
    int blockEnd;

    /** The instruction that faulted in a translation. */
    long faultAt;

    final Bus bus;
    final PhysicalMemory memory;
    final Paging paging;
    final Breakpoints breakpoints;
    final GuestFault fault = new GuestFault();
    final CpuidTable cpuid;

    // ---- translations: four words an entry: tag for reads, tag for writes, host minus linear,
    // tag for fetches
    static final int TLB_ENTRIES = 1024;
    private static final int TLB_MASK = TLB_ENTRIES - 1;
    private static final long PAGE_MASK = ~PhysicalMemory.OFFSET;
    private static final long EMPTY = 1; // never a tag

    final long[] kernelTlb = new long[TLB_ENTRIES * 4];
    final long[] userTlb = new long[TLB_ENTRIES * 4];
    private boolean kernelTlbUsed = true;
    private boolean userTlbUsed = true;

    /** The one that the present privilege level uses. */
    long[] tlb = kernelTlb;

    /** Changes whenever a linear address may mean another page. */
    int generation;

    Cpu(Bus bus, PhysicalMemory memory, CpuidTable cpuid) {
        this.bus = bus;
        this.memory = memory;
        this.cpuid = cpuid;
        paging = new Paging(this);
        breakpoints = new Breakpoints(this);
        flushAll();
    }

    // ---- faults

    GuestFault fault(int vector, int error) {
        return fault.of(vector, error);
    }

    GuestFault gp(int error) {
        return fault.of(GuestFault.GP, error);
    }

    GuestFault undefined() {
        return fault.of(GuestFault.UD, GuestFault.NONE);
    }

    // ---- modes

    boolean protectedMode() {
        return (cr0 & PE) != 0;
    }

    /** Real mode or virtual-8086 mode. */
    boolean realOrVirtual() {
        return (cr0 & PE) == 0 || (eflags & VM) != 0;
    }

    boolean virtual8086() {
        return (eflags & VM) != 0;
    }

    boolean longMode() {
        return (efer & LMA) != 0;
    }

    int iopl() {
        return eflags >> 12 & 3;
    }

    /** After a change of CS, SS, CR0, EFER or EFLAGS.VM. */
    void deriveMode() {
        int cs = attributes[CS];
        codeSize = longMode() && (cs & L) != 0 ? 64 : (cs & DB) != 0 ? 32 : 16;
        stackSize = codeSize == 64 ? 8 : (attributes[SS] & DB) != 0 ? 4 : 2;
        mode = codeSize >> 5 | (stackSize == 2 ? Decoder.STACK16 : 0);
        if (virtual8086()) {
            cpl = 3;
        } else if (!protectedMode()) {
            cpl = 0;
        }
        tlb = cpl == 3 ? userTlb : kernelTlb;
    }

    /** After a change of a segment register. */
    void deriveFlat(int s) {
        int a = attributes[s];
        flat[s] =
                limit[s] == 0xffffffffL
                        && (a & (P | S | TYPE_CODE | TYPE_DOWN | TYPE_WRITE))
                                == (P | S | TYPE_WRITE);
    }

    // ---- flags

    boolean carry() {
        return carries < 0;
    }

    boolean zero() {
        return result == 0;
    }

    boolean sign() {
        return (result ^ carries << 63) < 0;
    }

    boolean overflow() {
        return (carries ^ carries << 1) < 0;
    }

    boolean parity() {
        return (Integer.bitCount((int) (result ^ carries >>> 8) & 0xff) & 1) == 0;
    }

    /** Condition {@code n} of Jcc, SETcc and CMOVcc. */
    boolean condition(int n) {
        boolean yes =
                switch (n >> 1) {
                    case 0 -> overflow();
                    case 1 -> carries < 0;
                    case 2 -> result == 0;
                    case 3 -> carries < 0 || result == 0;
                    case 4 -> sign();
                    case 5 -> parity();
                    case 6 -> (result ^ carries << 63 ^ carries ^ carries << 1) < 0;
                    default ->
                            result == 0 || (result ^ carries << 63 ^ carries ^ carries << 1) < 0;
                };
        return yes != ((n & 1) != 0);
    }

    /** All of EFLAGS. */
    int flags() {
        return eflags & ~ARITHMETIC | arithmeticFlags() | 2;
    }

    int arithmeticFlags() {
        return (carry() ? CF : 0)
                | (parity() ? PF : 0)
                | ((carries & 8) != 0 ? AF : 0)
                | (zero() ? ZF : 0)
                | (sign() ? SF : 0)
                | (overflow() ? OF : 0);
    }

    void setArithmeticFlags(int f) {
        boolean zero = (f & ZF) != 0;
        result = zero ? 0 : 0x100;
        long c = (f & CF) != 0 ? 1 : 0;
        long o = (f & OF) != 0 ? 1 : 0;
        carries =
                c << 63
                        | (c ^ o) << 62
                        | ((f & AF) != 0 ? 8 : 0)
                        | ((f & SF) != 0 ? 1 : 0)
                        | ((f & PF) != 0 ? 0 : 0x100);
    }

    /** Sets CF and OF alone. */
    void setCarryOverflow(boolean c, boolean o) {
        carries = carries & ~TOP | (c ? 1L << 63 : 0) | (c != o ? 1L << 62 : 0);
    }

    void setCarry(boolean c) {
        setCarryOverflow(c, overflow());
    }

    void setZero(boolean z) {
        int f = arithmeticFlags();
        setArithmeticFlags(z ? f | ZF : f & ~ZF);
    }

    // ---- general registers

    int get8(int r) {
        return (r & 0x20) != 0 ? (int) (regs[r & 3] >>> 8) & 0xff : (int) regs[r] & 0xff;
    }

    void set8(int r, int v) {
        if ((r & 0x20) != 0) {
            regs[r & 3] = regs[r & 3] & ~0xff00L | (v & 0xffL) << 8;
        } else {
            regs[r] = regs[r] & ~0xffL | v & 0xffL;
        }
    }

    int get16(int r) {
        return (int) regs[r] & 0xffff;
    }

    void set16(int r, int v) {
        regs[r] = regs[r] & ~0xffffL | v & 0xffffL;
    }

    int get32(int r) {
        return (int) regs[r];
    }

    void set32(int r, int v) {
        regs[r] = v & 0xffffffffL;
    }

    /** A register of 2, 4 or 8 bytes (or a byte register), zero-extended. */
    long get(int r, int size) {
        return switch (size) {
            case 1 -> get8(r);
            case 2 -> regs[r] & 0xffff;
            case 4 -> regs[r] & 0xffffffffL;
            default -> regs[r];
        };
    }

    void set(int r, int size, long v) {
        switch (size) {
            case 1 -> set8(r, (int) v);
            case 2 -> set16(r, (int) v);
            case 4 -> regs[r] = v & 0xffffffffL;
            default -> regs[r] = v;
        }
    }

    // ---- addresses

    /** The offset of a memory operand in its segment. */
    long offset(Op o) {
        long at = regs[o.base()] + (regs[o.index()] << o.scale()) + o.disp();
        return switch (o.address()) {
            case Op.A64 -> at;
            case Op.A16 -> at & 0xffff;
            default -> at & 0xffffffffL;
        };
    }

    /** The linear address of a memory operand that is about to be read. */
    long source(Op o, int size) {
        int kind = o.address();
        long at = regs[o.base()] + (regs[o.index()] << o.scale()) + o.disp();
        if (kind == Op.A64) {
            return at + base[o.segment()];
        }
        at &= kind == Op.A16 ? 0xffff : 0xffffffffL;
        return kind == Op.A32_LONG ? at + base[o.segment()] : linear(o.segment(), at, size, false);
    }

    /** The linear address of a memory operand that is about to be written. */
    long target(Op o, int size) {
        int kind = o.address();
        long at = regs[o.base()] + (regs[o.index()] << o.scale()) + o.disp();
        if (kind == Op.A64) {
            return at + base[o.segment()];
        }
        at &= kind == Op.A16 ? 0xffff : 0xffffffffL;
        return kind == Op.A32_LONG ? at + base[o.segment()] : linear(o.segment(), at, size, true);
    }

    /** The linear address of an offset in a segment, in any mode. */
    long linear(int s, long offset, int size, boolean write) {
        if (codeSize == 64) {
            return s >= FS ? base[s] + offset : offset;
        }
        if (!flat[s]) {
            checkSegment(s, offset, size, write);
        }
        return base[s] + offset & 0xffffffffL;
    }

    private void checkSegment(int s, long offset, int size, boolean write) {
        int a = attributes[s];
        boolean real = realOrVirtual();
        boolean bad = !real && ((a & P) == 0 || (a & S) == 0);
        if (!real && !bad) {
            // Code can be read where it says so, and never be written.
            bad =
                    (a & TYPE_CODE) != 0
                            ? write || (a & TYPE_WRITE) == 0
                            : write && (a & TYPE_WRITE) == 0;
        }
        long last = offset + size - 1;
        if ((a & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN && !real) {
            long top = (a & DB) != 0 ? 0xffffffffL : 0xffff;
            bad |= offset <= limit[s] || last > top;
        } else {
            bad |= last > limit[s];
        }
        if (bad) {
            throw fault(s == SS ? GuestFault.SS : GuestFault.GP, 0);
        }
    }

    // ---- memory by linear address

    // The order that x86 promises other processors (Intel SDM volume 3, section 9.2): a load is behind earlier loads, a
    // store is behind everything earlier. On a host of the same kind the fences cost no instruction, they only bind the
    // JVM's compiler.

    int read8(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i] == (la & PAGE_MASK)) {
            int v = HOST.get(BYTE, la + t[i + 2]) & 0xff;
            VarHandle.acquireFence();
            return v;
        }
        return (int) paging.readSlow(la, 1, cpl == 3);
    }

    int read16(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i] == (la + 1 & PAGE_MASK)) {
            int v = HOST.get(SHORT, la + t[i + 2]) & 0xffff;
            VarHandle.acquireFence();
            return v;
        }
        return (int) paging.readSlow(la, 2, cpl == 3);
    }

    int read32(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i] == (la + 3 & PAGE_MASK)) {
            int v = HOST.get(INT, la + t[i + 2]);
            VarHandle.acquireFence();
            return v;
        }
        return (int) paging.readSlow(la, 4, cpl == 3);
    }

    long read64(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i] == (la + 7 & PAGE_MASK)) {
            long v = HOST.get(LONG, la + t[i + 2]);
            VarHandle.acquireFence();
            return v;
        }
        return paging.readSlow(la, 8, cpl == 3);
    }

    void write8(long la, int v) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la & PAGE_MASK)) {
            VarHandle.releaseFence();
            HOST.set(BYTE, la + t[i + 2], (byte) v);
        } else {
            paging.writeSlow(la, 1, v, cpl == 3);
        }
    }

    void write16(long la, int v) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 1 & PAGE_MASK)) {
            VarHandle.releaseFence();
            HOST.set(SHORT, la + t[i + 2], (short) v);
        } else {
            paging.writeSlow(la, 2, v, cpl == 3);
        }
    }

    void write32(long la, int v) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 3 & PAGE_MASK)) {
            VarHandle.releaseFence();
            HOST.set(INT, la + t[i + 2], v);
        } else {
            paging.writeSlow(la, 4, v, cpl == 3);
        }
    }

    void write64(long la, long v) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 7 & PAGE_MASK)) {
            VarHandle.releaseFence();
            HOST.set(LONG, la + t[i + 2], v);
        } else {
            paging.writeSlow(la, 8, v, cpl == 3);
        }
    }

    // Reads of what is about to be changed and written back fail as a write would.

    int readToChange8(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la & PAGE_MASK)) {
            int v = HOST.get(BYTE, la + t[i + 2]) & 0xff;
            VarHandle.acquireFence();
            return v;
        }
        paging.checkWrite(la, 1, cpl == 3);
        return read8(la);
    }

    int readToChange16(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 1 & PAGE_MASK)) {
            int v = HOST.get(SHORT, la + t[i + 2]) & 0xffff;
            VarHandle.acquireFence();
            return v;
        }
        paging.checkWrite(la, 2, cpl == 3);
        return read16(la);
    }

    int readToChange32(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 3 & PAGE_MASK)) {
            int v = HOST.get(INT, la + t[i + 2]);
            VarHandle.acquireFence();
            return v;
        }
        paging.checkWrite(la, 4, cpl == 3);
        return read32(la);
    }

    long readToChange64(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] == (la + 7 & PAGE_MASK)) {
            long v = HOST.get(LONG, la + t[i + 2]);
            VarHandle.acquireFence();
            return v;
        }
        paging.checkWrite(la, 8, cpl == 3);
        return read64(la);
    }

    /** Reads 1, 2, 4 or 8 bytes, zero-extended. */
    long read(long la, int size) {
        return switch (size) {
            case 1 -> read8(la);
            case 2 -> read16(la);
            case 4 -> read32(la) & 0xffffffffL;
            default -> read64(la);
        };
    }

    void write(long la, int size, long v) {
        switch (size) {
            case 1 -> write8(la, (int) v);
            case 2 -> write16(la, (int) v);
            case 4 -> write32(la, (int) v);
            default -> write64(la, v);
        }
    }

    /** The rm operand, in a register or in memory, zero-extended; for instructions that are slow anyway. */
    long operand(Op o) {
        int size = o.size();
        return o.inMemory() ? read(source(o, size), size) : get(o.b(), size);
    }

    /** Fails as a write to these bytes would, without one: what is read, changed and written back begins with it. */
    void checkWrite(long la, int size) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        if (t[i + 1] != (la + size - 1 & PAGE_MASK)) {
            paging.checkWrite(la, size, cpl == 3);
        }
    }

    /** Reads with the rights of the system, as descriptor tables are read. */
    long systemRead(long la, int size) {
        return paging.readSlow(longMode() ? la : la & 0xffffffffL, size, false);
    }

    void systemWrite(long la, int size, long v) {
        paging.writeSlow(longMode() ? la : la & 0xffffffffL, size, v, false);
    }

    // ---- translations

    /** Keeps what is known of a page; {@code host} is the host's address of it. */
    void remember(long la, long host, boolean read, boolean write, boolean execute, boolean user) {
        long[] t = user ? userTlb : kernelTlb;
        if (user) {
            userTlbUsed = true;
        } else {
            kernelTlbUsed = true;
        }
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        long page = la & PAGE_MASK;
        boolean same =
                t[i + 2] == host - page && (t[i] == page || t[i + 1] == page || t[i + 3] == page);
        if (read || !same) {
            t[i] = read ? page : EMPTY;
            t[i + 1] = write ? page : EMPTY;
        }
        if (execute || !same) {
            t[i + 3] = execute ? page : EMPTY;
        }
        t[i + 2] = host - page;
    }

    /** The host's address of memory whose translation for reads is kept, or 0. */
    long hostForRead(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        return t[i] == (la & PAGE_MASK) ? la + t[i + 2] : 0;
    }

    /** Likewise for writes. */
    long hostForWrite(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        return t[i + 1] == (la & PAGE_MASK) ? la + t[i + 2] : 0;
    }

    /**
     * The host's address of what is about to be changed in one step, after what a write does to its page; 0 where that
     * cannot be: no memory of the guest's, or not within eight aligned bytes. Faults as a write does.
     */
    long hostForChange(long la, int size) {
        if ((la & 7) + size > 8) {
            return 0;
        }
        long host = hostForWrite(la);
        return host != 0 ? host : paging.changeSlow(la, cpl == 3);
    }

    /** The host's address of the code at a linear address, or 0 where it is no memory. */
    long fetchHost(long la) {
        long[] t = tlb;
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        return t[i + 3] == (la & PAGE_MASK) ? la + t[i + 2] : paging.fetchSlow(la, cpl == 3);
    }

    void flushAll() {
        if (kernelTlbUsed) {
            Arrays.fill(kernelTlb, EMPTY);
            kernelTlbUsed = false;
        }
        if (userTlbUsed) {
            Arrays.fill(userTlb, EMPTY);
            userTlbUsed = false;
        }
        generation++;
    }

    /** Forgets one page. */
    void flushPage(long la) {
        int i = (int) (la >>> 12 & TLB_MASK) << 2;
        for (long[] t : new long[][] {kernelTlb, userTlb}) {
            t[i] = EMPTY;
            t[i + 1] = EMPTY;
            t[i + 3] = EMPTY;
        }
        generation++;
    }

    /** Writes are looked up anew: a page got code, or a log began. */
    void flushWrites() {
        for (int i = 1; i < kernelTlb.length; i += 4) {
            kernelTlb[i] = EMPTY;
            userTlb[i] = EMPTY;
        }
    }

    /** Writes to one physical page, given by the host's address, are looked up anew. */
    void flushWrites(long hostPage) {
        for (long[] t : new long[][] {kernelTlb, userTlb}) {
            for (int i = 0; i < t.length; i += 4) {
                if (t[i + 1] != EMPTY && t[i + 1] + t[i + 2] == hostPage) {
                    t[i + 1] = EMPTY;
                }
            }
        }
    }
}
