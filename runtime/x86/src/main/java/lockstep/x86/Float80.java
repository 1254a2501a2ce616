package lockstep.x86;

import lockstep.x86.FloatValue.Kind;

/**
 * Binary floating-point arithmetic in software, exact to the last bit and flag: the arithmetic of
 * the x87 with its 80-bit format, and that of SSE wherever Java's own does not say enough (other
 * rounding modes, exceptions). IEEE 754, with tininess found after rounding as the Intel SDM volume
 * 1, section 4.9.1.5 has it.
 *
 * <p>One object serves one processor; operands and result are its fields, so that nothing is
 * allocated. An operation leaves an exact result (significand of 128 bits, whose last bit stands
 * for all that would follow), {@link #round} brings it into a format.
 */
final class Float80 {
    // Exception flags as in MXCSR and the x87 status word.
    static final int INVALID = 1;
    static final int DENORMAL = 2;
    static final int DIVIDE = 4;
    static final int OVERFLOW = 8;
    static final int UNDERFLOW = 0x10;
    static final int INEXACT = 0x20;

    // Rounding control as in both control words.
    static final int NEAREST = 0;
    static final int DOWN = 1;
    static final int UP = 2;
    static final int TRUNCATE = 3;

    /** The integer bit of a significand. */
    static final long ONE = 1L << 63;

    /** The bit that tells quiet from signalling NaNs. */
    static final long QUIET = 1L << 62;

    static final int ADD = 0;
    static final int MULTIPLY = 1;
    static final int SUBTRACT = 2;
    static final int DIVIDE_BY = 3;
    static final int SQUARE_ROOT = 4;

    final FloatValue x = new FloatValue();
    final FloatValue y = new FloatValue();

    // ---- result
    Kind kind = Kind.ZERO;
    boolean negative;
    int exponent;

    /** The significand: its upper half has the integer bit set in an exact finite result. */
    long high;

    long low;

    /** Exceptions found since it was cleared. */
    int flags;

    /** Whether the last rounding made the magnitude greater (the x87's C1). */
    boolean roundedUp;

    private final FloatValue spare = new FloatValue();

    /** Exchanges the operands. */
    void swap() {
        spare.copy(x);
        x.copy(y);
        y.copy(spare);
    }

    // ---- exact operations on x and y

    /**
     * Does one of the five operations; no operand is a NaN. An invalid one gives NAN and the flag.
     */
    void operate(int operation, int rounding) {
        switch (operation) {
            case ADD -> add(false, rounding);
            case SUBTRACT -> add(true, rounding);
            case MULTIPLY -> multiply();
            case DIVIDE_BY -> divide();
            default -> squareRoot();
        }
    }

    private void result(Kind k, boolean s) {
        kind = k;
        negative = s;
        exponent = 0;
        high = 0;
        low = 0;
    }

    private void invalid() {
        notANumber(true, ONE | QUIET);
        flags |= INVALID;
    }

    /** Makes the result a NaN with a significand. */
    void notANumber(boolean s, long significand) {
        result(Kind.NAN, s);
        high = significand;
    }

    /** Makes the result an infinity. */
    void infinite(boolean s) {
        result(Kind.INFINITE, s);
    }

    /** Makes the result a zero. */
    void zero(boolean s) {
        result(Kind.ZERO, s);
    }

    /** Takes a value for the result. */
    void take(FloatValue v, boolean s) {
        kind = v.kind;
        negative = s;
        exponent = v.exponent;
        high = v.significand;
        low = 0;
    }

    void add(boolean subtract, int rounding) {
        boolean sy = y.negative != subtract;
        if (x.kind == Kind.INFINITE) {
            if (y.kind == Kind.INFINITE && x.negative != sy) {
                invalid();
            } else {
                result(Kind.INFINITE, x.negative);
            }
        } else if (y.kind == Kind.INFINITE) {
            result(Kind.INFINITE, sy);
        } else if (y.kind == Kind.ZERO) {
            if (x.kind == Kind.ZERO) {
                result(Kind.ZERO, x.negative == sy ? sy : rounding == DOWN);
            } else {
                take(x, x.negative);
            }
        } else if (x.kind == Kind.ZERO) {
            take(y, sy);
        } else {
            addFinite(sy, rounding);
        }
    }

    private void addFinite(boolean sy, int rounding) {
        boolean swap =
                x.exponent < y.exponent
                        || x.exponent == y.exponent
                                && Long.compareUnsigned(x.significand, y.significand) < 0;
        FloatValue big = swap ? y : x;
        FloatValue small = swap ? x : y;
        kind = Kind.FINITE;
        negative = swap ? sy : x.negative;
        exponent = big.exponent;
        high = 0;
        low = 0;
        int d = big.exponent - small.exponent;
        long h;
        long l;
        if (d == 0) {
            h = small.significand;
            l = 0;
        } else if (d < 64) {
            h = small.significand >>> d;
            l = small.significand << 64 - d;
        } else if (d < 127) {
            h = 0;
            l =
                    small.significand >>> d - 64
                            | (small.significand << 128 - d != 0 && d > 64 ? 1 : 0);
        } else {
            h = 0;
            l = 1;
        }
        if (x.negative == sy) {
            high = big.significand + h;
            low = l;
            if (Long.compareUnsigned(high, h) < 0) {
                low = low >>> 1 | low & 1 | high << 63;
                high = high >>> 1 | ONE;
                exponent++;
            }
        } else {
            high = big.significand - h - (l != 0 ? 1 : 0);
            low = -l;
            if ((high | low) == 0) {
                result(Kind.ZERO, rounding == DOWN);
            } else {
                normalize();
            }
        }
    }

    /** Shifts the significand up until its integer bit is set; it is not 0. */
    void normalize() {
        if (high == 0) {
            high = low;
            low = 0;
            exponent -= 64;
        }
        int n = Long.numberOfLeadingZeros(high);
        if (n > 0) {
            high = high << n | low >>> 64 - n;
            low <<= n;
            exponent -= n;
        }
    }

    void multiply() {
        boolean s = x.negative != y.negative;
        if (x.kind == Kind.INFINITE || y.kind == Kind.INFINITE) {
            if (x.kind == Kind.ZERO || y.kind == Kind.ZERO) {
                invalid();
            } else {
                result(Kind.INFINITE, s);
            }
        } else if (x.kind == Kind.ZERO || y.kind == Kind.ZERO) {
            result(Kind.ZERO, s);
        } else {
            kind = Kind.FINITE;
            negative = s;
            exponent = x.exponent + y.exponent + 1;
            high = Math.unsignedMultiplyHigh(x.significand, y.significand);
            low = x.significand * y.significand;
            normalize();
        }
    }

    void divide() {
        boolean s = x.negative != y.negative;
        if (x.kind == y.kind && x.kind != Kind.FINITE) {
            invalid();
        } else if (x.kind == Kind.INFINITE) {
            result(Kind.INFINITE, s);
        } else if (y.kind == Kind.ZERO) {
            flags |= DIVIDE;
            result(Kind.INFINITE, s);
        } else if (x.kind == Kind.ZERO || y.kind == Kind.INFINITE) {
            result(Kind.ZERO, s);
        } else {
            divideFinite(s);
        }
    }

    private void divideFinite(boolean s) {
        kind = Kind.FINITE;
        negative = s;
        exponent = x.exponent - y.exponent;
        long n = x.significand;
        long d = y.significand;
        boolean whole = Long.compareUnsigned(n, d) >= 0;
        if (whole) {
            n -= d;
        }
        // n < d: 64 bits of quotient, then 64 more.
        long q = quotient(n, d);
        long r = -(q * d);
        long q2 = quotient(r, d);
        boolean rest = -(q2 * d) != 0;
        if (whole) {
            low = q2 >>> 1 | q << 63 | (rest || (q2 & 1) != 0 ? 1 : 0);
            high = q >>> 1 | ONE;
        } else {
            high = q;
            low = q2 | (rest ? 1 : 0);
            exponent--;
            normalize();
        }
    }

    /** {@code n * 2^64 / d}, rounded down; n < d, and d has its top bit set. */
    static long quotient(long n, long d) {
        if (n == 0) {
            return 0;
        }
        long d1 = d >>> 32;
        long d0 = d & 0xffffffffL;
        long q1 = Long.divideUnsigned(n, d1);
        long r = n - q1 * d1;
        while (q1 >>> 32 != 0 || Long.compareUnsigned(q1 * d0, r << 32) > 0) {
            q1--;
            r += d1;
            if (r >>> 32 != 0) {
                break;
            }
        }
        long n1 = (n << 32) - q1 * d;
        long q0 = Long.divideUnsigned(n1, d1);
        r = n1 - q0 * d1;
        while (q0 >>> 32 != 0 || Long.compareUnsigned(q0 * d0, r << 32) > 0) {
            q0--;
            r += d1;
            if (r >>> 32 != 0) {
                break;
            }
        }
        return q1 << 32 | q0;
    }

    void squareRoot() {
        if (x.kind == Kind.ZERO) {
            result(Kind.ZERO, x.negative);
        } else if (x.negative) {
            invalid();
        } else if (x.kind == Kind.INFINITE) {
            result(Kind.INFINITE, false);
        } else {
            squareRootFinite();
        }
    }

    /** Digit by digit: a root of 64 bits of the significand times 2^63 or 2^64. */
    private void squareRootFinite() {
        kind = Kind.FINITE;
        negative = false;
        boolean odd = (x.exponent & 1) != 0;
        exponent = x.exponent >> 1;
        // The radicand, 2^126 <= n < 2^128.
        long nh = odd ? x.significand : x.significand >>> 1;
        long nl = odd ? 0 : x.significand << 63;
        long root = 0;
        long rh = 0;
        long rl = 0;
        for (int i = 0; i < 64; i++) {
            rh = rh << 2 | rl >>> 62;
            rl = rl << 2 | nh >>> 62;
            nh = nh << 2 | nl >>> 62;
            nl <<= 2;
            // The trial is 4 * root + 1.
            long th = root >>> 62;
            long tl = root << 2 | 1;
            root <<= 1;
            if (rh > th || rh == th && Long.compareUnsigned(rl, tl) >= 0) {
                rh -= th + (Long.compareUnsigned(rl, tl) < 0 ? 1 : 0);
                rl -= tl;
                root |= 1;
            }
        }
        high = root;
        // The rest tells whether what is missing is more or less than half a unit; it never is a
        // half.
        low = (rh | rl) == 0 ? 0 : rh != 0 || Long.compareUnsigned(rl, root) > 0 ? ONE | 1 : 1;
    }

    // ---- rounding

    /**
     * Rounds the result to {@code bits} of significand with exponents from {@code least} to {@code
     * most}. Afterwards {@link #high} has the significand, without integer bit where the result is
     * denormal; overflows have become infinities or the greatest numbers.
     *
     * @param trapped exceptions that are not masked: an overflow or underflow of them leaves the
     *     exponent as it is, an underflow of them need not be inexact
     * @param toZero flush-to-zero: what is too small becomes 0
     */
    void round(int bits, int least, int most, int rounding, int trapped, boolean toZero) {
        roundedUp = false;
        if (kind != Kind.FINITE) {
            return;
        }
        if (exponent < least) {
            long h = high;
            long l = low;
            int e = exponent;
            boolean inexact = cut(bits, rounding);
            boolean tiny = exponent < least;
            if (tiny && (trapped & UNDERFLOW) != 0) {
                flags |= UNDERFLOW | (inexact ? INEXACT : 0);
                return;
            }
            if (tiny && toZero) {
                flags |= UNDERFLOW | INEXACT;
                roundedUp = false;
                result(Kind.ZERO, negative);
                return;
            }
            high = h;
            low = l;
            shiftDown(least - e);
            exponent = least;
            inexact = cut(bits, rounding);
            if (inexact) {
                flags |= INEXACT | (tiny ? UNDERFLOW : 0);
            }
            if (high == 0) {
                kind = Kind.ZERO;
            }
            return;
        }
        boolean inexact = cut(bits, rounding);
        if (inexact) {
            flags |= INEXACT;
        }
        if (exponent > most) {
            flags |= OVERFLOW;
            if ((trapped & OVERFLOW) != 0) {
                return;
            }
            flags |= INEXACT;
            if (rounding == NEAREST || rounding == (negative ? DOWN : UP)) {
                roundedUp = true;
                result(Kind.INFINITE, negative);
            } else {
                roundedUp = false;
                exponent = most;
                high = -1L << 64 - bits;
            }
        }
    }

    private void shiftDown(int n) {
        if (n < 64) {
            boolean rest = low << 64 - n != 0;
            low = low >>> n | high << 64 - n | (rest ? 1 : 0);
            high >>>= n;
        } else if (n < 128) {
            boolean rest = low != 0 || n > 64 && high << 128 - n != 0;
            low = high >>> n - 64 | (rest ? 1 : 0);
            high = 0;
        } else {
            low = 1;
            high = 0;
        }
    }

    /** Leaves the upper {@code bits} of the significand, rounded; whether anything was lost. */
    private boolean cut(int bits, int rounding) {
        long unit = 1L << 64 - bits;
        long rest = high & unit - 1;
        if ((rest | low) == 0) {
            roundedUp = false;
            return false;
        }
        boolean up =
                switch (rounding) {
                    case NEAREST -> {
                        if (bits == 64) {
                            yield low < 0 && (low != ONE || (high & 1) != 0);
                        }
                        long half = unit >>> 1;
                        yield rest > half || rest == half && (low != 0 || (high & unit) != 0);
                    }
                    case DOWN -> negative;
                    case UP -> !negative;
                    default -> false;
                };
        high &= -unit;
        low = 0;
        roundedUp = up;
        if (up) {
            high += unit;
            if (high == 0) {
                high = ONE;
                exponent++;
            }
        }
        return true;
    }

    // ---- giving the result

    /** The result as double precision; rounded to it before. */
    long pack64() {
        long s = negative ? 1L << 63 : 0;
        return switch (kind) {
            case ZERO -> s;
            case FINITE ->
                    s
                            | (high < 0 ? (long) (exponent + 1023) << 52 : 0)
                            | high >>> 11 & 0x000fffffffffffffL;
            case INFINITE -> s | 0x7ff0000000000000L;
            default -> s | 0x7ff0000000000000L | high >>> 11 & 0x000fffffffffffffL;
        };
    }

    /** The result as single precision. */
    int pack32() {
        int s = negative ? 1 << 31 : 0;
        return switch (kind) {
            case ZERO -> s;
            case FINITE ->
                    s | (high < 0 ? exponent + 127 << 23 : 0) | (int) (high >>> 40) & 0x7fffff;
            case INFINITE -> s | 0x7f800000;
            default -> s | 0x7f800000 | (int) (high >>> 40) & 0x7fffff;
        };
    }

    /** The significand of the result in the 80-bit format. */
    long mantissa80() {
        return switch (kind) {
            case ZERO -> 0;
            case INFINITE -> ONE;
            default -> high;
        };
    }

    /** Sign and exponent of the result in the 80-bit format. */
    int exponent80() {
        int s = negative ? 0x8000 : 0;
        return switch (kind) {
            case ZERO -> s;
            case FINITE -> s | (high < 0 ? exponent + 16383 & 0x7fff : 0);
            default -> s | 0x7fff;
        };
    }

    // ---- to integers

    /** What {@link #integer} returns for values that do not fit: "integer indefinite". */
    static final long INDEFINITE = Long.MIN_VALUE;

    /**
     * {@code v} as a signed integer of {@code bits}, or the most negative one with the flag INVALID
     * where it does not fit.
     */
    long integer(FloatValue v, int bits, int rounding) {
        long indefinite = -1L << bits - 1;
        roundedUp = false;
        if (v.kind == Kind.ZERO) {
            return 0;
        }
        if (v.kind != Kind.FINITE || v.exponent > 63) {
            flags |= INVALID;
            return indefinite;
        }
        roundToInteger(v, rounding);
        boolean lost = inexact;
        boolean fits =
                Long.compareUnsigned(high, (1L << bits - 1) - (v.negative ? 0 : 1)) <= 0
                        && !carried;
        if (!fits) {
            roundedUp = false;
            flags |= INVALID;
            return indefinite;
        }
        if (lost) {
            flags |= INEXACT;
        }
        return v.negative ? -high : high;
    }

    private boolean inexact;
    private boolean carried;

    /** {@link #high} becomes the integer magnitude of a finite value of an exponent up to 63. */
    void roundToInteger(FloatValue v, int rounding) {
        int shift = 63 - v.exponent;
        negative = v.negative;
        high = v.significand;
        low = 0;
        if (shift > 0) {
            shiftDown(shift);
        }
        carried = false;
        roundedUp = false;
        inexact = low != 0;
        if (inexact) {
            boolean up =
                    switch (rounding) {
                        case NEAREST -> low < 0 && (low != ONE || (high & 1) != 0);
                        case DOWN -> negative;
                        case UP -> !negative;
                        default -> false;
                    };
            if (up) {
                high++;
                carried = high == 0;
            }
            roundedUp = up;
        }
    }

    /** Whether {@link #roundToInteger} lost anything. */
    boolean inexact() {
        return inexact;
    }
}
