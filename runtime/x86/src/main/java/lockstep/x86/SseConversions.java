package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PF2;
import static lockstep.x86.SseForms.PF3;
import static lockstep.x86.SseForms.mmx;
import static lockstep.x86.SseForms.mmxOn;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wide;
import static lockstep.x86.SseForms.xmm;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/**
 * Conversions between integers, single and double precision (Intel SDM volume 2, CVTDQ2PD to
 * CVTTSS2SI).
 */
final class SseConversions {
    private static final Action CVTSI2SD_32 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = Double.doubleToRawLongBits((int) c.regs[o.b()]);
            };

    private static final Action CVTSI2SD_32_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = Double.doubleToRawLongBits(c.read32(c.source(o, 4)));
            };

    private static final Action CVTSI2SD_64 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.fromInteger64(c, c.regs[o.b()]);
            };

    private static final Action CVTSI2SD_64_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.fromInteger64(c, c.read64(c.source(o, 8)));
            };

    private static final Action CVTSI2SS =
            (c, o) -> {
                long[] x = on(c);
                long v = o.size() == 8 ? c.regs[o.b()] : (int) c.regs[o.b()];
                low32(x, o.a(), SseUnit.fromInteger32(c, v));
            };

    private static final Action CVTSI2SS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                long v = o.size() == 8 ? c.read64(c.source(o, 8)) : c.read32(c.source(o, 4));
                low32(x, o.a(), SseUnit.fromInteger32(c, v));
            };

    // In imm: whether to truncate.

    private static final Action CVTSD2SI =
            (c, o) -> {
                long[] x = on(c);
                fromDouble(c, o, x[o.b()]);
            };

    private static final Action CVTSD2SI_MEMORY =
            (c, o) -> {
                on(c);
                fromDouble(c, o, c.read64(c.source(o, 8)));
            };

    private static final Action CVTSS2SI =
            (c, o) -> {
                long[] x = on(c);
                fromDouble(c, o, exact(c, (int) x[o.b()]));
            };

    private static final Action CVTSS2SI_MEMORY =
            (c, o) -> {
                on(c);
                fromDouble(c, o, exact(c, c.read32(c.source(o, 4))));
            };

    private static final Action CVTSS2SD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.widen(c, (int) x[o.b()]);
            };

    private static final Action CVTSS2SD_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.widen(c, c.read32(c.source(o, 4)));
            };

    private static final Action CVTSD2SS =
            (c, o) -> {
                long[] x = on(c);
                low32(x, o.a(), SseUnit.narrow(c, x[o.b()]));
            };

    private static final Action CVTSD2SS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                low32(x, o.a(), SseUnit.narrow(c, c.read64(c.source(o, 8))));
            };

    private static final Wide CVTDQ2PS =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long first = integersToSingles(c, low);
                long second = integersToSingles(c, high);
                finish(c, o, first, second);
            };

    private static final Wide CVTPS2DQ =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long first = singlesToIntegers(c, low, false);
                long second = singlesToIntegers(c, high, false);
                finish(c, o, first, second);
            };

    private static final Wide CVTTPS2DQ =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long first = singlesToIntegers(c, low, true);
                long second = singlesToIntegers(c, high, true);
                finish(c, o, first, second);
            };

    private static final Wide CVTPD2PS =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long r =
                        SseUnit.narrow(c, low) & 0xffffffffL | (long) SseUnit.narrow(c, high) << 32;
                finish(c, o, r, 0);
            };

    private static final Wide CVTPD2DQ =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long r = doublesToIntegers(c, low, high, false);
                finish(c, o, r, 0);
            };

    private static final Wide CVTTPD2DQ =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long r = doublesToIntegers(c, low, high, true);
                finish(c, o, r, 0);
            };

    private static final Wide CVTPS2PD =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long first = SseUnit.widen(c, (int) low);
                long second = SseUnit.widen(c, (int) (low >>> 32));
                finish(c, o, first, second);
            };

    private static final Wide CVTDQ2PD =
            (c, o, low, high) -> {
                c.xmm[o.a()] = Double.doubleToRawLongBits((int) low);
                c.xmm[o.a() + 1] = Double.doubleToRawLongBits((int) (low >>> 32));
            };

    // ---- with MMX registers

    private static final Action CVTPI2PS =
            (c, o) -> {
                on(c);
                Fpu u = mmxOn(c);
                u.enterMmx();
                singlesFromMmx(c, o, u.mantissa[o.b()]);
            };

    private static final Action CVTPI2PS_MEMORY =
            (c, o) -> {
                on(c);
                singlesFromMmx(c, o, c.read64(c.source(o, 8)));
            };

    private static final Action CVTPI2PD =
            (c, o) -> {
                on(c);
                Fpu u = mmxOn(c);
                u.enterMmx();
                CVTDQ2PD.run(c, o, u.mantissa[o.b()], 0);
            };

    private static final Action CVTPI2PD_MEMORY =
            (c, o) -> {
                on(c);
                CVTDQ2PD.run(c, o, c.read64(c.source(o, 8)), 0);
            };

    private SseConversions() {}

    static void install(Decoder.Form[] two) {
        put(two, 0x2a, PF2, d -> fromGeneral(d, true));
        put(two, 0x2a, PF3, d -> fromGeneral(d, false));
        put(two, 0x2c, PF2, d -> toGeneral(d, CVTSD2SI, CVTSD2SI_MEMORY, 1));
        put(two, 0x2d, PF2, d -> toGeneral(d, CVTSD2SI, CVTSD2SI_MEMORY, 0));
        put(two, 0x2c, PF3, d -> toGeneral(d, CVTSS2SI, CVTSS2SI_MEMORY, 1));
        put(two, 0x2d, PF3, d -> toGeneral(d, CVTSS2SI, CVTSS2SI_MEMORY, 0));
        put(two, 0x5a, PF3, xmm(CVTSS2SD, CVTSS2SD_MEMORY));
        put(two, 0x5a, PF2, xmm(CVTSD2SS, CVTSD2SS_MEMORY));
        put(two, 0x5a, NP, xmm(SseForms.fromRegister(CVTPS2PD), from64(CVTPS2PD)));
        put(two, 0x5a, P66, wide(CVTPD2PS));
        put(two, 0x5b, NP, wide(CVTDQ2PS));
        put(two, 0x5b, P66, wide(CVTPS2DQ));
        put(two, 0x5b, PF3, wide(CVTTPS2DQ));
        put(two, 0xe6, P66, wide(CVTTPD2DQ));
        put(two, 0xe6, PF2, wide(CVTPD2DQ));
        put(two, 0xe6, PF3, xmm(SseForms.fromRegister(CVTDQ2PD), from64(CVTDQ2PD)));
        put(two, 0x2a, NP, d -> fromMmx(d, CVTPI2PS, CVTPI2PS_MEMORY));
        put(two, 0x2a, P66, d -> fromMmx(d, CVTPI2PD, CVTPI2PD_MEMORY));
        put(two, 0x2c, NP, toMmx(singlesToMmx(true), singlesToMmxMemory(true)));
        put(two, 0x2d, NP, toMmx(singlesToMmx(false), singlesToMmxMemory(false)));
        put(two, 0x2c, P66, doublesToMmx(true));
        put(two, 0x2d, P66, doublesToMmx(false));
    }

    private static Op fromGeneral(Decoder d, boolean toDouble) {
        SseForms.xmmGeneral(d);
        boolean wide = (d.rex & 8) != 0;
        d.size = wide ? 8 : 4;
        if (!toDouble) {
            return d.op(d.memoryOperand() ? CVTSI2SS_MEMORY : CVTSI2SS);
        }
        return d.op(
                d.memoryOperand()
                        ? wide ? CVTSI2SD_64_MEMORY : CVTSI2SD_32_MEMORY
                        : wide ? CVTSI2SD_64 : CVTSI2SD_32);
    }

    private static Op toGeneral(Decoder d, Action register, Action memory, int truncate) {
        SseForms.generalXmm(d);
        d.size = (d.rex & 8) != 0 ? 8 : 4;
        d.imm = truncate;
        return d.op(d.memoryOperand() ? memory : register);
    }

    private static Op fromMmx(Decoder d, Action register, Action memory) {
        mmx(d);
        d.a = d.reg << 1;
        return d.op(d.memoryOperand() ? memory : register);
    }

    private static Decoder.Form toMmx(Action register, Action memory) {
        return d -> {
            SseForms.xmm(d);
            d.a = d.reg & 7;
            return d.op(d.memoryOperand() ? memory : register);
        };
    }

    /** An action whose memory operand has 64 bits. */
    private static Action from64(Wide w) {
        return (c, o) -> {
            on(c);
            w.run(c, o, c.read64(c.source(o, 8)), 0);
        };
    }

    private static void low32(long[] x, int at, int v) {
        x[at] = x[at] & 0xffffffff00000000L | v & 0xffffffffL;
    }

    private static void finish(Cpu c, Op o, long low, long high) {
        SseUnit.end(c);
        c.xmm[o.a()] = low;
        c.xmm[o.a() + 1] = high;
    }

    /**
     * Single precision as double, with NaNs still what they are and denormals, with DAZ, as zeros.
     */
    private static long exact(Cpu c, int bits) {
        if (SseUnit.daz(c) && (bits & 0x7f800000) == 0) {
            return 0;
        }
        return SseUnit.nan32(bits)
                ? 0x7ff8000000000000L
                : Double.doubleToRawLongBits(Float.intBitsToFloat(bits));
    }

    private static void fromDouble(Cpu c, Op o, long bits) {
        boolean truncate = o.imm() != 0;
        if (o.size() == 8) {
            c.regs[o.a()] = SseUnit.toInteger(c, bits, 64, truncate);
        } else {
            c.regs[o.a()] = SseUnit.toInteger(c, bits, 32, truncate) & 0xffffffffL;
        }
    }

    private static long integersToSingles(Cpu c, long v) {
        return SseUnit.fromInteger32(c, (int) v) & 0xffffffffL
                | (long) SseUnit.fromInteger32(c, (int) (v >>> 32)) << 32;
    }

    private static long singlesToIntegers(Cpu c, long v, boolean truncate) {
        return SseUnit.toInteger(c, exact(c, (int) v), 32, truncate) & 0xffffffffL
                | SseUnit.toInteger(c, exact(c, (int) (v >>> 32)), 32, truncate) << 32;
    }

    private static long doublesToIntegers(Cpu c, long low, long high, boolean truncate) {
        return SseUnit.toInteger(c, low, 32, truncate) & 0xffffffffL
                | SseUnit.toInteger(c, high, 32, truncate) << 32;
    }

    private static void singlesFromMmx(Cpu c, Op o, long v) {
        SseUnit.begin(c);
        long r = integersToSingles(c, v);
        SseUnit.end(c);
        c.xmm[o.a()] = r;
    }

    private static Action singlesToMmx(boolean truncate) {
        return (c, o) -> {
            on(c);
            Fpu u = mmxOn(c);
            SseUnit.begin(c);
            setMmx(c, u, o, singlesToIntegers(c, c.xmm[o.b()], truncate));
        };
    }

    private static Action singlesToMmxMemory(boolean truncate) {
        return (c, o) -> {
            on(c);
            Fpu u = mmxOn(c);
            long v = c.read64(c.source(o, 8));
            SseUnit.begin(c);
            setMmx(c, u, o, singlesToIntegers(c, v, truncate));
        };
    }

    private static Decoder.Form doublesToMmx(boolean truncate) {
        Wide w =
                (c, o, low, high) -> {
                    Fpu u = mmxOn(c);
                    SseUnit.begin(c);
                    setMmx(c, u, o, doublesToIntegers(c, low, high, truncate));
                };
        return toMmx(SseForms.fromRegister(w), SseForms.fromMemory(w));
    }

    private static void setMmx(Cpu c, Fpu u, Op o, long v) {
        // The tags change even where the conversion then faults.
        u.enterMmx();
        SseUnit.end(c);
        u.mantissa[o.a()] = v;
        u.exponent[o.a()] = 0xffff;
    }
}
