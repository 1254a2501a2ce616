package lockstep.x86;

import static lockstep.x86.SseForms.on;

import lockstep.x86.Op.Action;

import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * The state of x87 and SSE as a whole, in memory: FXSAVE to XRSTOR, MXCSR; and what shares the
 * opcode 0F AE with them: fences, CLFLUSH, and the bases of FS and GS (Intel SDM volume 1, sections
 * 10.5 and 13; volume 2).
 */
final class SseState {
    /** Bits of MXCSR that can be set, as FXSAVE shows them. */
    static final int MXCSR_MASK = 0xffff;

    // Components of XSAVE.
    private static final int X87 = 1;
    private static final int SSE = 2;

    private static final Action LDMXCSR =
            (c, o) -> {
                on(c);
                int v = c.read32(c.source(o, 4));
                if ((v & ~MXCSR_MASK) != 0) {
                    throw c.gp(0);
                }
                c.mxcsr = v;
            };

    private static final Action STMXCSR =
            (c, o) -> {
                on(c);
                c.write32(c.target(o, 4), c.mxcsr);
            };

    private static final Action FXSAVE =
            (c, o) -> {
                enabled(c);
                long la = c.target(o, 512);
                align(c, la, 16);
                c.checkWrite(la, 464);
                saveX87(c, la, o.size() == 8);
                c.write32(la + 24, c.mxcsr);
                c.write32(la + 28, MXCSR_MASK);
                saveRegisters(c, la);
            };

    private static final Action FXRSTOR =
            (c, o) -> {
                enabled(c);
                long la = c.source(o, 512);
                align(c, la, 16);
                c.read8(la);
                c.read8(la + 511);
                int mxcsr = c.read32(la + 24);
                if ((mxcsr & ~MXCSR_MASK) != 0) {
                    throw c.gp(0);
                }
                restoreX87(c, la, o.size() == 8);
                c.mxcsr = mxcsr;
                restoreRegisters(c, la);
            };

    private static final Action XSAVE = (c, o) -> xsave(c, o, false);
    private static final Action XSAVEOPT = (c, o) -> xsave(c, o, true);

    private static final Action XRSTOR =
            (c, o) -> {
                xsaveEnabled(c);
                long la = c.source(o, 576);
                align(c, la, 64);
                c.read8(la);
                c.read8(la + 575);
                long present = c.read64(la + 512);
                if ((present & ~c.xcr0) != 0
                        || c.read64(la + 520) != 0
                        || c.read64(la + 528) != 0) {
                    throw c.gp(0);
                }
                long wanted = requested(c);
                int mxcsr = c.read32(la + 24);
                if ((wanted & SSE) != 0 && (mxcsr & ~MXCSR_MASK) != 0) {
                    throw c.gp(0);
                }
                if ((wanted & X87) != 0) {
                    if ((present & X87) != 0) {
                        restoreX87(c, la, o.size() == 8);
                    } else {
                        c.fpu.init();
                        Arrays.fill(c.fpu.mantissa, 0);
                        Arrays.fill(c.fpu.exponent, 0);
                    }
                }
                if ((wanted & SSE) != 0) {
                    c.mxcsr = mxcsr;
                    if ((present & SSE) != 0) {
                        restoreRegisters(c, la);
                    } else {
                        int n = c.codeSize == 64 ? 32 : 16;
                        Arrays.fill(c.xmm, 0, n, 0);
                    }
                }
            };

    /**
     * A fence: what the interpreter does is seen in the order of the program, but for stores before
     * loads.
     */
    private static final Action FENCE = (c, o) -> VarHandle.fullFence();

    private static final Action LFENCE = (c, o) -> VarHandle.acquireFence();

    /** CLFLUSH is a load as far as faults go. */
    private static final Action CLFLUSH = (c, o) -> c.read8(c.source(o, 1));

    private static final Action CLFLUSHOPT =
            (c, o) -> {
                if (!c.cpuid.ebx7(23)) {
                    throw c.undefined();
                }
                c.read8(c.source(o, 1));
            };

    private static final Action CLWB =
            (c, o) -> {
                if (!c.cpuid.ebx7(24)) {
                    throw c.undefined();
                }
                c.read8(c.source(o, 1));
            };

    // RDFSBASE and so on; a is the segment.

    private static final Action READ_BASE =
            (c, o) -> {
                basesEnabled(c);
                c.set(o.b(), o.size(), c.base[o.a()]);
            };

    private static final Action WRITE_BASE =
            (c, o) -> {
                basesEnabled(c);
                long v = c.get(o.b(), o.size());
                if (!Paging.canonical(v)) {
                    throw c.gp(0);
                }
                c.base[o.a()] = v;
            };

    private static final Action[] MEMORY = {
        FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR, XSAVEOPT, CLFLUSH
    };

    private SseState() {}

    static void install(Decoder.Form[] two) {
        SseForms.put(two, 0xae, SseForms.NP, SseState::plain);
        SseForms.put(two, 0xae, SseForms.P66, SseState::prefixed);
        SseForms.put(two, 0xae, SseForms.PF3, SseState::bases);
    }

    private static Op plain(Decoder d) {
        d.modrm();
        int reg = d.reg & 7;
        if (d.memoryOperand()) {
            return d.op(MEMORY[reg]);
        }
        return switch (reg) {
            case 5 -> d.op(LFENCE);
            case 6, 7 -> d.op(FENCE);
            default -> throw d.none();
        };
    }

    private static Op prefixed(Decoder d) {
        d.modrm();
        int reg = d.reg & 7;
        if (!d.memoryOperand() || reg < 6) {
            throw d.none();
        }
        return d.op(reg == 7 ? CLFLUSHOPT : CLWB);
    }

    private static Op bases(Decoder d) {
        d.modrm();
        int reg = d.reg & 7;
        if (d.memoryOperand() || reg > 3 || !d.long64()) {
            throw d.none();
        }
        d.size = (d.rex & 8) != 0 ? 8 : 4;
        d.a = (reg & 1) == 0 ? Cpu.FS : Cpu.GS;
        return d.op(reg < 2 ? READ_BASE : WRITE_BASE);
    }

    private static void basesEnabled(Cpu c) {
        if ((c.cr4 & Cpu.FSGSBASE) == 0) {
            throw c.undefined();
        }
    }

    private static void enabled(Cpu c) {
        if ((c.cr0 & Cpu.EM) != 0) {
            throw c.undefined();
        }
        if ((c.cr0 & Cpu.TS) != 0) {
            throw c.fault(GuestFault.NM, GuestFault.NONE);
        }
    }

    private static void xsaveEnabled(Cpu c) {
        if (!c.cpuid.ecx1(SseForms.XSAVE) || (c.cr4 & Cpu.OSXSAVE) == 0) {
            throw c.undefined();
        }
        if ((c.cr0 & Cpu.TS) != 0) {
            throw c.fault(GuestFault.NM, GuestFault.NONE);
        }
    }

    private static void align(Cpu c, long la, int to) {
        if ((la & to - 1) != 0) {
            throw c.gp(0);
        }
    }

    private static long requested(Cpu c) {
        return (c.regs[Cpu.RDX] << 32 | c.regs[Cpu.RAX] & 0xffffffffL) & c.xcr0;
    }

    // ---- the legacy area (volume 1, tables 10-2 and 13-1)

    private static void saveX87(Cpu c, long la, boolean wide) {
        Fpu u = c.fpu;
        c.write16(la, u.control);
        c.write16(la + 2, u.statusWord());
        c.write16(la + 4, u.valid);
        c.write16(la + 6, u.opcode);
        if (wide) {
            c.write64(la + 8, u.instructionPointer);
            c.write64(la + 16, u.dataPointer);
        } else {
            c.write32(la + 8, (int) u.instructionPointer);
            c.write32(la + 12, u.codeSelector);
            c.write32(la + 16, (int) u.dataPointer);
            c.write32(la + 20, u.dataSelector);
        }
        for (int i = 0; i < 8; i++) {
            int r = u.top + i & 7;
            c.write64(la + 32 + i * 16, u.mantissa[r]);
            c.write64(la + 40 + i * 16, u.exponent[r]);
        }
    }

    private static void restoreX87(Cpu c, long la, boolean wide) {
        Fpu u = c.fpu;
        u.control = c.read16(la) & 0x1f7f | 0x40;
        u.setStatusWord(c.read16(la + 2));
        u.valid = c.read8(la + 4);
        u.opcode = c.read16(la + 6) & 0x7ff;
        if (wide) {
            u.instructionPointer = c.read64(la + 8);
            u.dataPointer = c.read64(la + 16);
            u.codeSelector = 0;
            u.dataSelector = 0;
        } else {
            u.instructionPointer = c.read32(la + 8) & 0xffffffffL;
            u.codeSelector = c.read16(la + 12);
            u.dataPointer = c.read32(la + 16) & 0xffffffffL;
            u.dataSelector = c.read16(la + 20);
        }
        for (int i = 0; i < 8; i++) {
            int r = u.top + i & 7;
            u.mantissa[r] = c.read64(la + 32 + i * 16);
            u.exponent[r] = c.read16(la + 40 + i * 16);
        }
    }

    private static void saveRegisters(Cpu c, long la) {
        int n = c.codeSize == 64 ? 32 : 16;
        for (int i = 0; i < n; i++) {
            c.write64(la + 160 + i * 8, c.xmm[i]);
        }
    }

    private static void restoreRegisters(Cpu c, long la) {
        int n = c.codeSize == 64 ? 32 : 16;
        for (int i = 0; i < n; i++) {
            c.xmm[i] = c.read64(la + 160 + i * 8);
        }
    }

    // ---- XSAVE

    private static void xsave(Cpu c, Op o, boolean optimized) {
        xsaveEnabled(c);
        if (optimized && (c.cpuid.find(0xd, 1).eax() & 1) == 0) {
            throw c.undefined();
        }
        long la = c.target(o, 576);
        align(c, la, 64);
        c.checkWrite(la, 576);
        long wanted = requested(c);
        long used = wanted;
        if (optimized && unchanged(c)) {
            used &= ~SSE;
        }
        if ((wanted & X87) != 0) {
            saveX87(c, la, o.size() == 8);
        }
        if ((wanted & SSE) != 0) {
            c.write32(la + 24, c.mxcsr);
            c.write32(la + 28, MXCSR_MASK);
        }
        if ((used & SSE) != 0) {
            saveRegisters(c, la);
        }
        long header = c.read64(la + 512);
        c.write64(la + 512, header & ~wanted | used);
    }

    /** Whether all SSE registers are as they were after reset. */
    private static boolean unchanged(Cpu c) {
        long any = 0;
        for (long v : c.xmm) {
            any |= v;
        }
        return any == 0;
    }
}
