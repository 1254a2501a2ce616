package lockstep.runtime.cpu;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.util.Arrays;

/** The stream's section {@code cpu} of one vCPU: which field stands where, and which parts are left out when. */
record VcpuSection(VcpuState v) {
    void describe(StateCodec c) throws StateException {
        if (!c.loading()) {
            v.deriveFlags();
            v.dropRealModeLevels();
        } else {
            defaultsOfOptionalParts();
        }
        core(c);
        c.subsection("cpu/exception_info", 1, false, this::exceptionInfo);
        c.subsection(
                "cpu/error_code",
                1,
                v.sendsErrorCode && v.hasErrorCode != 0,
                s -> v.errorCode = s.i32("env.error_code", v.errorCode));
        c.subsection(
                "cpu/async_pf_msr",
                1,
                v.asyncPf != 0,
                s -> v.asyncPf = s.u64("env.async_pf_en_msr", v.asyncPf));
        c.subsection(
                "cpu/async_pf_int_msr",
                1,
                v.asyncPfInt != 0,
                s -> v.asyncPfInt = s.u64("env.async_pf_int_msr", v.asyncPfInt));
        c.subsection(
                "cpu/async_pv_eoi_msr",
                1,
                v.pvEoi != 0,
                s -> v.pvEoi = s.u64("env.pv_eoi_en_msr", v.pvEoi));
        c.subsection(
                "cpu/steal_time_msr",
                1,
                v.stealTime != 0,
                s -> v.stealTime = s.u64("env.steal_time_msr", v.stealTime));
        c.subsection(
                "cpu/poll_control_msr",
                1,
                v.pollControl != 1,
                s -> v.pollControl = s.u64("env.poll_control_msr", v.pollControl));
        c.subsection("cpu/fpop_ip_dp", 1, v.fop != 0 || v.fip != 0 || v.fdp != 0, this::lastFpu);
        c.subsection(
                "cpu/msr_tsc_adjust",
                1,
                v.tscAdjust != 0,
                s -> v.tscAdjust = s.u64("env.tsc_adjust", v.tscAdjust));
        c.subsection(
                "cpu/msr_tscdeadline",
                1,
                v.tscDeadline != 0,
                s -> v.tscDeadline = s.u64("env.tsc_deadline", v.tscDeadline));
        c.subsection(
                "cpu/msr_ia32_misc_enable",
                1,
                v.miscEnable != 1,
                s -> v.miscEnable = s.u64("env.msr_ia32_misc_enable", v.miscEnable));
        c.subsection(
                "cpu/msr_ia32_feature_control",
                1,
                v.featureControl != 0,
                s -> v.featureControl = s.u64("env.msr_ia32_feature_control", v.featureControl));
        c.subsection("cpu/avx512", 1, avx512(), this::avx512);
        c.subsection("cpu/xss", 1, v.xss != 0, s -> v.xss = s.u64("env.xss", v.xss));
        c.subsection("cpu/umwait", 1, v.umwait != 0, s -> v.umwait = s.u32("env.umwait", v.umwait));
        c.subsection(
                "cpu/tsc_khz", 1, v.tscKhz != 0, s -> v.tscKhz = s.i64("env.tsc_khz", v.tscKhz));
        c.subsection(
                "cpu/msr_smi_count",
                1,
                v.smiCount != 0,
                s -> v.smiCount = s.u64("env.msr_smi_count", v.smiCount));
        c.subsection("cpu/pkru", 1, v.pkru != 0, s -> v.pkru = s.u32("env.pkru", v.pkru));
        c.subsection("cpu/pkrs", 1, v.pkrs != 0, s -> v.pkrs = s.u32("env.pkrs", v.pkrs));
        c.subsection(
                "cpu/spec_ctrl",
                1,
                v.specCtrl != 0,
                s -> v.specCtrl = s.u64("env.spec_ctrl", v.specCtrl));
        c.subsection(
                "cpu/mcg_ext_ctl",
                1,
                v.mcgExtCtl != 0,
                s -> v.mcgExtCtl = s.u64("env.mcg_ext_ctl", v.mcgExtCtl));
        c.subsection(
                "cpu/virt_ssbd",
                1,
                v.virtSsbd != 0,
                s -> v.virtSsbd = s.u64("env.virt_ssbd", v.virtSsbd));
        v.pdptrsValid =
                c.subsection("cpu/pdptrs", 1, v.pdptrsValid, s -> s.u64s("env.pdptrs", v.pdptrs));
        c.subsection("cpu/msr_hwcr", 1, v.hwcr != 0, s -> v.hwcr = s.u64("env.msr_hwcr", v.hwcr));
        c.subsection(
                "cpu/triple_fault",
                1,
                v.tripleFault != 0,
                s -> v.tripleFault = s.u8("env.triple_fault_pending", v.tripleFault));
        if (c.loading()) {
            afterLoad(c);
        }
    }

    private void afterLoad(StateCodec c) throws StateException {
        if ((v.hflags & VcpuState.HF_GUEST) != 0) {
            throw c.invalid(
                    "vCPU set in guest-mode inconsistent with migrated kernel nested state");
        }
        if (v.mpState < 0 || v.mpState > 4) {
            throw c.invalid("unknown multiprocessing state " + v.mpState + " of a vCPU");
        }
        v.dropRealModeLevels();
        if (v.exceptionNumber != -1 && !v.exceptionPending && !v.exceptionInjected) {
            v.exceptionInjected = true;
        }
    }

    /** A part that the sender left out had the value for which it is left out. */
    private void defaultsOfOptionalParts() {
        v.exceptionPending = false;
        v.exceptionInjected = false;
        v.exceptionHasPayload = false;
        v.exceptionPayload = 0;
        v.errorCode = 0;
        v.asyncPf = 0;
        v.asyncPfInt = 0;
        v.pvEoi = 0;
        v.stealTime = 0;
        v.pollControl = 1;
        v.fop = 0;
        v.fip = 0;
        v.fdp = 0;
        v.tscAdjust = 0;
        v.tscDeadline = 0;
        v.miscEnable = 1;
        v.featureControl = 0;
        Arrays.fill(v.opmask, 0);
        Arrays.fill(v.zmmUpper, 0);
        Arrays.fill(v.zmmHigh, 0);
        v.xss = 0;
        v.umwait = 0;
        v.smiCount = 0;
        v.pkru = 0;
        v.pkrs = 0;
        v.specCtrl = 0;
        v.mcgExtCtl = 0;
        v.virtSsbd = 0;
        v.hwcr = 0;
        v.tripleFault = 0;
        Arrays.fill(v.pdptrs, 0);
    }

    private void core(StateCodec c) throws StateException {
        c.u64s("env.regs", v.regs);
        v.rip = c.u64("env.eip", v.rip);
        v.rflags = c.u64("env.eflags", v.rflags);
        v.hflags = c.u32("env.hflags", v.hflags);
        v.fcw = c.u16("env.fpuc", v.fcw);
        v.fsw = c.u16("env.fpus_vmstate", v.fsw);
        v.ftw = c.u16("env.fptag_vmstate", v.ftw) & 0xff;
        if (c.u16("env.fpregs_format_vmstate", 0) != 0) {
            throw c.invalid("Unsupported old non-softfloat CPU state");
        }
        c.structs(
                "env.fpregs",
                "fpreg",
                0,
                8,
                (s, i) -> {
                    v.mantissa[i] = s.u64("tmp_mant", v.mantissa[i]);
                    v.exponent[i] = s.u16("tmp_exp", v.exponent[i]);
                });
        c.structs("env.segs", "segment", 1, 6, (s, i) -> v.segs[i].describe(s));
        c.struct("env.ldt", "segment", 1, v.ldt::describe);
        c.struct("env.tr", "segment", 1, v.tr::describe);
        c.struct("env.gdt", "segment", 1, v.gdt::describe);
        c.struct("env.idt", "segment", 1, v.idt::describe);
        v.sysenterCs = c.u32("env.sysenter_cs", v.sysenterCs);
        v.sysenterEsp = c.u64("env.sysenter_esp", v.sysenterEsp);
        v.sysenterEip = c.u64("env.sysenter_eip", v.sysenterEip);
        v.cr0 = c.u64("env.cr[0]", v.cr0);
        v.cr2 = c.u64("env.cr[2]", v.cr2);
        v.cr3 = c.u64("env.cr[3]", v.cr3);
        v.cr4 = c.u64("env.cr[4]", v.cr4);
        c.u64s("env.dr", v.dr);
        v.a20Mask = c.i32("env.a20_mask", v.a20Mask);
        v.mxcsr = c.u32("env.mxcsr", v.mxcsr);
        c.structs(
                "env.xmm_regs[0]",
                "xmm_reg",
                1,
                16,
                (s, i) -> halves(s, v.xmmLow, v.xmmHigh, i, 0));
        v.efer = c.u64("env.efer", v.efer);
        v.star = c.u64("env.star", v.star);
        v.lstar = c.u64("env.lstar", v.lstar);
        v.cstar = c.u64("env.cstar", v.cstar);
        v.fmask = c.u64("env.fmask", v.fmask);
        v.kernelGsBase = c.u64("env.kernelgsbase", v.kernelGsBase);
        v.smbase = c.u32("env.smbase", v.smbase);
        v.pat = c.u64("env.pat", v.pat);
        v.hflags2 = c.u32("env.hflags2", v.hflags2);
        v.vmHsave = c.u64("env.vm_hsave", v.vmHsave);
        v.vmVmcb = c.u64("env.vm_vmcb", v.vmVmcb);
        v.nestedTscOffset = c.u64("env.tsc_offset", v.nestedTscOffset);
        v.intercept = c.u64("env.intercept", v.intercept);
        v.intercepts[0] = c.u16("env.intercept_cr_read", v.intercepts[0]);
        v.intercepts[1] = c.u16("env.intercept_cr_write", v.intercepts[1]);
        v.intercepts[2] = c.u16("env.intercept_dr_read", v.intercepts[2]);
        v.intercepts[3] = c.u16("env.intercept_dr_write", v.intercepts[3]);
        v.interceptExceptions = c.u32("env.intercept_exceptions", v.interceptExceptions);
        v.virtualTpr = c.u8("env.v_tpr", v.virtualTpr);
        c.u64s("env.mtrr_fixed", v.mtrrFixed);
        v.mtrrDefault = c.u64("env.mtrr_deftype", v.mtrrDefault);
        c.structs(
                "env.mtrr_var",
                "mtrr_var",
                1,
                8,
                (s, i) -> {
                    v.mtrrBase[i] = s.u64("base", v.mtrrBase[i]);
                    v.mtrrMask[i] = s.u64("mask", v.mtrrMask[i]);
                });
        v.interruptInjected = c.i32("env.interrupt_injected", v.interruptInjected);
        v.mpState = c.u32("env.mp_state", v.mpState);
        v.tsc = c.u64("env.tsc", v.tsc);
        v.exceptionNumber = c.i32("env.exception_nr", v.exceptionNumber);
        v.softInterrupt = c.u8("env.soft_interrupt", v.softInterrupt);
        v.nmiInjected = c.u8("env.nmi_injected", v.nmiInjected);
        v.nmiPending = c.u8("env.nmi_pending", v.nmiPending);
        v.hasErrorCode = c.u8("env.has_error_code", v.hasErrorCode);
        v.sipiVector = c.u32("env.sipi_vector", v.sipiVector);
        v.mcgCap = c.u64("env.mcg_cap", v.mcgCap);
        v.mcgStatus = c.u64("env.mcg_status", v.mcgStatus);
        v.mcgCtl = c.u64("env.mcg_ctl", v.mcgCtl);
        c.u64s("env.mce_banks", v.mceBanks);
        v.tscAux = c.u64("env.tsc_aux", v.tscAux);
        v.systemTime = c.u64("env.system_time_msr", v.systemTime);
        v.wallClock = c.u64("env.wall_clock_msr", v.wallClock);
        if (c.version() >= 12) {
            v.xcr0 = c.u64("env.xcr0", v.xcr0);
            v.xstateBv = c.u64("env.xstate_bv", v.xstateBv);
            c.structs(
                    "env.xmm_regs[1]",
                    "ymmh_reg",
                    1,
                    16,
                    (s, i) -> halves(s, v.ymmLow, v.ymmHigh, i, 2));
        } else {
            v.xcr0 = 1;
            v.xstateBv = 0;
        }
    }

    private static void halves(StateCodec s, long[] low, long[] high, int i, int word)
            throws StateException {
        low[i] = s.u64("_q_ZMMReg[" + word + "]", low[i]);
        high[i] = s.u64("_q_ZMMReg[" + (word + 1) + "]", high[i]);
    }

    private void exceptionInfo(StateCodec s) throws StateException {
        v.exceptionPending = s.bool("env.exception_pending", v.exceptionPending);
        v.exceptionInjected = s.bool("env.exception_injected", v.exceptionInjected);
        v.exceptionHasPayload = s.bool("env.exception_has_payload", v.exceptionHasPayload);
        v.exceptionPayload = s.u64("env.exception_payload", v.exceptionPayload);
    }

    private void lastFpu(StateCodec s) throws StateException {
        v.fop = s.u16("env.fpop", v.fop);
        v.fip = s.u64("env.fpip", v.fip);
        v.fdp = s.u64("env.fpdp", v.fdp);
    }

    private boolean avx512() {
        for (long[] part : new long[][] {v.opmask, v.zmmUpper, v.zmmHigh}) {
            for (long word : part) {
                if (word != 0) {
                    return true;
                }
            }
        }
        return false;
    }

    private void avx512(StateCodec c) throws StateException {
        c.u64s("env.opmask_regs", v.opmask);
        c.structs("env.xmm_regs", "xmm_reg", 1, 16, (s, i) -> words(s, v.zmmUpper, i, 4));
        c.structs("env.xmm_regs", "xmm_reg", 1, 16, (s, i) -> words(s, v.zmmHigh, i, 8));
    }

    private static void words(StateCodec s, long[] all, int register, int count)
            throws StateException {
        for (int w = 0; w < count; w++) {
            int at = register * count + w;
            all[at] = s.u64("_q_ZMMReg[" + w + "]", all[at]);
        }
    }
}
