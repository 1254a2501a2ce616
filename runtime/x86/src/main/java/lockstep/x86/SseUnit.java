package lockstep.x86;

/**
 * Floating-point operations of SSE with all of MXCSR: rounding, denormals as zeros, flush to zero,
 * the sticky flags and exceptions that are not masked (Intel SDM volume 1, sections 10.2.3 and
 * 11.5).
 */
final class SseUnit {
    private static final int DAZ = 0x40;
    private static final int MASKS = 0x1f80;
    private static final int FTZ = 0x8000;
    private static final int FLAGS = 0x3f;

    /**
     * Exceptions found before a result is computed: with one of them not masked, nothing else is
     * found.
     */
    private static final int BEFORE = Float80.INVALID | Float80.DENORMAL | Float80.DIVIDE;

    /**
     * All that must stand as in {@link #QUICK} for Java's arithmetic: rounding, masks, DAZ, FTZ,
     * inexact.
     */
    private static final int QUICK_BITS = 0x6000 | MASKS | DAZ | FTZ | Float80.INEXACT;

    private static final int QUICK = MASKS | Float80.INEXACT;

    private static final long QUIET64 = 1L << 51;
    private static final int QUIET32 = 1 << 22;

    private SseUnit() {}

    static boolean quick(Cpu c) {
        return (c.mxcsr & QUICK_BITS) == QUICK;
    }

    /**
     * A result that can have set no flag but "inexact": neither zero nor denormal, infinity or NaN,
     * nor of the least exponent, to which something too small may have been rounded.
     */
    static boolean normal(long bits) {
        return ((bits >>> 52) + 1 & 0x7ff) > 2;
    }

    static boolean normal(int bits) {
        return ((bits >>> 23) + 1 & 0xff) > 2;
    }

    /** None of the two is denormal. */
    static boolean plain(long a, long b) {
        return plain(a) && plain(b);
    }

    private static boolean plain(long a) {
        return (a & 0x7ff0000000000000L) != 0 || a << 1 == 0;
    }

    static boolean plain(int a, int b) {
        return plain(a) && plain(b);
    }

    private static boolean plain(int a) {
        return (a & 0x7f800000) != 0 || a << 1 == 0;
    }

    // ---- exceptions

    /** Before the lanes of a packed instruction: what they find is kept until {@link #end}. */
    static void begin(Cpu c) {
        Fpu u = c.fpu;
        u.packed = true;
        u.found = 0;
    }

    /** Raises what the lanes found. */
    static void end(Cpu c) {
        Fpu u = c.fpu;
        u.packed = false;
        if (u.found != 0) {
            int all = u.found;
            // A lane that found something before its result keeps the others from reporting theirs.
            if ((all & ~(c.mxcsr >> 7) & BEFORE) != 0) {
                all &= BEFORE;
            }
            signal(c, all);
        }
    }

    /** Between the steps of an instruction: what one raises keeps the next from being taken. */
    static void between(Cpu c) {
        end(c);
        begin(c);
    }

    /** Sets flags, and faults where one of them is not masked. */
    static void raise(Cpu c, int flags) {
        if (c.fpu.packed) {
            c.fpu.found |= flags;
        } else if (flags != 0) {
            signal(c, flags);
        }
    }

    private static void signal(Cpu c, int flags) {
        c.mxcsr |= flags;
        if ((flags & ~(c.mxcsr >> 7) & FLAGS) != 0) {
            throw (c.cr4 & Cpu.OSXMMEXCPT) != 0
                    ? c.fault(GuestFault.XM, GuestFault.NONE)
                    : c.undefined();
        }
    }

    static boolean daz(Cpu c) {
        return (c.mxcsr & DAZ) != 0;
    }

    static int rounding(Cpu c) {
        return c.mxcsr >> 13 & 3;
    }

    /** Exceptions that are not masked. */
    static int trapped(Cpu c) {
        return ~(c.mxcsr >> 7) & FLAGS;
    }

    static boolean toZero(Cpu c) {
        return (c.mxcsr & (FTZ | Float80.UNDERFLOW << 7)) == (FTZ | Float80.UNDERFLOW << 7);
    }

    // ---- NaNs

    static boolean nan64(long bits) {
        return (bits & Long.MAX_VALUE) > 0x7ff0000000000000L;
    }

    static boolean signalling64(long bits) {
        return nan64(bits) && (bits & QUIET64) == 0;
    }

    static boolean nan32(int bits) {
        return (bits & Integer.MAX_VALUE) > 0x7f800000;
    }

    static boolean signalling32(int bits) {
        return nan32(bits) && (bits & QUIET32) == 0;
    }

    // ---- arithmetic

    static long binary64(Cpu c, int operation, long a, long b) {
        if (nan64(a) || nan64(b)) {
            raise(c, signalling64(a) || signalling64(b) ? Float80.INVALID : 0);
            return (nan64(a) ? a : b) | QUIET64;
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.load64(a, daz(c));
        u.y.load64(b, daz(c));
        operate(c, u, operation);
        if ((u.flags & trapped(c) & BEFORE) == 0) {
            u.round(53, -1022, 1023, rounding(c), trapped(c), toZero(c));
        }
        raise(c, u.flags);
        return u.pack64();
    }

    static int binary32(Cpu c, int operation, int a, int b) {
        if (nan32(a) || nan32(b)) {
            raise(c, signalling32(a) || signalling32(b) ? Float80.INVALID : 0);
            return (nan32(a) ? a : b) | QUIET32;
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.load32(a, daz(c));
        u.y.load32(b, daz(c));
        operate(c, u, operation);
        if ((u.flags & trapped(c) & BEFORE) == 0) {
            u.round(24, -126, 127, rounding(c), trapped(c), toZero(c));
        }
        raise(c, u.flags);
        return u.pack32();
    }

    private static void operate(Cpu c, Float80 u, int operation) {
        u.operate(operation, rounding(c));
        // What is invalid, or divides by zero, is reported before a denormal operand.
        if ((u.flags & (Float80.INVALID | Float80.DIVIDE)) == 0 && (u.x.denormal || u.y.denormal)) {
            u.flags |= Float80.DENORMAL;
        }
    }

    /** MIN, or MAX: the second operand where they are equal zeros or one is a NaN. */
    static long minimum64(Cpu c, long a, long b, boolean maximum) {
        long va = a;
        long vb = b;
        boolean denormal = !plain(a) || !plain(b);
        if (denormal && daz(c)) {
            va = plain(a) ? a : a & Long.MIN_VALUE;
            vb = plain(b) ? b : b & Long.MIN_VALUE;
            denormal = false;
        }
        if (nan64(a) || nan64(b)) {
            raise(c, Float80.INVALID);
            return vb;
        }
        if (denormal) {
            raise(c, Float80.DENORMAL);
        }
        double x = Double.longBitsToDouble(va);
        double y = Double.longBitsToDouble(vb);
        return (maximum ? x > y : x < y) ? va : vb;
    }

    static int minimum32(Cpu c, int a, int b, boolean maximum) {
        int va = a;
        int vb = b;
        boolean denormal = !plain(a) || !plain(b);
        if (denormal && daz(c)) {
            va = plain(a) ? a : a & Integer.MIN_VALUE;
            vb = plain(b) ? b : b & Integer.MIN_VALUE;
            denormal = false;
        }
        if (nan32(a) || nan32(b)) {
            raise(c, Float80.INVALID);
            return vb;
        }
        if (denormal) {
            raise(c, Float80.DENORMAL);
        }
        float x = Float.intBitsToFloat(va);
        float y = Float.intBitsToFloat(vb);
        return (maximum ? x > y : x < y) ? va : vb;
    }

    // ---- comparison

    static final int LESS = -1;
    static final int EQUAL = 0;
    static final int GREATER = 1;
    static final int UNORDERED = 2;

    /** Compares; a quiet NaN is invalid where {@code signalsQuiet}. */
    static int compare64(Cpu c, long a, long b, boolean signalsQuiet) {
        double x = Double.longBitsToDouble(a);
        double y = Double.longBitsToDouble(b);
        if (Double.isNaN(x) || Double.isNaN(y)) {
            if (signalsQuiet || signalling64(a) || signalling64(b)) {
                raise(c, Float80.INVALID);
            }
            return UNORDERED;
        }
        if (!plain(a) || !plain(b)) {
            if (daz(c)) {
                x = plain(a) ? x : 0;
                y = plain(b) ? y : 0;
            } else {
                raise(c, Float80.DENORMAL);
            }
        }
        return x < y ? LESS : x > y ? GREATER : EQUAL;
    }

    static int compare32(Cpu c, int a, int b, boolean signalsQuiet) {
        float x = Float.intBitsToFloat(a);
        float y = Float.intBitsToFloat(b);
        if (Float.isNaN(x) || Float.isNaN(y)) {
            if (signalsQuiet || signalling32(a) || signalling32(b)) {
                raise(c, Float80.INVALID);
            }
            return UNORDERED;
        }
        if (!plain(a) || !plain(b)) {
            if (daz(c)) {
                x = plain(a) ? x : 0;
                y = plain(b) ? y : 0;
            } else {
                raise(c, Float80.DENORMAL);
            }
        }
        return x < y ? LESS : x > y ? GREATER : EQUAL;
    }

    // ---- conversions

    /** An integer in double precision. */
    static long fromInteger64(Cpu c, long v) {
        double r = v;
        if (quick(c) || v >> 53 == v >> 63) {
            return Double.doubleToRawLongBits(r);
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.loadInteger(v);
        u.take(u.x, u.x.negative);
        u.round(53, -1022, 1023, rounding(c), 0, false);
        raise(c, u.flags);
        return u.pack64();
    }

    /** An integer in single precision. */
    static int fromInteger32(Cpu c, long v) {
        float r = v;
        if (quick(c) || v >> 24 == v >> 63) {
            return Float.floatToRawIntBits(r);
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.loadInteger(v);
        u.take(u.x, u.x.negative);
        u.round(24, -126, 127, rounding(c), 0, false);
        raise(c, u.flags);
        return u.pack32();
    }

    /** Double precision as an integer of {@code size} bits, sign-extended. */
    static long toInteger(Cpu c, long bits, int size, boolean truncate) {
        double d = Double.longBitsToDouble(bits);
        long r = (long) d;
        if (r == d && (size == 64 ? r != Long.MAX_VALUE : r == (int) r)) {
            return r;
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.load64(bits, daz(c));
        r = u.integer(u.x, size, truncate ? Float80.TRUNCATE : rounding(c));
        raise(c, u.flags);
        return r;
    }

    /** Single precision as double. */
    static long widen(Cpu c, int bits) {
        if (nan32(bits)) {
            raise(c, signalling32(bits) ? Float80.INVALID : 0);
            return (long) bits << 32 & Long.MIN_VALUE
                    | 0x7ff8000000000000L
                    | (long) (bits & 0x3fffff) << 29;
        }
        if (!plain(bits)) {
            if (daz(c)) {
                return (long) bits << 32 & Long.MIN_VALUE;
            }
            raise(c, Float80.DENORMAL);
        }
        return Double.doubleToRawLongBits(Float.intBitsToFloat(bits));
    }

    /** Double precision as single. */
    static int narrow(Cpu c, long bits) {
        if (nan64(bits)) {
            raise(c, signalling64(bits) ? Float80.INVALID : 0);
            return (int) (bits >>> 32) & Integer.MIN_VALUE
                    | 0x7fc00000
                    | (int) (bits >>> 29) & 0x3fffff;
        }
        int r = Float.floatToRawIntBits((float) Double.longBitsToDouble(bits));
        if (quick(c) && normal(r)) {
            return r;
        }
        Float80 u = c.fpu.soft;
        u.flags = 0;
        u.x.load64(bits, daz(c));
        u.take(u.x, u.x.negative);
        if (u.x.denormal) {
            u.flags = Float80.DENORMAL;
        }
        if ((u.flags & trapped(c)) == 0) {
            u.round(24, -126, 127, rounding(c), trapped(c), toZero(c));
        }
        raise(c, u.flags);
        return u.pack32();
    }

    // ---- rounding to integers, ROUNDSD: bits 1 and 0 of {@code how} are the mode, bit 2 has
    // MXCSR's
    // taken instead, bit 3 says not to tell of inexact results

    static long round64(Cpu c, long bits, int how) {
        if (nan64(bits)) {
            raise(c, signalling64(bits) ? Float80.INVALID : 0);
            return bits | QUIET64;
        }
        Float80 u = c.fpu.soft;
        u.x.load64(bits, daz(c));
        return toWhole(c, u, 52, how) ? u.pack64() : bits;
    }

    static int round32(Cpu c, int bits, int how) {
        if (nan32(bits)) {
            raise(c, signalling32(bits) ? Float80.INVALID : 0);
            return bits | QUIET32;
        }
        Float80 u = c.fpu.soft;
        u.x.load32(bits, daz(c));
        return toWhole(c, u, 23, how) ? u.pack32() : bits;
    }

    /** Leaves x as an integer in the result; false where it is one already. */
    private static boolean toWhole(Cpu c, Float80 u, int digits, int how) {
        boolean negative = u.x.negative;
        if (u.x.kind == FloatValue.Kind.ZERO) {
            u.zero(negative);
            return true;
        }
        if (u.x.kind != FloatValue.Kind.FINITE || u.x.exponent >= digits) {
            return false;
        }
        u.kind = FloatValue.Kind.FINITE;
        u.roundToInteger(u.x, (how & 4) != 0 ? rounding(c) : how & 3);
        if (u.inexact() && (how & 8) == 0) {
            raise(c, Float80.INEXACT);
        }
        if (u.high == 0) {
            u.zero(negative);
        } else {
            u.low = 0;
            u.exponent = 63;
            u.normalize();
        }
        return true;
    }

    // ---- estimates: here as good as single precision is, better than the 12 bits that are asked
    // for

    static int reciprocal(int b) {
        if (nan32(b)) {
            return b | QUIET32;
        }
        if ((b & 0x7f800000) == 0) {
            return b & Integer.MIN_VALUE | 0x7f800000;
        }
        int r = Float.floatToRawIntBits(1 / Float.intBitsToFloat(b));
        return plain(r) ? r : r & Integer.MIN_VALUE;
    }

    static int reciprocalRoot(int b) {
        if (nan32(b)) {
            return b | QUIET32;
        }
        if ((b & 0x7f800000) == 0) {
            return b & Integer.MIN_VALUE | 0x7f800000;
        }
        if (b < 0) {
            return 0xffc00000;
        }
        return Float.floatToRawIntBits((float) (1 / Math.sqrt(Float.intBitsToFloat(b))));
    }
}
