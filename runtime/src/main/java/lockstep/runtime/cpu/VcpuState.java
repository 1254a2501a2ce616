package lockstep.runtime.cpu;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.util.Arrays;

/**
 * Everything of one vCPU that the migration stream carries under {@code cpu} (QEMU: vmstate "cpu" v12).
 * Field names are those of the stream; registers are named as in the Intel SDM. Plain data: moved from and
 * to the processor by the accelerator, used under the machine lock while the vCPU is parked.
 */
public final class VcpuState {
    public static final int ES = 0;
    public static final int CS = 1;
    public static final int SS = 2;
    public static final int DS = 3;

    /** Bits of a segment's flags: the second dword of its descriptor. */
    public static final int PRESENT = 1 << 15;

    /** The multiprocessing state of a processor that runs. */
    public static final int RUNNABLE = 0;

    /** The multiprocessing state of a processor that waits to be started by another. */
    public static final int NOT_STARTED = 1;

    /** The multiprocessing state of a processor that waits likewise, behind an INIT. */
    public static final int INIT_RECEIVED = 2;

    /** The multiprocessing state of a processor that is about to begin where the message said. */
    public static final int SIPI_RECEIVED = 4;

    /** The multiprocessing state of a processor that waits for an interrupt. */
    public static final int HALTED = 3;

    private static final int DPL = 3 << 13;
    private static final long EFLAGS_MODE = 0x100 | 0x20000 | 0x3000; // TF, VM, IOPL
    private static final long CR0_PE = 1;
    private static final long CR4_OSFXSR = 0x200;
    private static final long EFER_LMA = 0x400;
    private static final int EFLAGS_VM = 0x20000;

    // hflags: mode bits that QEMU derives from the registers; see the stream's description.
    private static final int HF_INHIBIT_IRQ = 1 << 3;
    private static final int HF_CS32 = 1 << 4;
    private static final int HF_SS32 = 1 << 5;
    private static final int HF_ADDSEG = 1 << 6;
    private static final int HF_PE = 1 << 7;
    private static final int HF_LMA = 1 << 14;
    private static final int HF_CS64 = 1 << 15;
    static final int HF_GUEST = 1 << 21;
    private static final int HF_OSFXSR = 1 << 22;
    private static final int HF2_NMI = 1 << 2;
    // Global interrupt flags of a processor without nested guests: set.
    private static final int HF2_RESET = 1 | 1 << 8;

    private static final int BANKS = 10;

    /** A segment register: base in bytes, limit unsigned, flags as the second dword of its descriptor. */
    public static final class Segment {
        public int selector;
        public long base;
        public int limit;
        public int flags;

        /** Sets all four. */
        public void set(int selector, long base, int limit, int flags) {
            this.selector = selector;
            this.base = base;
            this.limit = limit;
            this.flags = flags;
        }

        void set(Segment from) {
            set(from.selector, from.base, from.limit, from.flags);
        }

        void describe(StateCodec c) throws StateException {
            selector = c.u32("selector", selector);
            base = c.u64("base", base);
            limit = c.u32("limit", limit);
            flags = c.u32("flags", flags);
        }
    }

    public final long[] regs = new long[16];
    public long rip;
    public long rflags;
    public int hflags;
    public int hflags2 = HF2_RESET;

    // x87 and SSE as FXSAVE holds them
    public int fcw;
    public int fsw;
    public int ftw;
    public int fop;
    public long fip;
    public long fdp;
    public int mxcsr;
    public final long[] mantissa = new long[8];
    public final int[] exponent = new int[8];
    public final long[] xmmLow = new long[16];
    public final long[] xmmHigh = new long[16];
    public final long[] ymmLow = new long[16];
    public final long[] ymmHigh = new long[16];
    public final long[] opmask = new long[8];
    public final long[] zmmUpper = new long[16 * 4];
    public final long[] zmmHigh = new long[16 * 8];
    public int pkru;
    public long xcr0;
    public long xstateBv;

    public final Segment[] segs = newSegments(6);
    public final Segment ldt = new Segment();
    public final Segment tr = new Segment();
    public final Segment gdt = new Segment();
    public final Segment idt = new Segment();
    public long cr0;
    public long cr2;
    public long cr3;
    public long cr4;
    public final long[] dr = new long[8];
    public int a20Mask = -1;
    public boolean pdptrsValid;
    public final long[] pdptrs = new long[4];

    // model-specific registers
    public int sysenterCs;
    public long sysenterEsp;
    public long sysenterEip;
    public long efer;
    public long star;
    public long lstar;
    public long cstar;
    public long fmask;
    public long kernelGsBase;
    public int smbase;
    public long pat;
    public long vmHsave;
    public long tsc;
    public long tscAux;
    public long tscAdjust;
    public long tscDeadline;
    public long miscEnable;
    public long featureControl;
    public long systemTime;
    public long wallClock;
    public long asyncPf;
    public long asyncPfInt;
    public long pvEoi;
    public long stealTime;
    public long pollControl;
    public long xss;
    public int umwait;
    public long smiCount;
    public int pkrs;
    public long specCtrl;
    public long virtSsbd;
    public long hwcr;
    public final long[] mtrrFixed = new long[11];
    public long mtrrDefault;
    public final long[] mtrrBase = new long[8];
    public final long[] mtrrMask = new long[8];
    public long mcgCap;
    public long mcgStatus;
    public long mcgCtl;
    public long mcgExtCtl;
    public final long[] mceBanks = new long[BANKS * 4];
    public long tscKhz;

    /** Bits of a guest physical address. */
    public int physicalBits = 40;

    /** Whether the machine type is new enough (10.2) for the error code's own subsection. */
    public boolean sendsErrorCode;

    // nested virtualisation, which is not offered; kept as it came
    public long vmVmcb;
    public long nestedTscOffset;
    public long intercept;
    public final int[] intercepts = new int[4];
    public int interceptExceptions;
    public int virtualTpr;

    // events
    public int interruptInjected = -1;
    public int mpState;
    public int exceptionNumber = -1;
    public boolean exceptionPending;
    public boolean exceptionInjected;
    public boolean exceptionHasPayload;
    public long exceptionPayload;
    public int hasErrorCode;
    public int errorCode;
    public int softInterrupt;
    public int nmiInjected;
    public int nmiPending;
    public int sipiVector;
    public int tripleFault;

    private static Segment[] newSegments(int n) {
        Segment[] out = new Segment[n];
        for (int i = 0; i < n; i++) {
            out[i] = new Segment();
        }
        return out;
    }

    /** The state after RESET (Intel SDM volume 3, section 9.1), {@code signature} being CPUID.1.EAX. */
    public void reset(int signature, boolean bootstrap) {
        Arrays.fill(regs, 0);
        regs[2] = signature & 0xffffffffL;
        rip = 0xfff0;
        rflags = 2;
        hflags2 = HF2_RESET;
        fcw = 0x37f;
        fsw = 0;
        ftw = 0;
        fop = 0;
        fip = 0;
        fdp = 0;
        mxcsr = 0x1f80;
        Arrays.fill(mantissa, 0);
        Arrays.fill(exponent, 0);
        for (long[] half : new long[][] {xmmLow, xmmHigh, ymmLow, ymmHigh, opmask}) {
            Arrays.fill(half, 0);
        }
        Arrays.fill(zmmUpper, 0);
        Arrays.fill(zmmHigh, 0);
        pkru = 0;
        xcr0 = 1;
        xstateBv = 0;
        for (Segment s : segs) {
            s.set(0, 0, 0xffff, PRESENT | 0x1300); // read, write, accessed
        }
        segs[CS].set(0xf000, 0xffff0000L, 0xffff, PRESENT | 0x1b00);
        ldt.set(0, 0, 0xffff, PRESENT | 2 << 8);
        tr.set(0, 0, 0xffff, PRESENT | 11 << 8);
        gdt.set(0, 0, 0xffff, 0);
        idt.set(0, 0, 0xffff, 0);
        cr0 = 0x60000010L;
        cr2 = 0;
        cr3 = 0;
        cr4 = 0;
        Arrays.fill(dr, 0);
        dr[4] = 0xffff0ff0L;
        dr[6] = 0xffff0ff0L;
        dr[5] = 0x400;
        dr[7] = 0x400;
        a20Mask = -1;
        pdptrsValid = false;
        resetModelRegisters();
        interruptInjected = -1;
        exceptionNumber = -1;
        exceptionPending = false;
        exceptionInjected = false;
        exceptionHasPayload = false;
        exceptionPayload = 0;
        hasErrorCode = 0;
        errorCode = 0;
        softInterrupt = 0;
        nmiInjected = 0;
        nmiPending = 0;
        sipiVector = 0;
        tripleFault = 0;
        mpState = bootstrap ? RUNNABLE : NOT_STARTED;
    }

    /**
     * What INIT leaves: like a reset, but for floating point, the caches and the model-specific registers, time stamp counter
     * among them. A non-maskable interrupt that waits goes on doing so.
     */
    public void init(int signature) {
        VcpuState fresh = new VcpuState();
        fresh.reset(signature, true);
        System.arraycopy(fresh.regs, 0, regs, 0, 16);
        rip = fresh.rip;
        rflags = fresh.rflags;
        for (int i = 0; i < 6; i++) {
            segs[i].set(fresh.segs[i]);
        }
        ldt.set(fresh.ldt);
        tr.set(fresh.tr);
        gdt.set(fresh.gdt);
        idt.set(fresh.idt);
        cr0 = 0x10 | cr0 & 0x60000000L;
        cr2 = 0;
        cr3 = 0;
        cr4 = 0;
        efer = 0;
        System.arraycopy(fresh.dr, 0, dr, 0, 8);
        shadows(false, false);
        interruptInjected = -1;
        exceptionNumber = -1;
        exceptionPending = false;
        exceptionInjected = false;
        exceptionHasPayload = false;
        hasErrorCode = 0;
        softInterrupt = 0;
        nmiInjected = 0;
        tripleFault = 0;
    }

    private void resetModelRegisters() {
        sysenterCs = 0;
        sysenterEsp = 0;
        sysenterEip = 0;
        efer = 0;
        star = 0;
        lstar = 0;
        cstar = 0;
        fmask = 0;
        kernelGsBase = 0;
        smbase = 0x30000;
        pat = 0x0007040600070406L;
        vmHsave = 0;
        tsc = 0;
        tscAux = 0;
        tscAdjust = 0;
        tscDeadline = 0;
        miscEnable = 1;
        featureControl = 0;
        systemTime = 0;
        wallClock = 0;
        asyncPf = 0;
        asyncPfInt = 0;
        pvEoi = 0;
        stealTime = 0;
        pollControl = 1;
        xss = 0;
        umwait = 0;
        smiCount = 0;
        pkrs = 0;
        specCtrl = 0;
        virtSsbd = 0;
        hwcr = 0;
        Arrays.fill(mtrrFixed, 0);
        mtrrDefault = 0;
        Arrays.fill(mtrrBase, 0);
        Arrays.fill(mtrrMask, 0);
        mcgStatus = 0;
        mcgCtl = -1;
        mcgExtCtl = 0;
        for (int i = 0; i < mceBanks.length; i++) {
            mceBanks[i] = (i & 3) == 0 ? -1 : 0;
        }
    }

    /** The XSAVE bits of x87 (1) and SSE (2) where they differ from their initial state. */
    public long changedLegacyComponents() {
        long x87 = fcw ^ 0x37f | fsw | ftw | fop | fip | fdp;
        for (int i = 0; i < 8; i++) {
            x87 |= mantissa[i] | exponent[i];
        }
        long sse = 0;
        for (int i = 0; i < 16; i++) {
            sse |= xmmLow[i] | xmmHigh[i];
        }
        return (x87 != 0 ? 1 : 0) | (sse != 0 ? 2 : 0);
    }

    /** Whether interrupts wait for the end of the next instruction. */
    public boolean interruptShadow() {
        return (hflags & HF_INHIBIT_IRQ) != 0;
    }

    /** Whether a non-maskable interrupt is being handled. */
    public boolean nmiMasked() {
        return (hflags2 & HF2_NMI) != 0;
    }

    /** Sets what {@link #interruptShadow} and {@link #nmiMasked} say. */
    public void shadows(boolean interrupt, boolean nmi) {
        hflags = interrupt ? hflags | HF_INHIBIT_IRQ : hflags & ~HF_INHIBIT_IRQ;
        hflags2 = nmi ? hflags2 | HF2_NMI : hflags2 & ~HF2_NMI;
    }

    /** Derives the mode bits of hflags from the registers; those that are state of their own stay. */
    public void deriveFlags() {
        int f = hflags & HF_INHIBIT_IRQ;
        f |= (segs[SS].flags & DPL) >>> 13;
        f |= (cr0 & CR0_PE) != 0 ? HF_PE : 0;
        f |= (int) ((cr0 & 0xe) << 8); // MP, EM, TS
        f |= (int) (rflags & EFLAGS_MODE);
        f |= (cr4 & CR4_OSFXSR) != 0 ? HF_OSFXSR : 0;
        boolean longMode = (efer & EFER_LMA) != 0;
        f |= longMode ? HF_LMA : 0;
        if (longMode && (segs[CS].flags & 1 << 21) != 0) {
            f |= HF_CS32 | HF_SS32 | HF_CS64;
        } else {
            f |= (segs[CS].flags & 1 << 22) != 0 ? HF_CS32 : 0;
            f |= (segs[SS].flags & 1 << 22) != 0 ? HF_SS32 : 0;
            boolean bases = (segs[DS].base | segs[ES].base | segs[SS].base) != 0;
            boolean flat = (cr0 & CR0_PE) != 0 && (rflags & EFLAGS_VM) == 0 && (f & HF_CS32) != 0;
            f |= !flat || bases ? HF_ADDSEG : 0;
        }
        hflags = f;
    }

    /** In real mode a privilege level above 0 in a segment means nothing and is not sent. */
    void dropRealModeLevels() {
        if ((cr0 & CR0_PE) == 0 && (segs[CS].flags & DPL) != 0) {
            for (Segment s : segs) {
                s.flags &= ~DPL;
            }
        }
    }

    /** As fields of the stream's {@code cpu} section, to be written or to be read. */
    public void describe(StateCodec c) throws StateException {
        new VcpuSection(this).describe(c);
    }
}
