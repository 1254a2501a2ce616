package lockstep.x86;

/**
 * A floating-point number of any format, taken apart: (-1)^sign * significand / 2^63 * 2^exponent.
 * The operands of {@link Float80}.
 */
final class FloatValue {
    /** What a value is. */
    enum Kind {
        ZERO,
        FINITE,
        INFINITE,
        NAN,
        /** An encoding of 80 bits that stands for nothing (Intel SDM volume 1, section 8.2.2). */
        UNSUPPORTED
    }

    Kind kind = Kind.ZERO;
    boolean negative;
    int exponent;
    long significand;
    boolean denormal;

    boolean nan() {
        return kind == Kind.NAN;
    }

    boolean signalling() {
        return kind == Kind.NAN && (significand & Float80.QUIET) == 0;
    }

    private void set(Kind k, boolean s, int e, long m) {
        kind = k;
        negative = s;
        exponent = e;
        significand = m;
        denormal = false;
    }

    private void special(boolean s, long fraction) {
        set(fraction == 0 ? Kind.INFINITE : Kind.NAN, s, 0, Float80.ONE | fraction);
    }

    private void small(boolean s, int e, long m, boolean toZero) {
        if (m == 0 || toZero) {
            set(Kind.ZERO, s, 0, 0);
        } else {
            int n = Long.numberOfLeadingZeros(m);
            set(Kind.FINITE, s, e - n, m << n);
            denormal = true;
        }
    }

    /** From single precision; {@code daz} takes denormals for zeros. */
    void load32(int bits, boolean daz) {
        int e = bits >>> 23 & 0xff;
        long fraction = (long) bits << 41 >>> 1;
        boolean s = bits < 0;
        if (e == 0xff) {
            special(s, fraction);
        } else if (e == 0) {
            small(s, -126, fraction, daz);
        } else {
            set(Kind.FINITE, s, e - 127, Float80.ONE | fraction);
        }
    }

    /** From double precision. */
    void load64(long bits, boolean daz) {
        int e = (int) (bits >>> 52) & 0x7ff;
        long fraction = bits << 12 >>> 1;
        boolean s = bits < 0;
        if (e == 0x7ff) {
            special(s, fraction);
        } else if (e == 0) {
            small(s, -1022, fraction, daz);
        } else {
            set(Kind.FINITE, s, e - 1023, Float80.ONE | fraction);
        }
    }

    /** From the 80-bit format. */
    void load80(long mantissa, int signExponent) {
        int e = signExponent & 0x7fff;
        boolean s = (signExponent & 0x8000) != 0;
        if (e == 0) {
            small(s, -16382, mantissa, false);
        } else if (mantissa >= 0) {
            set(Kind.UNSUPPORTED, s, 0, mantissa);
        } else if (e == 0x7fff) {
            special(s, mantissa & ~Float80.ONE);
        } else {
            set(Kind.FINITE, s, e - 16383, mantissa);
        }
    }

    /** From a signed integer. */
    void loadInteger(long v) {
        if (v == 0) {
            set(Kind.ZERO, false, 0, 0);
        } else {
            long m = Math.abs(v);
            int n = Long.numberOfLeadingZeros(m);
            set(Kind.FINITE, v < 0, 63 - n, m << n);
        }
    }

    void copy(FloatValue v) {
        set(v.kind, v.negative, v.exponent, v.significand);
        denormal = v.denormal;
    }

    /** Compares two that are no NaNs, as {@link Double#compare} does but with equal zeros. */
    static int compare(FloatValue a, FloatValue b) {
        if (a.kind == Kind.ZERO && b.kind == Kind.ZERO) {
            return 0;
        }
        if (a.kind == Kind.ZERO) {
            return b.negative ? 1 : -1;
        }
        if (b.kind == Kind.ZERO || a.negative != b.negative) {
            return a.negative ? -1 : 1;
        }
        int c;
        if (a.kind == Kind.INFINITE || b.kind == Kind.INFINITE) {
            c = Boolean.compare(a.kind == Kind.INFINITE, b.kind == Kind.INFINITE);
        } else if (a.exponent != b.exponent) {
            c = Integer.compare(a.exponent, b.exponent);
        } else {
            c = Long.compareUnsigned(a.significand, b.significand);
        }
        return a.negative ? -c : c;
    }
}
