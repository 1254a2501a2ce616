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

    /** The multiprocessing state of a processor that waits to be started by another. */
    public static final int NOT_STARTED = 1;

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
    private static final int HF_GUEST = 1 << 21;
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
        mpState = bootstrap ? 0 : 1; // runnable, or waiting for its INIT
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
    private void dropRealModeLevels() {
        if ((cr0 & CR0_PE) == 0 && (segs[CS].flags & DPL) != 0) {
            for (Segment s : segs) {
                s.flags &= ~DPL;
            }
        }
    }

    void beforeSave() {
        deriveFlags();
        dropRealModeLevels();
    }

    void afterLoad(StateCodec c) throws StateException {
        if ((hflags & HF_GUEST) != 0) {
            throw c.invalid(
                    "vCPU set in guest-mode inconsistent with migrated kernel nested state");
        }
        if (mpState < 0 || mpState > 4) {
            throw c.invalid("unknown multiprocessing state " + mpState + " of a vCPU");
        }
        dropRealModeLevels();
        if (exceptionNumber != -1 && !exceptionPending && !exceptionInjected) {
            exceptionInjected = true;
        }
    }

    public void describe(StateCodec c) throws StateException {
        if (!c.loading()) {
            beforeSave();
        } else {
            defaultsOfOptionalParts();
        }
        core(c);
        c.subsection("cpu/exception_info", 1, false, this::exceptionInfo);
        c.subsection(
                "cpu/error_code", 1, false, s -> errorCode = s.i32("env.error_code", errorCode));
        c.subsection(
                "cpu/async_pf_msr",
                1,
                asyncPf != 0,
                s -> asyncPf = s.u64("env.async_pf_en_msr", asyncPf));
        c.subsection(
                "cpu/async_pf_int_msr",
                1,
                asyncPfInt != 0,
                s -> asyncPfInt = s.u64("env.async_pf_int_msr", asyncPfInt));
        c.subsection(
                "cpu/async_pv_eoi_msr",
                1,
                pvEoi != 0,
                s -> pvEoi = s.u64("env.pv_eoi_en_msr", pvEoi));
        c.subsection(
                "cpu/steal_time_msr",
                1,
                stealTime != 0,
                s -> stealTime = s.u64("env.steal_time_msr", stealTime));
        c.subsection(
                "cpu/poll_control_msr",
                1,
                pollControl != 1,
                s -> pollControl = s.u64("env.poll_control_msr", pollControl));
        c.subsection("cpu/fpop_ip_dp", 1, fop != 0 || fip != 0 || fdp != 0, this::lastFpu);
        c.subsection(
                "cpu/msr_tsc_adjust",
                1,
                tscAdjust != 0,
                s -> tscAdjust = s.u64("env.tsc_adjust", tscAdjust));
        c.subsection(
                "cpu/msr_tscdeadline",
                1,
                tscDeadline != 0,
                s -> tscDeadline = s.u64("env.tsc_deadline", tscDeadline));
        c.subsection(
                "cpu/msr_ia32_misc_enable",
                1,
                miscEnable != 1,
                s -> miscEnable = s.u64("env.msr_ia32_misc_enable", miscEnable));
        c.subsection(
                "cpu/msr_ia32_feature_control",
                1,
                featureControl != 0,
                s -> featureControl = s.u64("env.msr_ia32_feature_control", featureControl));
        c.subsection("cpu/avx512", 1, avx512(), this::avx512);
        c.subsection("cpu/xss", 1, xss != 0, s -> xss = s.u64("env.xss", xss));
        c.subsection("cpu/umwait", 1, umwait != 0, s -> umwait = s.u32("env.umwait", umwait));
        c.subsection("cpu/tsc_khz", 1, tscKhz != 0, s -> tscKhz = s.i64("env.tsc_khz", tscKhz));
        c.subsection(
                "cpu/msr_smi_count",
                1,
                smiCount != 0,
                s -> smiCount = s.u64("env.msr_smi_count", smiCount));
        c.subsection("cpu/pkru", 1, pkru != 0, s -> pkru = s.u32("env.pkru", pkru));
        c.subsection("cpu/pkrs", 1, pkrs != 0, s -> pkrs = s.u32("env.pkrs", pkrs));
        c.subsection(
                "cpu/spec_ctrl",
                1,
                specCtrl != 0,
                s -> specCtrl = s.u64("env.spec_ctrl", specCtrl));
        c.subsection(
                "cpu/mcg_ext_ctl",
                1,
                mcgExtCtl != 0,
                s -> mcgExtCtl = s.u64("env.mcg_ext_ctl", mcgExtCtl));
        c.subsection(
                "cpu/virt_ssbd",
                1,
                virtSsbd != 0,
                s -> virtSsbd = s.u64("env.virt_ssbd", virtSsbd));
        pdptrsValid = c.subsection("cpu/pdptrs", 1, pdptrsValid, s -> s.u64s("env.pdptrs", pdptrs));
        c.subsection("cpu/msr_hwcr", 1, hwcr != 0, s -> hwcr = s.u64("env.msr_hwcr", hwcr));
        c.subsection(
                "cpu/triple_fault",
                1,
                tripleFault != 0,
                s -> tripleFault = s.u8("env.triple_fault_pending", tripleFault));
        if (c.loading()) {
            afterLoad(c);
        }
    }

    /** A part that the sender left out had the value for which it is left out. */
    private void defaultsOfOptionalParts() {
        exceptionPending = false;
        exceptionInjected = false;
        exceptionHasPayload = false;
        exceptionPayload = 0;
        errorCode = 0;
        asyncPf = 0;
        asyncPfInt = 0;
        pvEoi = 0;
        stealTime = 0;
        pollControl = 1;
        fop = 0;
        fip = 0;
        fdp = 0;
        tscAdjust = 0;
        tscDeadline = 0;
        miscEnable = 1;
        featureControl = 0;
        Arrays.fill(opmask, 0);
        Arrays.fill(zmmUpper, 0);
        Arrays.fill(zmmHigh, 0);
        xss = 0;
        umwait = 0;
        smiCount = 0;
        pkru = 0;
        pkrs = 0;
        specCtrl = 0;
        mcgExtCtl = 0;
        virtSsbd = 0;
        hwcr = 0;
        tripleFault = 0;
    }

    private void core(StateCodec c) throws StateException {
        c.u64s("env.regs", regs);
        rip = c.u64("env.eip", rip);
        rflags = c.u64("env.eflags", rflags);
        hflags = c.u32("env.hflags", hflags);
        fcw = c.u16("env.fpuc", fcw);
        fsw = c.u16("env.fpus_vmstate", fsw);
        ftw = c.u16("env.fptag_vmstate", ftw) & 0xff;
        if (c.u16("env.fpregs_format_vmstate", 0) != 0) {
            throw c.invalid("Unsupported old non-softfloat CPU state");
        }
        c.structs(
                "env.fpregs",
                "fpreg",
                0,
                8,
                (s, i) -> {
                    mantissa[i] = s.u64("tmp_mant", mantissa[i]);
                    exponent[i] = s.u16("tmp_exp", exponent[i]);
                });
        c.structs("env.segs", "segment", 1, 6, (s, i) -> segs[i].describe(s));
        c.struct("env.ldt", "segment", 1, ldt::describe);
        c.struct("env.tr", "segment", 1, tr::describe);
        c.struct("env.gdt", "segment", 1, gdt::describe);
        c.struct("env.idt", "segment", 1, idt::describe);
        sysenterCs = c.u32("env.sysenter_cs", sysenterCs);
        sysenterEsp = c.u64("env.sysenter_esp", sysenterEsp);
        sysenterEip = c.u64("env.sysenter_eip", sysenterEip);
        cr0 = c.u64("env.cr[0]", cr0);
        cr2 = c.u64("env.cr[2]", cr2);
        cr3 = c.u64("env.cr[3]", cr3);
        cr4 = c.u64("env.cr[4]", cr4);
        c.u64s("env.dr", dr);
        a20Mask = c.i32("env.a20_mask", a20Mask);
        mxcsr = c.u32("env.mxcsr", mxcsr);
        c.structs("env.xmm_regs[0]", "xmm_reg", 1, 16, (s, i) -> halves(s, xmmLow, xmmHigh, i, 0));
        efer = c.u64("env.efer", efer);
        star = c.u64("env.star", star);
        lstar = c.u64("env.lstar", lstar);
        cstar = c.u64("env.cstar", cstar);
        fmask = c.u64("env.fmask", fmask);
        kernelGsBase = c.u64("env.kernelgsbase", kernelGsBase);
        smbase = c.u32("env.smbase", smbase);
        pat = c.u64("env.pat", pat);
        hflags2 = c.u32("env.hflags2", hflags2);
        vmHsave = c.u64("env.vm_hsave", vmHsave);
        vmVmcb = c.u64("env.vm_vmcb", vmVmcb);
        nestedTscOffset = c.u64("env.tsc_offset", nestedTscOffset);
        intercept = c.u64("env.intercept", intercept);
        intercepts[0] = c.u16("env.intercept_cr_read", intercepts[0]);
        intercepts[1] = c.u16("env.intercept_cr_write", intercepts[1]);
        intercepts[2] = c.u16("env.intercept_dr_read", intercepts[2]);
        intercepts[3] = c.u16("env.intercept_dr_write", intercepts[3]);
        interceptExceptions = c.u32("env.intercept_exceptions", interceptExceptions);
        virtualTpr = c.u8("env.v_tpr", virtualTpr);
        c.u64s("env.mtrr_fixed", mtrrFixed);
        mtrrDefault = c.u64("env.mtrr_deftype", mtrrDefault);
        c.structs(
                "env.mtrr_var",
                "mtrr_var",
                1,
                8,
                (s, i) -> {
                    mtrrBase[i] = s.u64("base", mtrrBase[i]);
                    mtrrMask[i] = s.u64("mask", mtrrMask[i]);
                });
        interruptInjected = c.i32("env.interrupt_injected", interruptInjected);
        mpState = c.u32("env.mp_state", mpState);
        tsc = c.u64("env.tsc", tsc);
        exceptionNumber = c.i32("env.exception_nr", exceptionNumber);
        softInterrupt = c.u8("env.soft_interrupt", softInterrupt);
        nmiInjected = c.u8("env.nmi_injected", nmiInjected);
        nmiPending = c.u8("env.nmi_pending", nmiPending);
        hasErrorCode = c.u8("env.has_error_code", hasErrorCode);
        sipiVector = c.u32("env.sipi_vector", sipiVector);
        mcgCap = c.u64("env.mcg_cap", mcgCap);
        mcgStatus = c.u64("env.mcg_status", mcgStatus);
        mcgCtl = c.u64("env.mcg_ctl", mcgCtl);
        c.u64s("env.mce_banks", mceBanks);
        tscAux = c.u64("env.tsc_aux", tscAux);
        systemTime = c.u64("env.system_time_msr", systemTime);
        wallClock = c.u64("env.wall_clock_msr", wallClock);
        if (c.version() >= 12) {
            xcr0 = c.u64("env.xcr0", xcr0);
            xstateBv = c.u64("env.xstate_bv", xstateBv);
            c.structs(
                    "env.xmm_regs[1]",
                    "ymmh_reg",
                    1,
                    16,
                    (s, i) -> halves(s, ymmLow, ymmHigh, i, 2));
        } else {
            xcr0 = 1;
            xstateBv = 0;
        }
    }

    private static void halves(StateCodec s, long[] low, long[] high, int i, int word)
            throws StateException {
        low[i] = s.u64("_q_ZMMReg[" + word + "]", low[i]);
        high[i] = s.u64("_q_ZMMReg[" + (word + 1) + "]", high[i]);
    }

    private void exceptionInfo(StateCodec s) throws StateException {
        exceptionPending = s.bool("env.exception_pending", exceptionPending);
        exceptionInjected = s.bool("env.exception_injected", exceptionInjected);
        exceptionHasPayload = s.bool("env.exception_has_payload", exceptionHasPayload);
        exceptionPayload = s.u64("env.exception_payload", exceptionPayload);
    }

    private void lastFpu(StateCodec s) throws StateException {
        fop = s.u16("env.fpop", fop);
        fip = s.u64("env.fpip", fip);
        fdp = s.u64("env.fpdp", fdp);
    }

    private boolean avx512() {
        for (long[] part : new long[][] {opmask, zmmUpper, zmmHigh}) {
            for (long word : part) {
                if (word != 0) {
                    return true;
                }
            }
        }
        return false;
    }

    private void avx512(StateCodec c) throws StateException {
        c.u64s("env.opmask_regs", opmask);
        c.structs("env.xmm_regs", "xmm_reg", 1, 16, (s, i) -> words(s, zmmUpper, i, 4));
        c.structs("env.xmm_regs", "xmm_reg", 1, 16, (s, i) -> words(s, zmmHigh, i, 8));
    }

    private static void words(StateCodec s, long[] all, int register, int count)
            throws StateException {
        for (int w = 0; w < count; w++) {
            int at = register * count + w;
            all[at] = s.u64("_q_ZMMReg[" + w + "]", all[at]);
        }
    }
}
