package lockstep.x86;

import java.math.BigInteger;

/**
 * Elementary functions on fixed-point numbers with 256 bits behind the point: far more than the 64
 * bits of a result, so that the only error that counts is that of the last rounding. They are rare
 * enough in guests to allocate.
 */
final class FpuFunctions {
    /** Bits behind the point. */
    static final int POINT = 256;

    static final BigInteger ONE = BigInteger.ONE.shiftLeft(POINT);
    static final BigInteger LN2 = logarithmOfTwo();
    static final BigInteger PI = pi();

    /** The 66 bits of it that the x87 reduces angles by (Intel SDM volume 1, section 8.3.8). */
    static final BigInteger PI66 = new BigInteger("C90FDAA22168C234C", 16).shiftLeft(POINT - 66);

    private FpuFunctions() {}

    private static BigInteger times(BigInteger a, BigInteger b) {
        return a.multiply(b).shiftRight(POINT);
    }

    static BigInteger divide(BigInteger a, BigInteger b) {
        return a.shiftLeft(POINT).divide(b);
    }

    private static BigInteger logarithmOfTwo() {
        return atanh(ONE.divide(BigInteger.valueOf(3))).shiftLeft(1);
    }

    /** Machin's formula. */
    private static BigInteger pi() {
        BigInteger a = atanSeries(ONE.divide(BigInteger.valueOf(5)));
        BigInteger b = atanSeries(ONE.divide(BigInteger.valueOf(239)));
        return a.shiftLeft(2).subtract(b).shiftLeft(2);
    }

    /** A finite value as a fixed-point number; what is smaller than the last bit is lost. */
    static BigInteger fixed(FloatValue v) {
        BigInteger m = new BigInteger(Long.toUnsignedString(v.significand));
        m = m.shiftLeft(v.exponent - 63 + POINT);
        return v.negative ? m.negate() : m;
    }

    /** e^t - 1. */
    static BigInteger exponentialMinusOne(BigInteger t) {
        BigInteger sum = t;
        BigInteger term = t;
        for (int n = 2; term.signum() != 0 && term.bitLength() > 1; n++) {
            term = times(term, t).divide(BigInteger.valueOf(n));
            sum = sum.add(term);
        }
        return sum;
    }

    /** The area tangent of |z| < 1. */
    private static BigInteger atanh(BigInteger z) {
        return oddSeries(z, false);
    }

    private static BigInteger atanSeries(BigInteger z) {
        return oddSeries(z, true);
    }

    /** z + z^3/3 + z^5/5 and so on, with alternating signs or without. */
    private static BigInteger oddSeries(BigInteger z, boolean alternating) {
        BigInteger square = times(z, z);
        BigInteger power = z;
        BigInteger sum = z;
        for (int n = 3; power.bitLength() > 1; n += 2) {
            power = times(power, square);
            BigInteger term = power.divide(BigInteger.valueOf(n));
            sum = alternating && (n & 2) != 0 ? sum.subtract(term) : sum.add(term);
        }
        return sum;
    }

    /** ln(1 + f). */
    static BigInteger logarithmOfOnePlus(BigInteger f) {
        return atanh(divide(f, ONE.shiftLeft(1).add(f))).shiftLeft(1);
    }

    /** The binary logarithm of {@code v > 0}. */
    static BigInteger binaryLogarithm(BigInteger v) {
        int e = v.bitLength() - 1 - POINT;
        BigInteger m = e >= 0 ? v.shiftRight(e) : v.shiftLeft(-e);
        return divide(logarithmOfOnePlus(m.subtract(ONE)), LN2)
                .add(ONE.multiply(BigInteger.valueOf(e)));
    }

    /** The arc tangent of 0 <= q <= 1. */
    static BigInteger atan(BigInteger q) {
        // Halving the angle makes the series short.
        BigInteger z = q;
        int halvings = 0;
        while (z.bitLength() > POINT - 3) {
            BigInteger root = ONE.shiftLeft(POINT).add(z.multiply(z)).sqrt();
            z = divide(z, ONE.add(root));
            halvings++;
        }
        return atanSeries(z).shiftLeft(halvings);
    }

    static BigInteger sine(BigInteger r) {
        BigInteger square = times(r, r);
        BigInteger term = r;
        BigInteger sum = r;
        for (int n = 2; term.bitLength() > 1; n += 2) {
            term = times(term, square).divide(BigInteger.valueOf((long) n * (n + 1))).negate();
            sum = sum.add(term);
        }
        return sum;
    }

    static BigInteger cosine(BigInteger r) {
        BigInteger square = times(r, r);
        BigInteger term = ONE;
        BigInteger sum = ONE;
        for (int n = 1; term.bitLength() > 1; n += 2) {
            term = times(term, square).divide(BigInteger.valueOf((long) n * (n + 1))).negate();
            sum = sum.add(term);
        }
        return sum;
    }

    /** Makes a fixed-point number, never an exact one, the result. */
    static void result(Float80 s, BigInteger value) {
        result(s, value, 0);
    }

    /** Makes {@code value * 2^scale} the result. */
    static void result(Float80 s, BigInteger value, int scale) {
        BigInteger m = value.abs();
        int length = m.bitLength();
        if (length == 0) {
            s.zero(value.signum() < 0);
            return;
        }
        BigInteger top = m.shiftLeft(128 - length);
        s.kind = FloatValue.Kind.FINITE;
        s.negative = value.signum() < 0;
        s.exponent = length - 1 - POINT + scale;
        s.high = top.shiftRight(64).longValue();
        s.low = top.longValue() | 1;
    }
}
