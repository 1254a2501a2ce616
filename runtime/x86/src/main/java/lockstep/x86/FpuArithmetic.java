package lockstep.x86;

import lockstep.x86.FloatValue.Kind;

/**
 * The x87's instructions on its registers but for the transcendental ones (Intel SDM volume 1,
 * section 8.3).
 */
final class FpuArithmetic {
    /**
     * Of the reg fields of FADD to FDIVR, the operation and, in bit 3, whether the operands are
     * exchanged.
     */
    private static final int[] OPERATIONS = {
        Float80.ADD,
        Float80.MULTIPLY,
        0,
        0,
        Float80.SUBTRACT,
        Float80.SUBTRACT | 8,
        Float80.DIVIDE_BY,
        Float80.DIVIDE_BY | 8
    };

    private FpuArithmetic() {}

    // ---- the four basic operations

    /** ST(0) with an operand from memory. */
    static void withLoaded(Fpu u, int kind) {
        if (u.empty(0)) {
            if (!u.underflow()) {
                u.indefinite(0);
            }
            return;
        }
        u.load(u.soft.x, 0);
        operate(u, kind, 0);
    }

    /** ST(0) with ST(i), to ST(0). */
    static void toTop(Fpu u, int kind, int i) {
        if (u.empty(0) || u.empty(i)) {
            if (!u.underflow()) {
                u.indefinite(0);
            }
            return;
        }
        u.load(u.soft.x, 0);
        u.load(u.soft.y, i);
        operate(u, kind, 0);
    }

    /** ST(i) with ST(0), to ST(i). */
    static void toRegister(Fpu u, int kind, int i, boolean pop) {
        if (u.empty(0) || u.empty(i)) {
            if (!u.underflow()) {
                u.indefinite(i);
                popIf(u, pop);
            }
            return;
        }
        u.load(u.soft.x, i);
        u.load(u.soft.y, 0);
        if (operate(u, kind, i)) {
            popIf(u, pop);
        }
    }

    private static boolean operate(Fpu u, int kind, int destination) {
        int operation = OPERATIONS[kind];
        if ((operation & 8) != 0) {
            u.soft.swap();
        }
        return u.operate(operation & 7, destination);
    }

    private static void popIf(Fpu u, boolean pop) {
        if (pop) {
            u.pop();
        }
    }

    static void squareRoot(Fpu u) {
        if (operand(u)) {
            u.operate(Float80.SQUARE_ROOT, 0);
        }
    }

    /** Loads ST(0) as x; false, with what is due done, where it is empty. */
    static boolean operand(Fpu u) {
        if (u.empty(0)) {
            if (!u.underflow()) {
                u.indefinite(0);
            }
            return false;
        }
        u.load(u.soft.x, 0);
        u.soft.flags = 0;
        u.soft.roundedUp = false;
        return true;
    }

    /** Raises the flags found so far; whether the instruction ends there. */
    static boolean stopped(Fpu u) {
        if ((u.soft.flags & u.trapped() & 7) == 0) {
            return false;
        }
        u.clearC1();
        u.raise(u.soft.flags);
        return true;
    }

    // ---- comparison

    /** Compares ST(0) with an operand from memory. */
    static void compareLoaded(Fpu u, int pops) {
        if (u.empty(0)) {
            unordered(u, pops);
            return;
        }
        u.load(u.soft.x, 0);
        compare(u, false, pops);
    }

    static void compare(Fpu u, int i, boolean quiet, int pops) {
        if (u.empty(0) || u.empty(i)) {
            unordered(u, pops);
            return;
        }
        u.load(u.soft.x, 0);
        u.load(u.soft.y, i);
        compare(u, quiet, pops);
    }

    private static void unordered(Fpu u, int pops) {
        boolean stop = u.underflow();
        u.conditions(Fpu.C0 | Fpu.C2 | Fpu.C3);
        if (!stop) {
            pop(u, pops);
        }
    }

    private static void pop(Fpu u, int pops) {
        for (int n = 0; n < pops; n++) {
            u.pop();
        }
    }

    private static void compare(Fpu u, boolean quiet, int pops) {
        int relation = relation(u, quiet);
        boolean stop = u.raise(u.soft.flags);
        // AMD's processors give the conditions also where the exception is not masked.
        u.conditions(
                switch (relation) {
                    case SseUnit.LESS -> Fpu.C0;
                    case SseUnit.EQUAL -> Fpu.C3;
                    case SseUnit.GREATER -> 0;
                    default -> Fpu.C0 | Fpu.C2 | Fpu.C3;
                });
        if (!stop) {
            pop(u, pops);
        }
    }

    /** How x stands to y; leaves the exceptions in the flags. */
    private static int relation(Fpu u, boolean quiet) {
        Float80 s = u.soft;
        FloatValue x = s.x;
        FloatValue y = s.y;
        s.flags = 0;
        if (x.kind == Kind.UNSUPPORTED || y.kind == Kind.UNSUPPORTED) {
            s.flags = Float80.INVALID;
            return SseUnit.UNORDERED;
        }
        if (x.nan() || y.nan()) {
            if (!quiet || x.signalling() || y.signalling()) {
                s.flags = Float80.INVALID;
            }
            return SseUnit.UNORDERED;
        }
        if (x.denormal || y.denormal) {
            s.flags = Float80.DENORMAL;
        }
        return FloatValue.compare(x, y);
    }

    /** FCOMI and its kin. */
    static void compareToFlags(Cpu c, Fpu u, int i, boolean quiet, boolean pop) {
        int relation;
        boolean stop;
        if (u.empty(0) || u.empty(i)) {
            stop = u.underflow();
            relation = SseUnit.UNORDERED;
        } else {
            u.load(u.soft.x, 0);
            u.load(u.soft.y, i);
            relation = relation(u, quiet);
            stop = u.raise(u.soft.flags);
        }
        SseComparisons.flags(c, relation);
        popIf(u, pop && !stop);
    }

    static void test(Fpu u) {
        u.soft.y.loadInteger(0);
        compareLoaded(u, 0);
    }

    static void examine(Fpu u) {
        int r = u.top;
        int e = u.exponent[r] & 0x7fff;
        long m = u.mantissa[r];
        int c = (u.exponent[r] & 0x8000) != 0 ? Fpu.C1 : 0;
        if (u.empty(0)) {
            c |= Fpu.C3 | Fpu.C0;
        } else if (e == 0) {
            c |= m == 0 ? Fpu.C3 : Fpu.C3 | Fpu.C2;
        } else if (m >= 0) {
            c |= 0;
        } else if (e == 0x7fff) {
            c |= m == Float80.ONE ? Fpu.C2 | Fpu.C0 : Fpu.C0;
        } else {
            c |= Fpu.C2;
        }
        u.conditions(c);
    }

    // ---- the stack

    /** Pushes an encoding as it is. */
    static void push(Fpu u, long m, int e) {
        u.clearC1();
        if (!u.empty(7)) {
            if (!u.overflow()) {
                u.push();
                u.indefinite(0);
            }
            return;
        }
        u.push();
        u.set(0, m, e);
    }

    static void loadRegister(Fpu u, int i) {
        if (u.empty(i)) {
            if (!u.underflow()) {
                u.push();
                u.indefinite(0);
            }
            return;
        }
        int r = u.top + i & 7;
        push(u, u.mantissa[r], u.exponent[r]);
    }

    /** FLD and FILD: pushes y. */
    static void pushLoaded(Fpu u) {
        Float80 s = u.soft;
        u.clearC1();
        if (!u.empty(7)) {
            if (!u.overflow()) {
                u.push();
                u.indefinite(0);
            }
            return;
        }
        FloatValue y = s.y;
        s.take(y, y.negative);
        int flags = y.denormal ? Float80.DENORMAL : 0;
        if (y.nan()) {
            flags = y.signalling() ? Float80.INVALID : 0;
            s.notANumber(y.negative, y.significand | Float80.QUIET);
        }
        // A denormal is loaded also where the exception is not masked.
        if (u.raise(flags) && (flags & Float80.INVALID) != 0) {
            return;
        }
        u.push();
        u.set(0, s.mantissa80(), s.exponent80());
    }

    static void storeRegister(Fpu u, int i, boolean pop) {
        if (u.empty(0)) {
            if (u.underflow()) {
                return;
            }
            u.indefinite(i);
        } else {
            u.clearC1();
            u.copy(0, i);
        }
        popIf(u, pop);
    }

    static void exchange(Fpu u, int i) {
        u.clearC1();
        if (u.empty(0) || u.empty(i)) {
            if (u.underflow()) {
                return;
            }
            if (u.empty(0)) {
                u.indefinite(0);
            }
            if (u.empty(i)) {
                u.indefinite(i);
            }
        }
        int a = u.top;
        int b = u.top + i & 7;
        long m = u.mantissa[a];
        int e = u.exponent[a];
        u.mantissa[a] = u.mantissa[b];
        u.exponent[a] = u.exponent[b];
        u.mantissa[b] = m;
        u.exponent[b] = e;
    }

    static void conditionalMove(Fpu u, int i, boolean yes) {
        if (u.empty(0) || u.empty(i)) {
            if (!u.underflow()) {
                u.indefinite(0);
            }
            return;
        }
        if (yes) {
            u.copy(i, 0);
        }
    }

    /** FINCSTP and FDECSTP. */
    static void turn(Fpu u, int by) {
        u.clearC1();
        u.top = u.top + by & 7;
    }

    // ---- parts of a number

    static void negate(Fpu u) {
        if (operand(u)) {
            u.clearC1();
            u.exponent[u.top] ^= 0x8000;
        }
    }

    static void absolute(Fpu u) {
        if (operand(u)) {
            u.clearC1();
            u.exponent[u.top] &= 0x7fff;
        }
    }

    /** FXTRACT. */
    static void extract(Fpu u) {
        if (u.empty(0)) {
            if (!u.underflow()) {
                u.indefinite(0);
                u.push();
                u.indefinite(0);
            }
            return;
        }
        u.clearC1();
        if (!u.empty(7)) {
            if (!u.overflow()) {
                u.indefinite(0);
                u.push();
                u.indefinite(0);
            }
            return;
        }
        Float80 s = u.soft;
        operand(u);
        FloatValue x = s.x;
        if (u.nans(true)) {
            if (stopped(u)) {
                return;
            }
            u.finish(0);
            u.push();
            u.copy(1, 0);
            return;
        }
        s.flags = x.kind == Kind.ZERO ? Float80.DIVIDE : x.denormal ? Float80.DENORMAL : 0;
        if (stopped(u)) {
            return;
        }
        u.raise(s.flags);
        boolean negative = x.negative;
        long significand = x.significand;
        switch (x.kind) {
            case ZERO -> {
                u.set(0, Float80.ONE, 0xffff);
                u.push();
                u.set(0, 0, negative ? 0x8000 : 0);
            }
            case INFINITE -> {
                u.set(0, Float80.ONE, 0x7fff);
                u.push();
                u.set(0, Float80.ONE, negative ? 0xffff : 0x7fff);
            }
            default -> {
                s.y.loadInteger(x.exponent);
                s.take(s.y, s.y.negative);
                u.set(0, s.mantissa80(), s.exponent80());
                u.push();
                u.set(0, significand, negative ? 0xbfff : 0x3fff);
            }
        }
    }

    /** FRNDINT. */
    static void roundToInteger(Fpu u) {
        if (!operand(u)) {
            return;
        }
        Float80 s = u.soft;
        FloatValue x = s.x;
        if (!u.nans(true)) {
            s.flags = x.denormal ? Float80.DENORMAL : 0;
            if (stopped(u)) {
                return;
            }
            s.take(x, x.negative);
            if (x.kind == Kind.FINITE && x.exponent < 63) {
                s.roundToInteger(x, u.rounding());
                boolean up = s.roundedUp;
                s.flags |= s.inexact() ? Float80.INEXACT : 0;
                if (s.high == 0) {
                    s.zero(x.negative);
                } else {
                    s.low = 0;
                    s.exponent = 63;
                    s.normalize();
                }
                u.status = up ? u.status | Fpu.C1 : u.status & ~Fpu.C1;
                u.raise(s.flags);
                u.set(0, s.mantissa80(), s.exponent80());
                return;
            }
        } else if (stopped(u)) {
            return;
        }
        u.finish(0, 64);
    }

    /** FSCALE. */
    static void scale(Fpu u) {
        if (!binary(u)) {
            return;
        }
        Float80 s = u.soft;
        FloatValue x = s.x;
        FloatValue y = s.y;
        if (!u.nans(false)) {
            s.flags = x.denormal || y.denormal ? Float80.DENORMAL : 0;
            if (y.kind == Kind.INFINITE) {
                if (x.kind == (y.negative ? Kind.INFINITE : Kind.ZERO)) {
                    s.flags = Float80.INVALID;
                    s.notANumber(true, Float80.ONE | Float80.QUIET);
                } else if (y.negative) {
                    s.zero(x.negative);
                } else {
                    s.infinite(x.negative);
                }
            } else {
                s.take(x, x.negative);
                if (y.kind == Kind.FINITE && x.kind == Kind.FINITE) {
                    int n = y.exponent > 16 ? 1 << 17 : truncated(y);
                    s.exponent += y.negative ? -n : n;
                }
            }
        }
        if (!stopped(u)) {
            u.finish(0, 64);
        }
    }

    /** FFREE. */
    static void free(Fpu u, int i) {
        u.clearC1();
        u.valid &= ~(1 << (u.top + i & 7));
    }

    private static int truncated(FloatValue v) {
        return v.exponent < 0 ? 0 : (int) (v.significand >>> 63 - v.exponent);
    }

    /** Loads ST(0) as x and ST(1) as y; false, with what is due done, where one is empty. */
    static boolean binary(Fpu u) {
        if (u.empty(0) || u.empty(1)) {
            if (!u.underflow()) {
                u.indefinite(0);
            }
            return false;
        }
        u.load(u.soft.y, 1);
        return operand(u);
    }
}
