package lockstep.x86;

/** A processor's state outside it, as {@link Processor#save} and {@link Processor#load} move it. Plain data. */
public final class Registers {
    /** A segment register; attributes are the second dword of its descriptor, the limit is unsigned, in bytes. */
    public static final class Segment {
        public int selector;
        public long base;
        public int limit;
        public int attributes;
    }

    /** RAX to R15, in the order of their numbers. */
    public final long[] general = new long[16];

    public long rip;
    public long rflags;

    /** ES, CS, SS, DS, FS, GS, LDTR, TR. */
    public final Segment[] segments = new Segment[8];

    public long gdtBase;
    public int gdtLimit;
    public long idtBase;
    public int idtLimit;
    public long cr0;
    public long cr2;
    public long cr3;
    public long cr4;
    public long efer;
    public final long[] debug = new long[8];

    /** The page directory pointers of PAE mode; null in {@link Processor#load} has them read from memory. */
    public long @org.jspecify.annotations.Nullable [] directories = new long[4];

    public int sysenterCs;
    public long sysenterEsp;
    public long sysenterEip;
    public long star;
    public long lstar;
    public long cstar;
    public long fmask;
    public long kernelGsBase;
    public long tscAux;
    public long pat;

    // x87 and SSE as FXSAVE holds them, but for the tags: bit n of the abridged tag is register n, not ST(n).
    public int fcw;
    public int fsw;
    public int ftw;
    public int fop;
    public long fip;
    public long fdp;
    public final long[] mantissa = new long[8];
    public final int[] exponent = new int[8];
    public int mxcsr;
    public final long[] xmmLow = new long[16];
    public final long[] xmmHigh = new long[16];
    public long xcr0;

    /** No interrupt before the end of the next instruction. */
    public boolean interruptShadow;

    public boolean nmiMasked;

    /** An interrupt or exception to deliver before the first instruction, or -1; for {@link Processor#load} alone. */
    public int injectedVector = -1;

    /** Its error code, or -1 for none. */
    public int injectedError = -1;

    public boolean halted;

    /** Waits for a start-up message. */
    public boolean waitsForStart;

    /** All zero. */
    public Registers() {
        for (int i = 0; i < segments.length; i++) {
            segments[i] = new Segment();
        }
    }
}
