package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PF2;
import static lockstep.x86.SseForms.PF3;
import static lockstep.x86.SseForms.SSE3;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wide;
import static lockstep.x86.SseForms.xmm;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/**
 * Floating-point addition, subtraction, multiplication, division, square root, minimum and maximum
 * (Intel SDM volume 2, ADDPD to SUBSS).
 *
 * <p>Java's arithmetic rounds to nearest as the processor does by default. It is used as it is
 * where MXCSR has the default rounding with all exceptions masked and already shows "inexact", for
 * then there is no flag that a result of normal numbers could set; all else goes to {@link
 * SseUnit}.
 */
final class SseArithmetic {
    private static final Action ADDSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = add64(c, x[o.a()], x[o.b()]);
            };

    private static final Action MULSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = multiply64(c, x[o.a()], x[o.b()]);
            };

    private static final Action SUBSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = subtract64(c, x[o.a()], x[o.b()]);
            };

    private static final Action DIVSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = divide64(c, x[o.a()], x[o.b()]);
            };

    /** An operation on numbers of double precision; raises its exceptions itself. */
    @FunctionalInterface
    private interface Double64 {
        long of(Cpu c, long a, long b);
    }

    /** An operation on numbers of single precision. */
    @FunctionalInterface
    private interface Single32 {
        int of(Cpu c, int a, int b);
    }

    private SseArithmetic() {}

    static void install(Decoder.Form[] two) {
        all(two, 0x51, SseArithmetic::root64, SseArithmetic::root32);
        all(two, 0x58, SseArithmetic::add64, SseArithmetic::add32);
        all(two, 0x59, SseArithmetic::multiply64, SseArithmetic::multiply32);
        all(two, 0x5c, SseArithmetic::subtract64, SseArithmetic::subtract32);
        all(
                two,
                0x5d,
                (c, a, b) -> SseUnit.minimum64(c, a, b, false),
                (c, a, b) -> SseUnit.minimum32(c, a, b, false));
        all(two, 0x5e, SseArithmetic::divide64, SseArithmetic::divide32);
        all(
                two,
                0x5f,
                (c, a, b) -> SseUnit.minimum64(c, a, b, true),
                (c, a, b) -> SseUnit.minimum32(c, a, b, true));
        direct(two, 0x58, ADDSD, SseArithmetic::add64);
        direct(two, 0x59, MULSD, SseArithmetic::multiply64);
        direct(two, 0x5c, SUBSD, SseArithmetic::subtract64);
        direct(two, 0x5e, DIVSD, SseArithmetic::divide64);
        put(two, 0xd0, P66, wide(SSE3, packed64(SseArithmetic::subtract64, SseArithmetic::add64)));
        put(two, 0xd0, PF2, wide(SSE3, packed32(SseArithmetic::subtract32, SseArithmetic::add32)));
        put(two, 0x7c, P66, wide(SSE3, across64(SseArithmetic::add64)));
        put(two, 0x7d, P66, wide(SSE3, across64(SseArithmetic::subtract64)));
        put(two, 0x7c, PF2, wide(SSE3, across32(SseArithmetic::add32)));
        put(two, 0x7d, PF2, wide(SSE3, across32(SseArithmetic::subtract32)));
        estimates(two);
    }

    private static void direct(Decoder.Form[] two, int opcode, Action register, Double64 f) {
        put(two, opcode, PF2, xmm(register, scalarMemory64(f)));
    }

    private static void all(Decoder.Form[] two, int opcode, Double64 f, Single32 g) {
        put(two, opcode, P66, wide(packed64(f, f)));
        put(two, opcode, NP, wide(packed32(g, g)));
        put(two, opcode, PF2, xmm(scalarRegister64(f), scalarMemory64(f)));
        put(two, opcode, PF3, xmm(scalarRegister32(g), scalarMemory32(g)));
    }

    private static Action scalarRegister64(Double64 f) {
        return (c, o) -> {
            long[] x = on(c);
            x[o.a()] = f.of(c, x[o.a()], x[o.b()]);
        };
    }

    private static Action scalarMemory64(Double64 f) {
        return (c, o) -> {
            long[] x = on(c);
            x[o.a()] = f.of(c, x[o.a()], c.read64(c.source(o, 8)));
        };
    }

    private static Action scalarRegister32(Single32 f) {
        return (c, o) -> {
            long[] x = on(c);
            int r = f.of(c, (int) x[o.a()], (int) x[o.b()]);
            x[o.a()] = x[o.a()] & 0xffffffff00000000L | r & 0xffffffffL;
        };
    }

    private static Action scalarMemory32(Single32 f) {
        return (c, o) -> {
            long[] x = on(c);
            int r = f.of(c, (int) x[o.a()], c.read32(c.source(o, 4)));
            x[o.a()] = x[o.a()] & 0xffffffff00000000L | r & 0xffffffffL;
        };
    }

    // The lanes of a packed instruction raise their exceptions together (Intel SDM volume 1,
    // section 11.5.3).

    private static Wide packed64(Double64 even, Double64 odd) {
        return (c, o, low, high) -> {
            long[] x = c.xmm;
            SseUnit.begin(c);
            long first = even.of(c, x[o.a()], low);
            long second = odd.of(c, x[o.a() + 1], high);
            SseUnit.end(c);
            x[o.a()] = first;
            x[o.a() + 1] = second;
        };
    }

    private static Wide packed32(Single32 even, Single32 odd) {
        return (c, o, low, high) -> {
            long[] x = c.xmm;
            long l = x[o.a()];
            long h = x[o.a() + 1];
            SseUnit.begin(c);
            long first = both(c, even, odd, l, low);
            long second = both(c, even, odd, h, high);
            SseUnit.end(c);
            x[o.a()] = first;
            x[o.a() + 1] = second;
        };
    }

    private static long both(Cpu c, Single32 even, Single32 odd, long a, long b) {
        int first = even.of(c, (int) a, (int) b);
        int second = odd.of(c, (int) (a >>> 32), (int) (b >>> 32));
        return first & 0xffffffffL | (long) second << 32;
    }

    private static Wide across64(Double64 f) {
        return (c, o, low, high) -> {
            long[] x = c.xmm;
            SseUnit.begin(c);
            long first = f.of(c, x[o.a()], x[o.a() + 1]);
            long second = f.of(c, low, high);
            SseUnit.end(c);
            x[o.a()] = first;
            x[o.a() + 1] = second;
        };
    }

    private static Wide across32(Single32 f) {
        return (c, o, low, high) -> {
            long[] x = c.xmm;
            long l = x[o.a()];
            long h = x[o.a() + 1];
            SseUnit.begin(c);
            long first =
                    f.of(c, (int) l, (int) (l >>> 32)) & 0xffffffffL
                            | (long) f.of(c, (int) h, (int) (h >>> 32)) << 32;
            long second =
                    f.of(c, (int) low, (int) (low >>> 32)) & 0xffffffffL
                            | (long) f.of(c, (int) high, (int) (high >>> 32)) << 32;
            SseUnit.end(c);
            x[o.a()] = first;
            x[o.a() + 1] = second;
        };
    }

    // ---- the operations

    static long add64(Cpu c, long a, long b) {
        long r =
                Double.doubleToRawLongBits(Double.longBitsToDouble(a) + Double.longBitsToDouble(b));
        return SseUnit.quick(c) && (SseUnit.normal(r) || r << 1 == 0) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary64(c, Float80.ADD, a, b);
    }

    static long subtract64(Cpu c, long a, long b) {
        long r =
                Double.doubleToRawLongBits(Double.longBitsToDouble(a) - Double.longBitsToDouble(b));
        return SseUnit.quick(c) && (SseUnit.normal(r) || r << 1 == 0) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary64(c, Float80.SUBTRACT, a, b);
    }

    static long multiply64(Cpu c, long a, long b) {
        long r =
                Double.doubleToRawLongBits(Double.longBitsToDouble(a) * Double.longBitsToDouble(b));
        return SseUnit.quick(c)
                        && (SseUnit.normal(r) || a << 1 == 0 && SseUnit.normal(b))
                        && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary64(c, Float80.MULTIPLY, a, b);
    }

    static long divide64(Cpu c, long a, long b) {
        long r =
                Double.doubleToRawLongBits(Double.longBitsToDouble(a) / Double.longBitsToDouble(b));
        return SseUnit.quick(c) && SseUnit.normal(r) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary64(c, Float80.DIVIDE_BY, a, b);
    }

    static long root64(Cpu c, long a, long b) {
        long r = Double.doubleToRawLongBits(Math.sqrt(Double.longBitsToDouble(b)));
        return SseUnit.quick(c) && SseUnit.normal(r) && SseUnit.plain(b, b)
                ? r
                : SseUnit.binary64(c, Float80.SQUARE_ROOT, b, b);
    }

    static int add32(Cpu c, int a, int b) {
        int r = Float.floatToRawIntBits(Float.intBitsToFloat(a) + Float.intBitsToFloat(b));
        return SseUnit.quick(c) && (SseUnit.normal(r) || r << 1 == 0) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary32(c, Float80.ADD, a, b);
    }

    static int subtract32(Cpu c, int a, int b) {
        int r = Float.floatToRawIntBits(Float.intBitsToFloat(a) - Float.intBitsToFloat(b));
        return SseUnit.quick(c) && (SseUnit.normal(r) || r << 1 == 0) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary32(c, Float80.SUBTRACT, a, b);
    }

    static int multiply32(Cpu c, int a, int b) {
        int r = Float.floatToRawIntBits(Float.intBitsToFloat(a) * Float.intBitsToFloat(b));
        return SseUnit.quick(c)
                        && (SseUnit.normal(r) || a << 1 == 0 && SseUnit.normal(b))
                        && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary32(c, Float80.MULTIPLY, a, b);
    }

    static int divide32(Cpu c, int a, int b) {
        int r = Float.floatToRawIntBits(Float.intBitsToFloat(a) / Float.intBitsToFloat(b));
        return SseUnit.quick(c) && SseUnit.normal(r) && SseUnit.plain(a, b)
                ? r
                : SseUnit.binary32(c, Float80.DIVIDE_BY, a, b);
    }

    static int root32(Cpu c, int a, int b) {
        int r = Float.floatToRawIntBits((float) Math.sqrt(Float.intBitsToFloat(b)));
        return SseUnit.quick(c) && SseUnit.normal(r) && SseUnit.plain(b, b)
                ? r
                : SseUnit.binary32(c, Float80.SQUARE_ROOT, b, b);
    }

    // ---- RCPPS and RSQRTPS, which set no flags

    private static void estimates(Decoder.Form[] two) {
        Single32 reciprocal = (c, a, b) -> SseUnit.reciprocal(b);
        Single32 reciprocalRoot = (c, a, b) -> SseUnit.reciprocalRoot(b);
        put(two, 0x53, NP, wide(packed32(reciprocal, reciprocal)));
        put(two, 0x53, PF3, xmm(scalarRegister32(reciprocal), scalarMemory32(reciprocal)));
        put(two, 0x52, NP, wide(packed32(reciprocalRoot, reciprocalRoot)));
        put(two, 0x52, PF3, xmm(scalarRegister32(reciprocalRoot), scalarMemory32(reciprocalRoot)));
    }
}
