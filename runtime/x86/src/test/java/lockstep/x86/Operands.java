package lockstep.x86;

import java.util.Random;

/** Random operands, with those among them where instructions tend to go wrong. */
final class Operands {
    private static final long[] DOUBLES = {
        0,
        1,
        2,
        0xfffffffffffffL,
        0x10000000000000L,
        0x10000000000001L,
        0x3ff0000000000000L,
        0x3ff0000000000001L,
        0x3fefffffffffffffL,
        0x4000000000000000L,
        0x3fe0000000000000L,
        0x41dfffffffc00000L,
        0x41e0000000000000L,
        0x41dfffffffe00000L,
        0x43e0000000000000L,
        0x43dfffffffffffffL,
        0x7fefffffffffffffL,
        0x7ff0000000000000L,
        0x7ff0000000000001L,
        0x7ff8000000000000L,
        0x7ff8000000000123L,
        0x7fffffffffffffffL,
        0x3690000000000000L,
        0x380fffffffffffffL,
        0x3810000000000000L,
        0x47efffffe0000000L,
        0x47effffff0000000L,
        0x36a0000000000000L,
        0x3800000000000001L,
        0x4340000000000000L,
        0x433fffffffffffffL
    };

    private static final int[] SINGLES = {
        0,
        1,
        2,
        0x7fffff,
        0x800000,
        0x800001,
        0x3f800000,
        0x3f800001,
        0x3f7fffff,
        0x40000000,
        0x3f000000,
        0x4effffff,
        0x4f000000,
        0x5f000000,
        0x7f7fffff,
        0x7f800000,
        0x7f800001,
        0x7fc00000,
        0x7fc12345,
        0x7fffffff,
        0x4b000000,
        0x4affffff,
        0x4b800000
    };

    private static final long[] INTEGERS = {
        0,
        1,
        2,
        -1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000L,
        0xffffffffL,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        0x8000800080008000L,
        0x8080808080808080L,
        0x7fff7fff7fff7fffL,
        0x7f7f7f7f7f7f7f7fL,
        0x8000000080000000L,
        0x0001ff00807f8000L
    };

    private final Random random;

    Operands(long seed) {
        random = new Random(seed);
    }

    int below(int n) {
        return random.nextInt(n);
    }

    boolean one(int in) {
        return random.nextInt(in) == 0;
    }

    long bits() {
        return random.nextLong();
    }

    long integer() {
        return switch (below(4)) {
            case 0 -> INTEGERS[below(INTEGERS.length)];
            case 1 -> bits() >> below(64);
            case 2 -> INTEGERS[below(INTEGERS.length)] ^ 1L << below(64);
            default -> bits();
        };
    }

    long doubled() {
        long sign = one(2) ? Long.MIN_VALUE : 0;
        return sign
                | switch (below(6)) {
                    case 0, 1 -> DOUBLES[below(DOUBLES.length)];
                    case 2 -> bits() & 0xfffffffffffffL >>> below(52);
                    case 3 -> bits() & Long.MAX_VALUE;
                    // Near each other, and of few bits, so that sums cancel and results are exact.
                    case 4 -> (1023L - 3 + below(70)) << 52 | bits() & 0xfffffffffffffL;
                    default ->
                            (1023L - 3 + below(8)) << 52
                                    | bits() << 44 + below(8) & 0xfffffffffffffL;
                };
    }

    int single() {
        int sign = one(2) ? Integer.MIN_VALUE : 0;
        int v = random.nextInt();
        return sign
                | switch (below(6)) {
                    case 0, 1 -> SINGLES[below(SINGLES.length)];
                    case 2 -> v & 0x7fffff >>> below(23);
                    case 3 -> v & Integer.MAX_VALUE;
                    case 4 -> 127 - 3 + below(40) << 23 | v & 0x7fffff;
                    default -> 127 - 3 + below(8) << 23 | v << 16 + below(6) & 0x7fffff;
                };
    }

    long singles() {
        return single() & 0xffffffffL | (long) single() << 32;
    }

    /** Half of an SSE register: integers, singles or doubles. */
    long half(char hint) {
        return switch (hint) {
            case 's' -> singles();
            case 'd' -> doubled();
            default -> integer();
        };
    }

    /** Exponent and sign of an 80-bit number. */
    int exponent80() {
        int sign = one(2) ? 0x8000 : 0;
        return sign
                | switch (below(8)) {
                    case 0 -> 0;
                    case 1 -> 0x7fff;
                    case 2 -> below(70);
                    case 3 -> 0x7ffe - below(70);
                    case 4 -> below(0x8000);
                    case 5 -> 16383 - 1023 - 60 + below(80);
                    default -> 16383 - 10 + below(80);
                };
    }

    long mantissa80(int exponent) {
        long one = 1L << 63;
        long m =
                switch (below(6)) {
                    case 0 -> one;
                    case 1 -> -1;
                    case 2 -> one | bits() << below(64);
                    case 3 -> one | bits() >>> 1 + below(63);
                    case 4 -> one | 1L << 62;
                    default -> one | bits();
                };
        if ((exponent & 0x7fff) == 0) {
            return one(4) ? 0 : one(8) ? m : m & ~one >>> below(63);
        }
        return one(40) ? m & ~one : m;
    }
}
