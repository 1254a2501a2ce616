package lockstep.runtime.jvm;

import lockstep.runtime.cpu.VcpuState;
import lockstep.x86.Registers;

/** Moves registers between the processor's form and that of the migration stream. */
final class JvmState {
    private static final int EXCEPTIONS = 32;

    private JvmState() {}

    static void fetch(Registers r, VcpuState s) {
        System.arraycopy(r.general, 0, s.regs, 0, 16);
        s.rip = r.rip;
        s.rflags = r.rflags;
        for (int i = 0; i < 6; i++) {
            fetch(r.segments[i], s.segs[i]);
        }
        fetch(r.segments[6], s.ldt);
        fetch(r.segments[7], s.tr);
        s.gdt.base = r.gdtBase;
        s.gdt.limit = r.gdtLimit;
        s.idt.base = r.idtBase;
        s.idt.limit = r.idtLimit;
        s.cr0 = r.cr0;
        s.cr2 = r.cr2;
        s.cr3 = r.cr3;
        s.cr4 = r.cr4;
        s.efer = r.efer;
        System.arraycopy(r.debug, 0, s.dr, 0, 4);
        s.dr[4] = r.debug[6];
        s.dr[6] = r.debug[6];
        s.dr[5] = r.debug[7];
        s.dr[7] = r.debug[7];
        s.sysenterCs = r.sysenterCs;
        s.sysenterEsp = r.sysenterEsp;
        s.sysenterEip = r.sysenterEip;
        s.star = r.star;
        s.lstar = r.lstar;
        s.cstar = r.cstar;
        s.fmask = r.fmask;
        s.kernelGsBase = r.kernelGsBase;
        s.tscAux = r.tscAux;
        s.pat = r.pat;
        s.fcw = r.fcw;
        s.fsw = r.fsw;
        s.ftw = r.ftw;
        s.fop = r.fop;
        s.fip = r.fip;
        s.fdp = r.fdp;
        System.arraycopy(r.mantissa, 0, s.mantissa, 0, 8);
        System.arraycopy(r.exponent, 0, s.exponent, 0, 8);
        s.mxcsr = r.mxcsr;
        System.arraycopy(r.xmmLow, 0, s.xmmLow, 0, 16);
        System.arraycopy(r.xmmHigh, 0, s.xmmHigh, 0, 16);
        s.xcr0 = r.xcr0;
        s.xstateBv = s.changedLegacyComponents();
        s.shadows(r.interruptShadow, r.nmiMasked);
        s.interruptInjected = -1;
        s.exceptionNumber = -1;
        s.exceptionInjected = false;
        s.exceptionPending = false;
        s.nmiInjected = 0;
        s.nmiPending = 0;
        s.deriveFlags();
    }

    private static void fetch(Registers.Segment r, VcpuState.Segment s) {
        s.set(r.selector, r.base, r.limit, r.attributes);
    }

    static void store(VcpuState s, Registers r) {
        System.arraycopy(s.regs, 0, r.general, 0, 16);
        r.rip = s.rip;
        r.rflags = s.rflags;
        for (int i = 0; i < 6; i++) {
            store(s.segs[i], r.segments[i]);
        }
        store(s.ldt, r.segments[6]);
        store(s.tr, r.segments[7]);
        r.gdtBase = s.gdt.base;
        r.gdtLimit = s.gdt.limit;
        r.idtBase = s.idt.base;
        r.idtLimit = s.idt.limit;
        r.cr0 = s.cr0;
        r.cr2 = s.cr2;
        r.cr3 = s.cr3;
        r.cr4 = s.cr4;
        r.efer = s.efer;
        System.arraycopy(s.dr, 0, r.debug, 0, 8);
        r.directories = null;
        r.sysenterCs = s.sysenterCs;
        r.sysenterEsp = s.sysenterEsp;
        r.sysenterEip = s.sysenterEip;
        r.star = s.star;
        r.lstar = s.lstar;
        r.cstar = s.cstar;
        r.fmask = s.fmask;
        r.kernelGsBase = s.kernelGsBase;
        r.tscAux = s.tscAux;
        r.pat = s.pat;
        r.fcw = s.fcw;
        r.fsw = s.fsw;
        r.ftw = s.ftw;
        r.fop = s.fop;
        r.fip = s.fip;
        r.fdp = s.fdp;
        System.arraycopy(s.mantissa, 0, r.mantissa, 0, 8);
        System.arraycopy(s.exponent, 0, r.exponent, 0, 8);
        r.mxcsr = s.mxcsr;
        System.arraycopy(s.xmmLow, 0, r.xmmLow, 0, 16);
        System.arraycopy(s.xmmHigh, 0, r.xmmHigh, 0, 16);
        r.xcr0 = s.xcr0 | 1;
        r.interruptShadow = s.interruptShadow();
        r.nmiMasked = s.nmiMasked();
        injected(s, r);
    }

    /** An event that another engine had begun to deliver is delivered first. */
    private static void injected(VcpuState s, Registers r) {
        r.injectedVector = -1;
        if (s.nmiInjected != 0) {
            r.injectedVector = 2;
            r.injectedError = -1;
        } else if (s.interruptInjected >= 0 && s.interruptInjected < 256) {
            r.injectedVector = s.interruptInjected;
            r.injectedError = -1;
        } else if ((s.exceptionInjected || s.exceptionPending)
                && s.exceptionNumber >= 0
                && s.exceptionNumber < EXCEPTIONS) {
            r.injectedVector = s.exceptionNumber;
            r.injectedError = s.hasErrorCode != 0 ? s.errorCode : -1;
        }
    }

    private static void store(VcpuState.Segment s, Registers.Segment r) {
        r.selector = s.selector;
        r.base = s.base;
        r.limit = s.limit;
        r.attributes = s.flags;
    }

    /** Registers after INIT (Intel SDM volume 3, table 10-1). */
    static void init(Registers r, VcpuState s, int signature, boolean waits) {
        fetch(r, s);
        s.init(signature);
        store(s, r);
        r.halted = false;
        r.waitsForStart = waits;
    }
}
