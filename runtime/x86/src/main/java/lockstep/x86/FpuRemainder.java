package lockstep.x86;

import lockstep.x86.FloatValue.Kind;

/**
 * FPREM and FPREM1 (Intel SDM volume 2): a long division that stops after so many bits of the
 * quotient.
 */
final class FpuRemainder {
    private FpuRemainder() {}

    /** FPREM, or FPREM1 whose quotient is rounded to nearest. */
    static void remainder(Fpu u, boolean nearest) {
        u.status &= ~Fpu.C2;
        if (!FpuArithmetic.binary(u)) {
            return;
        }
        Float80 s = u.soft;
        FloatValue x = s.x;
        FloatValue y = s.y;
        int quotient = 0;
        boolean partial = false;
        boolean special = true;
        if (!u.nans(false)) {
            if (x.kind == Kind.INFINITE || y.kind == Kind.ZERO) {
                s.flags = Float80.INVALID;
                s.notANumber(true, Float80.ONE | Float80.QUIET);
            } else {
                s.flags = x.denormal || y.denormal ? Float80.DENORMAL : 0;
                if (FpuArithmetic.stopped(u)) {
                    return;
                }
                special = false;
                s.take(x, x.negative);
                if (x.kind == Kind.FINITE && y.kind == Kind.FINITE) {
                    int d = x.exponent - y.exponent;
                    partial = d >= 64;
                    // Of a long division this much is done at once; the rest is left for the next
                    // time.
                    int n = partial ? 32 + (d & 31) : d;
                    quotient = reduce(s, d, n, nearest && !partial);
                }
            }
        }
        if (FpuArithmetic.stopped(u)) {
            return;
        }
        u.finish(0, 64);
        if (special) {
            return;
        }
        int c = 0;
        if (partial) {
            c = Fpu.C2;
        } else {
            c |= (quotient & 1) != 0 ? Fpu.C1 : 0;
            c |= (quotient & 2) != 0 ? Fpu.C3 : 0;
            c |= (quotient & 4) != 0 ? Fpu.C0 : 0;
        }
        u.conditions(c);
    }

    /**
     * Takes {@code n} + 1 steps of the long division of two finite numbers whose exponents differ
     * by {@code d}; leaves what remains as the result and gives the low bits of the quotient.
     */
    private static int reduce(Float80 s, int d, int n, boolean nearest) {
        long m = s.y.significand;
        long r = s.x.significand;
        if (n < -1 || n == -1 && !nearest) {
            return 0;
        }
        int q = 0;
        int exponent = s.x.exponent;
        boolean over = false;
        for (int i = 0; i <= n; i++) {
            if (i > 0) {
                over = r < 0;
                r <<= 1;
                exponent--;
                q <<= 1;
            }
            if (over || Long.compareUnsigned(r, m) >= 0) {
                r -= m;
                q |= 1;
            }
        }
        boolean negative = s.x.negative;
        if (nearest) {
            // What remains is compared with half of the divisor.
            int half;
            if (n == -1) {
                half = Long.compareUnsigned(r, m);
            } else {
                half = r < 0 ? 1 : Long.compareUnsigned(r << 1, m);
            }
            if (half > 0 || half == 0 && (q & 1) != 0) {
                q++;
                negative = !negative;
                if (n == -1) {
                    // 2 * m - r, in units of half the divisor's.
                    r = m - r + m;
                } else {
                    r = m - r;
                }
            }
        }
        if (r == 0) {
            s.zero(s.x.negative);
        } else {
            s.negative = negative;
            s.high = r;
            s.low = 0;
            s.exponent = exponent;
            s.normalize();
        }
        return q;
    }
}
