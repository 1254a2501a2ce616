package lockstep.x86;

import lockstep.x86.Op.Action;

import org.jspecify.annotations.Nullable;

/**
 * The opcodes of MMX and SSE: which form a mandatory prefix chooses, how operands are read and when
 * they may be used at all (Intel SDM volume 2, section 2.1.2 and chapters 3 to 5; volume 3, section
 * 14.1).
 *
 * <p>In an {@link Op} of these forms, a and b are the index of the low half of an SSE register in
 * {@link Cpu#xmm}, or the number of an MMX register, or that of a general register.
 */
final class SseForms {
    // Mandatory prefixes.
    static final int NP = 0;
    static final int P66 = 1;
    static final int PF3 = 2;
    static final int PF2 = 3;

    /** What CR0 must not have. */
    private static final int DENIED = Cpu.EM | Cpu.TS;

    /** The forms of one opcode by mandatory prefix; F2 and F3 go before 66. */
    private static final class ByPrefix implements Decoder.Form {
        final Decoder.@Nullable Form[] forms = new Decoder.Form[4];

        @Override
        public Op decode(Decoder d) {
            int prefix =
                    d.repeat == 0xf3 ? PF3 : d.repeat == 0xf2 ? PF2 : d.operandPrefix ? P66 : NP;
            Decoder.Form f = forms[prefix];
            if (f == null) {
                throw d.none();
            }
            return f.decode(d);
        }
    }

    private SseForms() {}

    static void install(Decoder.Form[] two, Decoder.Form[] three38, Decoder.Form[] three3a) {
        SseMoves.install(two, three38);
        SseInteger.install(two, three38);
        SseShifts.install(two);
        SseShuffles.install(two, three38, three3a);
        SseArithmetic.install(two);
        SseComparisons.install(two);
        SseConversions.install(two);
        SseState.install(two);
        SseBlends.install(three38, three3a);
        SseRounding.install(three3a);
        SseText.install(three3a);
        SseCrypto.install(three38, three3a);
    }

    /** Enters a form; one for an opcode that others share by prefix. */
    static void put(Decoder.Form[] table, int opcode, int prefix, Decoder.Form form) {
        if (!(table[opcode] instanceof ByPrefix)) {
            table[opcode] = new ByPrefix();
        }
        ((ByPrefix) table[opcode]).forms[prefix] = form;
    }

    // ---- decoding of operands

    /** Reads ModRM for two SSE registers, or one and memory. */
    static Decoder xmm(Decoder d) {
        d.modrm();
        d.a = d.reg << 1;
        if (!d.memoryOperand()) {
            d.b = d.rm << 1;
        }
        return d;
    }

    /** Reads ModRM for two MMX registers, or one and memory. */
    static Decoder mmx(Decoder d) {
        d.modrm();
        d.a = d.reg & 7;
        if (!d.memoryOperand()) {
            d.b = d.rm & 7;
        }
        return d;
    }

    /** Reads ModRM for an SSE register and a general one or memory. */
    static Decoder xmmGeneral(Decoder d) {
        d.modrm();
        d.a = d.reg << 1;
        return d;
    }

    /** Reads ModRM for a general register and an SSE register or memory. */
    static Decoder generalXmm(Decoder d) {
        d.modrm();
        if (!d.memoryOperand()) {
            d.b = d.rm << 1;
        }
        return d;
    }

    static Decoder.Form xmm(Action register, Action memory) {
        return d -> xmm(d).op(d.memoryOperand() ? memory : register);
    }

    static Decoder.Form xmmImmediate(Action register, Action memory) {
        return d -> {
            xmm(d).immediate8();
            return d.op(d.memoryOperand() ? memory : register);
        };
    }

    static Decoder.Form mmx(Action register, Action memory) {
        return d -> mmx(d).op(d.memoryOperand() ? memory : register);
    }

    static Decoder.Form mmxImmediate(Action register, Action memory) {
        return d -> {
            mmx(d).immediate8();
            return d.op(d.memoryOperand() ? memory : register);
        };
    }

    static Decoder.Form memoryOnly(Action memory) {
        return d -> {
            if (!xmm(d).memoryOperand()) {
                throw d.none();
            }
            return d.op(memory);
        };
    }

    // ---- permission

    /** The SSE registers, where the system allows SSE instructions. */
    static long[] on(Cpu c) {
        if ((c.cr0 & DENIED | ~c.cr4 & Cpu.OSFXSR) != 0) {
            throw denied(c);
        }
        return c.xmm;
    }

    private static GuestFault denied(Cpu c) {
        return (c.cr0 & Cpu.EM) != 0 || (c.cr4 & Cpu.OSFXSR) == 0
                ? c.undefined()
                : c.fault(GuestFault.NM, GuestFault.NONE);
    }

    /** The x87 unit, where the system allows MMX instructions and no x87 exception is pending. */
    static Fpu mmxOn(Cpu c) {
        if ((c.cr0 & DENIED) != 0) {
            throw (c.cr0 & Cpu.EM) != 0 ? c.undefined() : c.fault(GuestFault.NM, GuestFault.NONE);
        }
        Fpu.check(c);
        return c.fpu;
    }

    /** The actions of an instruction behind a check of bit {@code n} of CPUID.1:ECX. */
    static Action needs(int n, Action action) {
        return (c, o) -> {
            if (!c.cpuid.ecx1(n)) {
                throw c.undefined();
            }
            action.run(c, o);
        };
    }

    // Bits of CPUID.1:ECX.
    static final int SSE3 = 0;

    static final int PCLMULQDQ = 1;
    static final int SSSE3 = 9;
    static final int SSE41 = 19;
    static final int SSE42 = 20;
    static final int AES = 25;
    static final int XSAVE = 26;

    // ---- memory operands of 16 bytes

    /** The linear address of an operand that is read and must be aligned. */
    static long alignedSource(Cpu c, Op o) {
        long la = c.source(o, 16);
        if ((la & 15) != 0) {
            throw c.gp(0);
        }
        return la;
    }

    static long alignedTarget(Cpu c, Op o) {
        long la = c.target(o, 16);
        if ((la & 15) != 0) {
            throw c.gp(0);
        }
        return la;
    }

    /** Writes 16 bytes, or none where part of them cannot be written. */
    static void write128(Cpu c, long la, long low, long high) {
        if ((la & PhysicalMemory.OFFSET) > PhysicalMemory.PAGE - 16) {
            c.checkWrite(la, 16);
        }
        c.write64(la, low);
        c.write64(la + 8, high);
    }

    // ---- kinds of actions

    /** What an instruction does with a source of 128 bits, however it came. */
    @FunctionalInterface
    interface Wide {
        void run(Cpu c, Op o, long low, long high);
    }

    static Action fromRegister(Wide w) {
        return (c, o) -> {
            long[] x = on(c);
            w.run(c, o, x[o.b()], x[o.b() + 1]);
        };
    }

    static Action fromMemory(Wide w) {
        return (c, o) -> {
            on(c);
            long la = alignedSource(c, o);
            long low = c.read64(la);
            w.run(c, o, low, c.read64(la + 8));
        };
    }

    static Decoder.Form wide(Wide w) {
        return xmm(fromRegister(w), fromMemory(w));
    }

    static Decoder.Form wide(int feature, Wide w) {
        return xmm(needs(feature, fromRegister(w)), needs(feature, fromMemory(w)));
    }

    static Decoder.Form wideImmediate(Wide w) {
        return xmmImmediate(fromRegister(w), fromMemory(w));
    }

    static Decoder.Form wideImmediate(int feature, Wide w) {
        return xmmImmediate(needs(feature, fromRegister(w)), needs(feature, fromMemory(w)));
    }

    /** An operation on each half by itself. */
    static Action halvesRegister(Lanes.Operation f) {
        return (c, o) -> {
            long[] x = on(c);
            int a = o.a();
            int b = o.b();
            x[a] = f.of(x[a], x[b]);
            x[a + 1] = f.of(x[a + 1], x[b + 1]);
        };
    }

    static Action halvesMemory(Lanes.Operation f) {
        return (c, o) -> {
            long[] x = on(c);
            long la = alignedSource(c, o);
            long low = c.read64(la);
            long high = c.read64(la + 8);
            int a = o.a();
            x[a] = f.of(x[a], low);
            x[a + 1] = f.of(x[a + 1], high);
        };
    }

    static Action mmxRegister(Lanes.Operation f) {
        return (c, o) -> {
            Fpu u = mmxOn(c);
            u.enterMmx();
            int a = o.a();
            u.mantissa[a] = f.of(u.mantissa[a], u.mantissa[o.b()]);
            u.exponent[a] = 0xffff;
        };
    }

    static Action mmxMemory(Lanes.Operation f) {
        return (c, o) -> {
            Fpu u = mmxOn(c);
            long v = c.read64(c.source(o, 8));
            u.enterMmx();
            int a = o.a();
            u.mantissa[a] = f.of(u.mantissa[a], v);
            u.exponent[a] = 0xffff;
        };
    }
}
