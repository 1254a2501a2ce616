package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.api.OnOffSplit;
import lockstep.linux.abi.kvm_debugregs;
import lockstep.linux.abi.kvm_dtable;
import lockstep.linux.abi.kvm_fpu;
import lockstep.linux.abi.kvm_interrupt;
import lockstep.linux.abi.kvm_lapic_state;
import lockstep.linux.abi.kvm_mp_state;
import lockstep.linux.abi.kvm_regs;
import lockstep.linux.abi.kvm_segment;
import lockstep.linux.abi.kvm_sregs;
import lockstep.linux.abi.kvm_vcpu_events;
import lockstep.linux.abi.kvm_xcr;
import lockstep.linux.abi.kvm_xcrs;
import lockstep.linux.abi.kvm_xsave;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.linux.FileCalls;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Moves a vCPU's state between the kernel and {@link VcpuState}. Under the machine lock, while the vCPU is
 * parked.
 */
final class VcpuTransfer implements AutoCloseable {
    // Layout of the XSAVE area (Intel SDM volume 1, section 13.4); the FXSAVE image comes first.
    private static final int FX_CONTROL = 0;
    private static final int FX_STATUS = 2;
    private static final int FX_TAG = 4;
    private static final int FX_OPCODE = 6;
    private static final int FX_INSTRUCTION = 8;
    private static final int FX_OPERAND = 16;
    private static final int FX_MXCSR = 24;
    private static final int FX_STACK = 32;
    private static final int FX_XMM = 160;
    private static final int XSTATE_BV = 512;
    private static final int COMPONENT_YMM = 2;
    private static final int COMPONENT_OPMASK = 5;
    private static final int COMPONENT_ZMM_UPPER = 6;
    private static final int COMPONENT_ZMM_HIGH = 7;
    private static final int COMPONENT_PKRU = 9;
    private static final long FP_SSE = 3;

    private static final int EFLAGS_VM = 0x20000;

    private final int fd;
    private final boolean hasApic;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment regs = kvm_regs.allocate(arena);
    private final MemorySegment sregs = kvm_sregs.allocate(arena);
    private final MemorySegment fpu = kvm_fpu.allocate(arena);
    private final MemorySegment xsave;
    private final MemorySegment xcrs = kvm_xcrs.allocate(arena);
    private final MemorySegment debug = kvm_debugregs.allocate(arena);
    private final MemorySegment events = kvm_vcpu_events.allocate(arena);
    private final MemorySegment mp = kvm_mp_state.allocate(arena);
    private final MemorySegment apicPage = kvm_lapic_state.allocate(arena);
    private final MemorySegment interrupt = kvm_interrupt.allocate(arena);
    private final VcpuMsrs msrs;
    private final int[] components = new int[10];
    private final boolean hasXsave;
    private final boolean hasXcrs;
    private final boolean hasDebug;
    private final boolean hasPayload;
    private final boolean hasTripleFault;
    private final boolean canScaleTsc;

    VcpuTransfer(KvmVm vm, int fd, List<CpuidLeaf> supported) throws KvmException {
        this.fd = fd;
        Kvm kvm = vm.kvm();
        hasApic = vm.chips() != OnOffSplit.OFF;
        hasXsave = kvm.extension(KVM_CAP_XSAVE()) > 0;
        hasXcrs = kvm.extension(KVM_CAP_XCRS()) > 0;
        hasDebug = kvm.extension(KVM_CAP_DEBUGREGS()) > 0;
        hasPayload = kvm.extension(KVM_CAP_EXCEPTION_PAYLOAD()) > 0;
        hasTripleFault = kvm.extension(KVM_CAP_X86_TRIPLE_FAULT_EVENT()) > 0;
        canScaleTsc = kvm.extension(KVM_CAP_TSC_CONTROL()) > 0;
        // Newer kernels may hand over more than the first structure's 4 KiB.
        long size = Math.max(kvm_xsave.sizeof(), kvm.extension(KVM_CAP_XSAVE2()));
        xsave = arena.allocate(size, 64);
        msrs = new VcpuMsrs(fd, arena, kvm.msrs());
        for (CpuidLeaf leaf : supported) {
            int n = leaf.index();
            if (leaf.function() == 0xd
                    && n >= 2
                    && n < components.length
                    && leaf.ebx() >= 576
                    && leaf.ebx() + leaf.eax() <= size) {
                components[n] = leaf.ebx();
            }
        }
        components[COMPONENT_YMM] = 576;
    }

    VcpuMsrs msrs() {
        return msrs;
    }

    private void call(long request, MemorySegment argument, String name) throws KvmException {
        KvmException.check(FileCalls.ioctlPointer(fd, request, argument), name);
    }

    /** Fetches everything from the kernel, of local APIC and multiprocessing state if it has them. */
    void fetch(VcpuState s, LocalApic apic, long virtualNow) throws KvmException {
        call(KVM_GET_REGS(), regs, "KVM_GET_REGS");
        fetchRegisters(s);
        call(KVM_GET_SREGS(), sregs, "KVM_GET_SREGS");
        fetchSystemRegisters(s);
        if (hasXsave) {
            call(KVM_GET_XSAVE(), xsave, "KVM_GET_XSAVE");
            fetchXsave(s);
        } else {
            call(KVM_GET_FPU(), fpu, "KVM_GET_FPU");
            fetchFpu(s);
        }
        s.xcr0 = 1;
        if (hasXcrs) {
            call(KVM_GET_XCRS(), xcrs, "KVM_GET_XCRS");
            for (int i = 0; i < Math.min(16, kvm_xcrs.nr_xcrs(xcrs)); i++) {
                MemorySegment x = kvm_xcrs.xcrs(xcrs, i);
                if (kvm_xcr.xcr(x) == 0) {
                    s.xcr0 = kvm_xcr.value(x);
                }
            }
        }
        if (hasDebug) {
            call(KVM_GET_DEBUGREGS(), debug, "KVM_GET_DEBUGREGS");
            for (int i = 0; i < 4; i++) {
                s.dr[i] = kvm_debugregs.db(debug, i);
            }
            s.dr[4] = kvm_debugregs.dr6(debug);
            s.dr[6] = s.dr[4];
            s.dr[5] = kvm_debugregs.dr7(debug);
            s.dr[7] = s.dr[5];
        }
        call(KVM_GET_VCPU_EVENTS(), events, "KVM_GET_VCPU_EVENTS");
        fetchEvents(s);
        msrs.fetch(s);
        int khz = FileCalls.ioctl(fd, KVM_GET_TSC_KHZ(), 0);
        s.tscKhz = Math.max(0, khz);
        if (hasApic) {
            call(KVM_GET_MP_STATE(), mp, "KVM_GET_MP_STATE");
            s.mpState = kvm_mp_state.mp_state(mp);
            call(KVM_GET_LAPIC(), apicPage, "KVM_GET_LAPIC");
            apic.from(apicPage, kvm_sregs.apic_base(sregs), virtualNow);
            apic.startupKnown();
        }
    }

    /** Puts everything into the kernel. */
    void store(VcpuState s, LocalApic apic, long virtualNow) throws KvmException {
        if (canScaleTsc && s.tscKhz > 0 && s.tscKhz <= Integer.MAX_VALUE) {
            int now = FileCalls.ioctl(fd, KVM_GET_TSC_KHZ(), 0);
            if (now != s.tscKhz) {
                // Where the host cannot do it the guest's kvmclock still tells the right time.
                FileCalls.ioctl(fd, KVM_SET_TSC_KHZ(), s.tscKhz);
            }
        }
        if (hasXcrs) {
            kvm_xcrs.nr_xcrs(xcrs, 1);
            kvm_xcrs.flags(xcrs, 0);
            MemorySegment x = kvm_xcrs.xcrs(xcrs, 0);
            kvm_xcr.xcr(x, 0);
            kvm_xcr.value(x, s.xcr0 | 1);
            int result = FileCalls.ioctlPointer(fd, KVM_SET_XCRS(), xcrs);
            if (result < 0 && s.xcr0 > 1) {
                KvmException.check(result, "KVM_SET_XCRS");
            }
        }
        if (hasXsave) {
            storeXsave(s);
            call(KVM_SET_XSAVE(), xsave, "KVM_SET_XSAVE");
        } else {
            storeFpu(s);
            call(KVM_SET_FPU(), fpu, "KVM_SET_FPU");
        }
        storeAllRegisters(s, apic);
        msrs.store(s);
        if (hasApic) {
            apic.to(apicPage, virtualNow);
            call(KVM_SET_LAPIC(), apicPage, "KVM_SET_LAPIC");
            msrs.storeDeadline(s);
        }
        storeEventsAndDebug(s);
        if (hasApic) {
            kvm_mp_state.mp_state(mp, s.mpState);
            call(KVM_SET_MP_STATE(), mp, "KVM_SET_MP_STATE");
        }
    }

    /** Puts into the kernel what an INIT or a start-up message changes. */
    void storeProcessor(VcpuState s, LocalApic apic) throws KvmException {
        storeAllRegisters(s, apic);
        storeEventsAndDebug(s);
    }

    private void storeAllRegisters(VcpuState s, LocalApic apic) throws KvmException {
        storeRegisters(s);
        call(KVM_SET_REGS(), regs, "KVM_SET_REGS");
        storeSystemRegisters(s, apic);
        call(KVM_SET_SREGS(), sregs, "KVM_SET_SREGS");
    }

    private void storeEventsAndDebug(VcpuState s) throws KvmException {
        storeEvents(s);
        call(KVM_SET_VCPU_EVENTS(), events, "KVM_SET_VCPU_EVENTS");
        if (hasDebug) {
            debug.fill((byte) 0);
            for (int i = 0; i < 4; i++) {
                kvm_debugregs.db(debug, i, s.dr[i]);
            }
            kvm_debugregs.dr6(debug, s.dr[6]);
            kvm_debugregs.dr7(debug, s.dr[7]);
            call(KVM_SET_DEBUGREGS(), debug, "KVM_SET_DEBUGREGS");
        }
    }

    /** Says to a paravirtual guest that it was stopped, so that its watchdogs do not bark. */
    void tellStopped() {
        // EINVAL: the guest does not use kvmclock.
        FileCalls.ioctl(fd, KVM_KVMCLOCK_CTRL(), 0);
    }

    /** Raises a non-maskable interrupt. */
    int injectNmi() {
        return FileCalls.ioctl(fd, KVM_NMI(), 0);
    }

    /** Hands over an interrupt, of which the kernel keeps one. */
    void interrupt(int vector) {
        kvm_interrupt.irq(interrupt, vector);
        FileCalls.ioctlPointer(fd, KVM_INTERRUPT(), interrupt);
    }

    /** Ends a HLT. */
    void wake() {
        int result = FileCalls.ioctlPointer(fd, KVM_GET_MP_STATE(), mp);
        if (result >= 0 && kvm_mp_state.mp_state(mp) == KVM_MP_STATE_HALTED()) {
            kvm_mp_state.mp_state(mp, KVM_MP_STATE_RUNNABLE());
            FileCalls.ioctlPointer(fd, KVM_SET_MP_STATE(), mp);
        }
    }

    private void fetchRegisters(VcpuState s) {
        MemorySegment r = regs;
        s.regs[0] = kvm_regs.rax(r);
        s.regs[1] = kvm_regs.rcx(r);
        s.regs[2] = kvm_regs.rdx(r);
        s.regs[3] = kvm_regs.rbx(r);
        s.regs[4] = kvm_regs.rsp(r);
        s.regs[5] = kvm_regs.rbp(r);
        s.regs[6] = kvm_regs.rsi(r);
        s.regs[7] = kvm_regs.rdi(r);
        long r8 = kvm_regs.r8$offset();
        for (int i = 8; i < 16; i++) {
            s.regs[i] = r.get(ValueLayout.JAVA_LONG, r8 + (i - 8) * 8L);
        }
        s.rip = kvm_regs.rip(r);
        s.rflags = kvm_regs.rflags(r);
    }

    private void storeRegisters(VcpuState s) {
        MemorySegment r = regs;
        kvm_regs.rax(r, s.regs[0]);
        kvm_regs.rcx(r, s.regs[1]);
        kvm_regs.rdx(r, s.regs[2]);
        kvm_regs.rbx(r, s.regs[3]);
        kvm_regs.rsp(r, s.regs[4]);
        kvm_regs.rbp(r, s.regs[5]);
        kvm_regs.rsi(r, s.regs[6]);
        kvm_regs.rdi(r, s.regs[7]);
        long r8 = kvm_regs.r8$offset();
        for (int i = 8; i < 16; i++) {
            r.set(ValueLayout.JAVA_LONG, r8 + (i - 8) * 8L, s.regs[i]);
        }
        kvm_regs.rip(r, s.rip);
        kvm_regs.rflags(r, s.rflags);
    }

    private MemorySegment segment(int i) {
        return switch (i) {
            case VcpuState.ES -> kvm_sregs.es(sregs);
            case VcpuState.CS -> kvm_sregs.cs(sregs);
            case VcpuState.SS -> kvm_sregs.ss(sregs);
            case VcpuState.DS -> kvm_sregs.ds(sregs);
            case 4 -> kvm_sregs.fs(sregs);
            default -> kvm_sregs.gs(sregs);
        };
    }

    private void fetchSystemRegisters(VcpuState s) {
        for (int i = 0; i < 6; i++) {
            fetchSegment(segment(i), s.segs[i]);
        }
        fetchSegment(kvm_sregs.ldt(sregs), s.ldt);
        fetchSegment(kvm_sregs.tr(sregs), s.tr);
        s.gdt.base = kvm_dtable.base(kvm_sregs.gdt(sregs));
        s.gdt.limit = kvm_dtable.limit(kvm_sregs.gdt(sregs)) & 0xffff;
        s.idt.base = kvm_dtable.base(kvm_sregs.idt(sregs));
        s.idt.limit = kvm_dtable.limit(kvm_sregs.idt(sregs)) & 0xffff;
        s.cr0 = kvm_sregs.cr0(sregs);
        s.cr2 = kvm_sregs.cr2(sregs);
        s.cr3 = kvm_sregs.cr3(sregs);
        s.cr4 = kvm_sregs.cr4(sregs);
        s.efer = kvm_sregs.efer(sregs);
    }

    private void storeSystemRegisters(VcpuState s, LocalApic apic) {
        sregs.fill((byte) 0);
        boolean virtual8086 = (s.rflags & EFLAGS_VM) != 0;
        for (int i = 0; i < 6; i++) {
            storeSegment(segment(i), s.segs[i]);
            if (virtual8086) {
                // KVM insists on what the mode implies (Intel SDM volume 3, section 21.1.1).
                MemorySegment d = segment(i);
                storeAttributes(d, 3 << 8 | VcpuState.PRESENT | 3 << 13 | 1 << 12);
            }
        }
        storeSegment(kvm_sregs.ldt(sregs), s.ldt);
        storeSegment(kvm_sregs.tr(sregs), s.tr);
        kvm_dtable.base(kvm_sregs.gdt(sregs), s.gdt.base);
        kvm_dtable.limit(kvm_sregs.gdt(sregs), (short) s.gdt.limit);
        kvm_dtable.base(kvm_sregs.idt(sregs), s.idt.base);
        kvm_dtable.limit(kvm_sregs.idt(sregs), (short) s.idt.limit);
        kvm_sregs.cr0(sregs, s.cr0);
        kvm_sregs.cr2(sregs, s.cr2);
        kvm_sregs.cr3(sregs, s.cr3);
        kvm_sregs.cr4(sregs, s.cr4);
        kvm_sregs.cr8(sregs, apic.taskPriorityClass());
        kvm_sregs.efer(sregs, s.efer);
        kvm_sregs.apic_base(sregs, apic.base);
        int vector = s.interruptInjected;
        if (vector >= 0 && vector < 256) {
            kvm_sregs.interrupt_bitmap(sregs, vector >> 6, 1L << (vector & 63));
        }
    }

    private static void fetchSegment(MemorySegment from, VcpuState.Segment to) {
        to.selector = kvm_segment.selector(from) & 0xffff;
        to.base = kvm_segment.base(from);
        to.limit = kvm_segment.limit(from);
        boolean present = kvm_segment.unusable(from) == 0 && kvm_segment.present(from) != 0;
        to.flags =
                kvm_segment.unusable(from) != 0
                        ? 0
                        : (kvm_segment.type(from) & 15) << 8
                                | (present ? VcpuState.PRESENT : 0)
                                | (kvm_segment.dpl(from) & 3) << 13
                                | (kvm_segment.db(from) & 1) << 22
                                | (kvm_segment.s(from) & 1) << 12
                                | (kvm_segment.l(from) & 1) << 21
                                | (kvm_segment.g(from) & 1) << 23
                                | (kvm_segment.avl(from) & 1) << 20;
    }

    private static void storeSegment(MemorySegment to, VcpuState.Segment from) {
        kvm_segment.selector(to, (short) from.selector);
        kvm_segment.base(to, from.base);
        kvm_segment.limit(to, from.limit);
        storeAttributes(to, from.flags);
    }

    private static void storeAttributes(MemorySegment to, int flags) {
        kvm_segment.type(to, (byte) (flags >>> 8 & 15));
        kvm_segment.present(to, (byte) (flags >>> 15 & 1));
        kvm_segment.dpl(to, (byte) (flags >>> 13 & 3));
        kvm_segment.db(to, (byte) (flags >>> 22 & 1));
        kvm_segment.s(to, (byte) (flags >>> 12 & 1));
        kvm_segment.l(to, (byte) (flags >>> 21 & 1));
        kvm_segment.g(to, (byte) (flags >>> 23 & 1));
        kvm_segment.avl(to, (byte) (flags >>> 20 & 1));
        kvm_segment.unusable(to, (byte) (~flags >>> 15 & 1));
    }

    private void fetchXsave(VcpuState s) {
        MemorySegment x = xsave;
        s.fcw = x.get(ValueLayout.JAVA_SHORT, FX_CONTROL) & 0xffff;
        s.fsw = x.get(ValueLayout.JAVA_SHORT, FX_STATUS) & 0xffff;
        s.ftw = x.get(ValueLayout.JAVA_BYTE, FX_TAG) & 0xff;
        s.fop = x.get(ValueLayout.JAVA_SHORT, FX_OPCODE) & 0xffff;
        s.fip = x.get(ValueLayout.JAVA_LONG, FX_INSTRUCTION);
        s.fdp = x.get(ValueLayout.JAVA_LONG, FX_OPERAND);
        s.mxcsr = x.get(ValueLayout.JAVA_INT, FX_MXCSR);
        for (int i = 0; i < 8; i++) {
            s.mantissa[i] = x.get(ValueLayout.JAVA_LONG, FX_STACK + i * 16L);
            s.exponent[i] = x.get(ValueLayout.JAVA_SHORT, FX_STACK + i * 16L + 8) & 0xffff;
        }
        pairs(x, FX_XMM, s.xmmLow, s.xmmHigh, false);
        s.xstateBv = x.get(ValueLayout.JAVA_LONG, XSTATE_BV);
        // A component whose bit is clear is in its initial state, whatever the bytes are.
        if ((s.xstateBv & 1 << COMPONENT_YMM) != 0) {
            pairs(x, components[COMPONENT_YMM], s.ymmLow, s.ymmHigh, false);
        } else {
            Arrays.fill(s.ymmLow, 0);
            Arrays.fill(s.ymmHigh, 0);
        }
        component(s, COMPONENT_OPMASK, s.opmask, false);
        component(s, COMPONENT_ZMM_UPPER, s.zmmUpper, false);
        component(s, COMPONENT_ZMM_HIGH, s.zmmHigh, false);
        long[] keys = {0};
        component(s, COMPONENT_PKRU, keys, false);
        s.pkru = (int) keys[0];
    }

    private void storeXsave(VcpuState s) {
        MemorySegment x = xsave;
        x.fill((byte) 0);
        x.set(ValueLayout.JAVA_SHORT, FX_CONTROL, (short) s.fcw);
        x.set(ValueLayout.JAVA_SHORT, FX_STATUS, (short) s.fsw);
        x.set(ValueLayout.JAVA_BYTE, FX_TAG, (byte) s.ftw);
        x.set(ValueLayout.JAVA_SHORT, FX_OPCODE, (short) s.fop);
        x.set(ValueLayout.JAVA_LONG, FX_INSTRUCTION, s.fip);
        x.set(ValueLayout.JAVA_LONG, FX_OPERAND, s.fdp);
        // Reserved bits would make the kernel refuse the whole area.
        x.set(ValueLayout.JAVA_INT, FX_MXCSR, s.mxcsr & 0xffff);
        for (int i = 0; i < 8; i++) {
            x.set(ValueLayout.JAVA_LONG, FX_STACK + i * 16L, s.mantissa[i]);
            x.set(ValueLayout.JAVA_SHORT, FX_STACK + i * 16L + 8, (short) s.exponent[i]);
        }
        pairs(x, FX_XMM, s.xmmLow, s.xmmHigh, true);
        long present = s.xstateBv & (s.xcr0 | FP_SSE) | s.changedLegacyComponents();
        x.set(ValueLayout.JAVA_LONG, XSTATE_BV, present);
        if ((present & 1 << COMPONENT_YMM) != 0) {
            pairs(x, components[COMPONENT_YMM], s.ymmLow, s.ymmHigh, true);
        }
        component(s, COMPONENT_OPMASK, s.opmask, true);
        component(s, COMPONENT_ZMM_UPPER, s.zmmUpper, true);
        component(s, COMPONENT_ZMM_HIGH, s.zmmHigh, true);
        component(s, COMPONENT_PKRU, new long[] {s.pkru & 0xffffffffL}, true);
    }

    private static void pairs(MemorySegment x, int at, long[] low, long[] high, boolean store) {
        for (int i = 0; i < 16; i++) {
            long p = at + i * 16L;
            if (store) {
                x.set(ValueLayout.JAVA_LONG, p, low[i]);
                x.set(ValueLayout.JAVA_LONG, p + 8, high[i]);
            } else {
                low[i] = x.get(ValueLayout.JAVA_LONG, p);
                high[i] = x.get(ValueLayout.JAVA_LONG, p + 8);
            }
        }
    }

    private void component(VcpuState s, int number, long[] words, boolean store) {
        boolean there =
                components[number] != 0
                        && (s.xstateBv & 1L << number) != 0
                        && (!store || (s.xcr0 & 1L << number) != 0);
        for (int i = 0; i < words.length; i++) {
            long at = components[number] + i * 8L;
            if (!store) {
                words[i] = there ? xsave.get(ValueLayout.JAVA_LONG, at) : 0;
            } else if (there) {
                xsave.set(ValueLayout.JAVA_LONG, at, words[i]);
            }
        }
    }

    private void fetchFpu(VcpuState s) {
        s.fcw = kvm_fpu.fcw(fpu) & 0xffff;
        s.fsw = kvm_fpu.fsw(fpu) & 0xffff;
        s.ftw = kvm_fpu.ftwx(fpu) & 0xff;
        s.fop = kvm_fpu.last_opcode(fpu) & 0xffff;
        s.fip = kvm_fpu.last_ip(fpu);
        s.fdp = kvm_fpu.last_dp(fpu);
        s.mxcsr = kvm_fpu.mxcsr(fpu);
        for (int i = 0; i < 8; i++) {
            long at = kvm_fpu.fpr$offset() + i * 16L;
            s.mantissa[i] = fpu.get(ValueLayout.JAVA_LONG, at);
            s.exponent[i] = fpu.get(ValueLayout.JAVA_SHORT, at + 8) & 0xffff;
        }
        pairs(fpu, (int) kvm_fpu.xmm$offset(), s.xmmLow, s.xmmHigh, false);
    }

    private void storeFpu(VcpuState s) {
        fpu.fill((byte) 0);
        kvm_fpu.fcw(fpu, (short) s.fcw);
        kvm_fpu.fsw(fpu, (short) s.fsw);
        kvm_fpu.ftwx(fpu, (byte) s.ftw);
        kvm_fpu.last_opcode(fpu, (short) s.fop);
        kvm_fpu.last_ip(fpu, s.fip);
        kvm_fpu.last_dp(fpu, s.fdp);
        kvm_fpu.mxcsr(fpu, s.mxcsr & 0xffff);
        for (int i = 0; i < 8; i++) {
            long at = kvm_fpu.fpr$offset() + i * 16L;
            fpu.set(ValueLayout.JAVA_LONG, at, s.mantissa[i]);
            fpu.set(ValueLayout.JAVA_SHORT, at + 8, (short) s.exponent[i]);
        }
        pairs(fpu, (int) kvm_fpu.xmm$offset(), s.xmmLow, s.xmmHigh, true);
    }

    private void fetchEvents(VcpuState s) {
        MemorySegment exception = kvm_vcpu_events.exception(events);
        boolean payload = (kvm_vcpu_events.flags(events) & KVM_VCPUEVENT_VALID_PAYLOAD()) != 0;
        s.exceptionInjected = kvm_vcpu_events.exception.injected(exception) != 0;
        s.exceptionPending = payload && kvm_vcpu_events.exception.pending(exception) != 0;
        s.exceptionHasPayload = payload && kvm_vcpu_events.exception_has_payload(events) != 0;
        s.exceptionPayload = payload ? kvm_vcpu_events.exception_payload(events) : 0;
        s.exceptionNumber =
                s.exceptionInjected || s.exceptionPending
                        ? kvm_vcpu_events.exception.nr(exception) & 0xff
                        : -1;
        s.hasErrorCode = kvm_vcpu_events.exception.has_error_code(exception) & 0xff;
        s.errorCode = kvm_vcpu_events.exception.error_code(exception);
        MemorySegment interrupt = kvm_vcpu_events.interrupt(events);
        s.interruptInjected =
                kvm_vcpu_events.interrupt.injected(interrupt) != 0
                        ? kvm_vcpu_events.interrupt.nr(interrupt) & 0xff
                        : -1;
        s.softInterrupt = kvm_vcpu_events.interrupt.soft(interrupt) & 0xff;
        MemorySegment nmi = kvm_vcpu_events.nmi(events);
        s.nmiInjected = kvm_vcpu_events.nmi.injected(nmi) & 0xff;
        s.nmiPending = kvm_vcpu_events.nmi.pending(nmi) & 0xff;
        s.shadows(
                kvm_vcpu_events.interrupt.shadow(interrupt) != 0,
                kvm_vcpu_events.nmi.masked(nmi) != 0);
        s.sipiVector = kvm_vcpu_events.sipi_vector(events);
        boolean fault = (kvm_vcpu_events.flags(events) & KVM_VCPUEVENT_VALID_TRIPLE_FAULT()) != 0;
        s.tripleFault =
                fault
                        ? kvm_vcpu_events.triple_fault.pending(kvm_vcpu_events.triple_fault(events))
                                & 0xff
                        : 0;
    }

    private void storeEvents(VcpuState s) {
        events.fill((byte) 0);
        MemorySegment exception = kvm_vcpu_events.exception(events);
        int flags = KVM_VCPUEVENT_VALID_NMI_PENDING() | KVM_VCPUEVENT_VALID_SHADOW();
        if (hasPayload) {
            flags |= KVM_VCPUEVENT_VALID_PAYLOAD();
            kvm_vcpu_events.exception.pending(exception, flag(s.exceptionPending));
            kvm_vcpu_events.exception_has_payload(events, flag(s.exceptionHasPayload));
            kvm_vcpu_events.exception_payload(events, s.exceptionPayload);
        }
        kvm_vcpu_events.exception.injected(exception, flag(s.exceptionInjected));
        kvm_vcpu_events.exception.nr(exception, (byte) s.exceptionNumber);
        kvm_vcpu_events.exception.has_error_code(exception, (byte) s.hasErrorCode);
        kvm_vcpu_events.exception.error_code(exception, s.errorCode);
        MemorySegment interrupt = kvm_vcpu_events.interrupt(events);
        kvm_vcpu_events.interrupt.injected(interrupt, flag(s.interruptInjected >= 0));
        kvm_vcpu_events.interrupt.nr(interrupt, (byte) s.interruptInjected);
        kvm_vcpu_events.interrupt.soft(interrupt, (byte) s.softInterrupt);
        kvm_vcpu_events.interrupt.shadow(interrupt, flag(s.interruptShadow()));
        MemorySegment nmi = kvm_vcpu_events.nmi(events);
        kvm_vcpu_events.nmi.injected(nmi, (byte) s.nmiInjected);
        kvm_vcpu_events.nmi.pending(nmi, (byte) s.nmiPending);
        kvm_vcpu_events.nmi.masked(nmi, flag(s.nmiMasked()));
        kvm_vcpu_events.sipi_vector(events, s.sipiVector);
        if (s.mpState == KVM_MP_STATE_SIPI_RECEIVED()) {
            flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR();
        }
        if (hasTripleFault) {
            flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT();
            kvm_vcpu_events.triple_fault.pending(
                    kvm_vcpu_events.triple_fault(events), (byte) s.tripleFault);
        }
        kvm_vcpu_events.flags(events, flags);
    }

    private static byte flag(boolean b) {
        return (byte) (b ? 1 : 0);
    }

    @Override
    public void close() {
        arena.close();
    }
}
