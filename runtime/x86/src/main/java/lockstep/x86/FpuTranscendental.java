package lockstep.x86;

import lockstep.x86.FloatValue.Kind;

import java.math.BigInteger;

/**
 * FSIN to FYL2XP1 (Intel SDM volume 1, sections 8.3.7 to 8.3.10; the tables of special operands in
 * volume 2). Results are those of the exact function, rounded as the control word says.
 */
final class FpuTranscendental {
    /** Below this exponent a function is its first term, as far as 64 bits can tell. */
    private static final int TINY = -80;

    private FpuTranscendental() {}

    /** Ends an instruction with one result in ST(i); whether the stack may be popped. */
    private static boolean finish(Fpu u, int i) {
        if (FpuArithmetic.stopped(u)) {
            return false;
        }
        u.finish(i, 64);
        return true;
    }

    private static void denormal(Float80 s, boolean unary) {
        if (s.x.denormal || !unary && s.y.denormal) {
            s.flags |= Float80.DENORMAL;
        }
    }

    private static void invalid(Float80 s) {
        s.flags |= Float80.INVALID;
        s.notANumber(true, Float80.ONE | Float80.QUIET);
    }

    /**
     * Makes x the result, its last bits moved so that it counts as a little smaller (or greater).
     */
    private static void nearly(Float80 s, boolean smaller) {
        s.take(s.x, s.x.negative);
        if (!smaller) {
            s.low = 1;
        } else {
            s.high--;
            s.low = -1;
            s.normalize();
        }
    }

    // ---- F2XM1

    static void exponential(Fpu u) {
        if (!FpuArithmetic.operand(u)) {
            return;
        }
        Float80 s = u.soft;
        FloatValue x = s.x;
        if (!u.nans(true)) {
            denormal(s, true);
            if (x.kind == Kind.ZERO) {
                s.zero(x.negative);
            } else if (x.kind == Kind.INFINITE) {
                if (x.negative) {
                    s.y.loadInteger(-1);
                    s.take(s.y, true);
                } else {
                    s.infinite(false);
                }
            } else if (x.exponent >= 0) {
                // Beyond -1 to 1 the result is undefined: the operand stays, but for -1 and 1
                // themselves.
                s.take(x, x.negative);
                s.flags |= Float80.INEXACT;
                if (x.significand == Float80.ONE && x.exponent == 0 && x.negative) {
                    s.exponent = -1;
                }
            } else if (x.exponent < TINY) {
                int e = x.exponent;
                boolean sign = x.negative;
                x.exponent = 0;
                BigInteger r = FpuFunctions.fixed(x).multiply(FpuFunctions.LN2);
                FpuFunctions.result(s, r.shiftRight(FpuFunctions.POINT), e);
                s.negative = sign;
            } else {
                BigInteger t = FpuFunctions.fixed(x).multiply(FpuFunctions.LN2);
                FpuFunctions.result(
                        s, FpuFunctions.exponentialMinusOne(t.shiftRight(FpuFunctions.POINT)));
            }
        }
        finish(u, 0);
    }

    // ---- FYL2X and FYL2XP1

    static void logarithm(Fpu u, boolean plusOne) {
        if (u.empty(0) || u.empty(1)) {
            if (!u.underflow()) {
                u.indefinite(1);
                u.pop();
            }
            return;
        }
        FpuArithmetic.binary(u);
        Float80 s = u.soft;
        if (!u.nans(false)) {
            if (plusOne) {
                logarithmPlusOne(s);
            } else {
                logarithm(s);
            }
        }
        if (finish(u, 1)) {
            u.pop();
        }
    }

    private static void logarithm(Float80 s) {
        FloatValue x = s.x;
        FloatValue y = s.y;
        if (x.kind == Kind.ZERO) {
            if (y.kind == Kind.ZERO) {
                invalid(s);
            } else {
                s.infinite(!y.negative);
                s.flags |= y.kind == Kind.FINITE ? Float80.DIVIDE : 0;
            }
            return;
        }
        if (x.negative) {
            invalid(s);
            return;
        }
        boolean one = x.kind == Kind.FINITE && x.exponent == 0 && x.significand == Float80.ONE;
        boolean below = x.kind == Kind.FINITE && x.exponent < 0;
        if (y.kind == Kind.INFINITE) {
            if (one) {
                invalid(s);
            } else {
                denormal(s, false);
                s.infinite(y.negative != below);
            }
            return;
        }
        if (x.kind == Kind.INFINITE) {
            if (y.kind == Kind.ZERO) {
                invalid(s);
            } else {
                denormal(s, false);
                s.infinite(y.negative);
            }
            return;
        }
        denormal(s, false);
        if (y.kind == Kind.ZERO || one) {
            s.zero(y.negative != below);
            return;
        }
        if (x.significand == Float80.ONE) {
            // A power of two: its logarithm is a whole number.
            x.loadInteger(x.exponent);
            s.multiply();
            s.flags |= Float80.INEXACT;
            return;
        }
        int e = x.exponent;
        x.exponent = 0;
        BigInteger m = FpuFunctions.fixed(x);
        if (x.significand < 0xb504f333f9de6485L) {
            m = m.subtract(FpuFunctions.ONE);
        } else {
            m = m.shiftRight(1).subtract(FpuFunctions.ONE);
            e++;
        }
        BigInteger log =
                FpuFunctions.divide(FpuFunctions.logarithmOfOnePlus(m), FpuFunctions.LN2)
                        .add(FpuFunctions.ONE.multiply(BigInteger.valueOf(e)));
        product(s, log, 0);
    }

    /** y times a logarithm of 2^scale times what is given. */
    private static void product(Float80 s, BigInteger log, int scale) {
        FloatValue y = s.y;
        boolean negative = log.signum() < 0 != y.negative;
        int e = y.exponent;
        y.exponent = 0;
        y.negative = false;
        BigInteger p = log.abs().multiply(FpuFunctions.fixed(y)).shiftRight(FpuFunctions.POINT);
        FpuFunctions.result(s, p, e + scale);
        s.negative = negative;
    }

    private static void logarithmPlusOne(Float80 s) {
        FloatValue x = s.x;
        FloatValue y = s.y;
        if (x.kind == Kind.ZERO) {
            if (y.kind == Kind.INFINITE) {
                invalid(s);
            } else {
                denormal(s, false);
                s.zero(x.negative != y.negative);
            }
            return;
        }
        if (x.kind == Kind.INFINITE) {
            if (x.negative || y.kind == Kind.ZERO) {
                invalid(s);
            } else {
                s.infinite(y.negative);
            }
            return;
        }
        denormal(s, false);
        if (y.kind == Kind.INFINITE) {
            s.infinite(x.negative != y.negative);
        } else if (y.kind == Kind.ZERO) {
            s.zero(x.negative != y.negative);
        } else if (x.exponent >= 0 && x.negative) {
            // Not more than -1: undefined.
            s.flags = 0;
            invalid(s);
        } else if (x.exponent >= 64) {
            logarithm(s);
        } else if (x.exponent >= 0) {
            BigInteger v = FpuFunctions.ONE.add(FpuFunctions.fixed(x));
            product(s, FpuFunctions.binaryLogarithm(v), 0);
        } else if (x.exponent < TINY) {
            int e = x.exponent;
            x.exponent = 0;
            BigInteger log = FpuFunctions.divide(FpuFunctions.fixed(x), FpuFunctions.LN2);
            product(s, log, e);
        } else {
            BigInteger log = FpuFunctions.logarithmOfOnePlus(FpuFunctions.fixed(x));
            product(s, FpuFunctions.divide(log, FpuFunctions.LN2), 0);
        }
    }

    // ---- FPATAN

    static void arctangent(Fpu u) {
        if (u.empty(0) || u.empty(1)) {
            if (!u.underflow()) {
                u.indefinite(1);
                u.pop();
            }
            return;
        }
        FpuArithmetic.binary(u);
        Float80 s = u.soft;
        if (!u.nans(false)) {
            denormal(s, false);
            arctangent(s);
        }
        if (finish(u, 1)) {
            u.pop();
        }
    }

    private static void arctangent(Float80 s) {
        FloatValue x = s.x;
        FloatValue y = s.y;
        boolean negative = y.negative;
        BigInteger angle;
        if (y.kind == Kind.ZERO || x.kind == Kind.INFINITE && y.kind != Kind.INFINITE) {
            if (!x.negative) {
                s.zero(negative);
                return;
            }
            angle = FpuFunctions.PI;
        } else if (y.kind == Kind.INFINITE) {
            BigInteger quarter = FpuFunctions.PI.shiftRight(2);
            angle =
                    x.kind != Kind.INFINITE
                            ? FpuFunctions.PI.shiftRight(1)
                            : x.negative ? quarter.multiply(BigInteger.valueOf(3)) : quarter;
        } else if (x.kind == Kind.ZERO) {
            angle = FpuFunctions.PI.shiftRight(1);
        } else {
            int d = y.exponent - x.exponent;
            if (d < TINY && !x.negative) {
                // The quotient itself, a little too great.
                boolean sign = negative;
                y.negative = false;
                s.swap();
                s.divide();
                s.negative = sign;
                if (s.low == 0) {
                    s.high--;
                    s.low = -1;
                    s.normalize();
                }
                return;
            }
            angle = angle(s, d);
        }
        FpuFunctions.result(s, angle);
        s.negative = negative;
    }

    /**
     * The angle of a point above the axis; {@code d} is the difference of the exponents of y and x.
     */
    private static BigInteger angle(Float80 s, int d) {
        FloatValue x = s.x;
        FloatValue y = s.y;
        boolean left = x.negative;
        boolean steep = d > 0 || d == 0 && Long.compareUnsigned(y.significand, x.significand) > 0;
        // Only the difference of the exponents counts, and no more of it than can be seen.
        int apart = Math.min(Math.abs(d), 200);
        x.negative = false;
        y.negative = false;
        x.exponent = steep ? -apart : 0;
        y.exponent = steep ? 0 : -apart;
        BigInteger a = FpuFunctions.fixed(x);
        BigInteger b = FpuFunctions.fixed(y);
        BigInteger ratio = steep ? FpuFunctions.divide(a, b) : FpuFunctions.divide(b, a);
        BigInteger angle = FpuFunctions.atan(ratio);
        if (steep) {
            angle = FpuFunctions.PI.shiftRight(1).subtract(angle);
        }
        return left ? FpuFunctions.PI.subtract(angle) : angle;
    }

    // ---- FSIN, FCOS, FSINCOS, FPTAN

    private static final int SINE = 0;
    private static final int COSINE = 1;
    private static final int TANGENT = 2;

    static void sine(Fpu u) {
        one(u, SINE);
    }

    static void cosine(Fpu u) {
        one(u, COSINE);
    }

    private static void one(Fpu u, int function) {
        u.status &= ~Fpu.C2;
        if (!FpuArithmetic.operand(u)) {
            return;
        }
        if (outOfRange(u)) {
            return;
        }
        Float80 s = u.soft;
        if (!u.nans(true)) {
            trigonometric(s, function);
        }
        if (!FpuArithmetic.stopped(u)) {
            u.finish(0, 64);
        }
    }

    /** Sets C2 and leaves the operand where it is 2^63 or more. */
    private static boolean outOfRange(Fpu u) {
        FloatValue x = u.soft.x;
        if (x.kind != Kind.FINITE || x.exponent < 63) {
            return false;
        }
        u.clearC1();
        u.status |= Fpu.C2;
        return true;
    }

    static void sineAndCosine(Fpu u) {
        two(u, SINE);
    }

    static void tangent(Fpu u) {
        two(u, TANGENT);
    }

    /** FSINCOS and FPTAN: one result replaces the operand, the other is pushed. */
    private static void two(Fpu u, int function) {
        u.status &= ~Fpu.C2;
        if (u.empty(0) || !u.empty(7)) {
            boolean stop = u.empty(0) ? u.underflow() : u.overflow();
            if (!stop) {
                u.indefinite(0);
                u.push();
                u.indefinite(0);
            }
            return;
        }
        FpuArithmetic.operand(u);
        if (outOfRange(u)) {
            return;
        }
        Float80 s = u.soft;
        boolean special = u.nans(true);
        if (!special) {
            trigonometric(s, function);
            special = s.kind == Kind.NAN;
        }
        if (FpuArithmetic.stopped(u)) {
            return;
        }
        int r = u.top;
        long m = u.mantissa[r];
        int e = u.exponent[r];
        u.finish(0, 64);
        u.push();
        if (special) {
            u.copy(1, 0);
        } else if (function == TANGENT) {
            u.set(0, Float80.ONE, 0x3fff);
        } else {
            s.x.load80(m, e);
            s.flags = 0;
            trigonometric(s, COSINE);
            u.finish(0, 64);
        }
    }

    private static void trigonometric(Float80 s, int function) {
        FloatValue x = s.x;
        if (x.kind == Kind.INFINITE) {
            invalid(s);
            return;
        }
        denormal(s, true);
        if (x.kind == Kind.ZERO) {
            if (function == COSINE) {
                s.y.loadInteger(1);
                s.take(s.y, false);
            } else {
                s.zero(x.negative);
            }
            return;
        }
        if (x.exponent < TINY) {
            if (function == COSINE) {
                x.loadInteger(1);
                nearly(s, true);
            } else {
                nearly(s, function == SINE);
            }
            return;
        }
        BigInteger angle = FpuFunctions.fixed(x);
        BigInteger half = FpuFunctions.PI66.shiftRight(1);
        // To the nearest multiple of a right angle.
        BigInteger n = angle.add(half.shiftRight(1)).divide(half);
        if (angle.add(half.shiftRight(1)).signum() < 0) {
            n = n.subtract(BigInteger.ONE);
        }
        BigInteger r = angle.subtract(n.multiply(half));
        int quadrant = n.intValue() & 3;
        if (function == TANGENT) {
            BigInteger sine = FpuFunctions.sine(r);
            BigInteger cosine = FpuFunctions.cosine(r);
            FpuFunctions.result(
                    s,
                    (quadrant & 1) == 0
                            ? FpuFunctions.divide(sine, cosine)
                            : FpuFunctions.divide(cosine, sine).negate());
            return;
        }
        int q = function == COSINE ? quadrant + 1 : quadrant;
        BigInteger v = (q & 1) == 0 ? FpuFunctions.sine(r) : FpuFunctions.cosine(r);
        FpuFunctions.result(s, (q & 2) == 0 ? v : v.negate());
    }
}
