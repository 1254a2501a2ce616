package lockstep.x86;

/**
 * Integer arithmetic on the lanes of 64 bits: eight bytes, four words or two double words at once.
 * An MMX instruction is one of these, an SSE instruction one for each half of its register (Intel
 * SDM volume 1, sections 9.2 and 11.4.2).
 */
final class Lanes {
    private static final long BYTE_TOPS = 0x8080808080808080L;
    private static final long WORD_TOPS = 0x8000800080008000L;
    private static final long DWORD_TOPS = 0x8000000080000000L;
    private static final long BYTE_ONES = 0x0101010101010101L;
    private static final long WORD_ONES = 0x0001000100010001L;

    /** An operation on one half: {@code a} is the destination's, {@code b} the source's. */
    @FunctionalInterface
    interface Operation {
        long of(long a, long b);
    }

    private Lanes() {}

    // ---- addition and subtraction: the top bits are added apart, so that no carry leaves a lane

    static long add8(long a, long b) {
        return add(a, b, BYTE_TOPS);
    }

    static long add16(long a, long b) {
        return add(a, b, WORD_TOPS);
    }

    static long add32(long a, long b) {
        return add(a, b, DWORD_TOPS);
    }

    private static long add(long a, long b, long tops) {
        return (a & ~tops) + (b & ~tops) ^ (a ^ b) & tops;
    }

    static long sub8(long a, long b) {
        return sub(a, b, BYTE_TOPS);
    }

    static long sub16(long a, long b) {
        return sub(a, b, WORD_TOPS);
    }

    static long sub32(long a, long b) {
        return sub(a, b, DWORD_TOPS);
    }

    private static long sub(long a, long b, long tops) {
        return (a | tops) - (b & ~tops) ^ (a ^ ~b) & tops;
    }

    static long addUnsignedSaturated8(long a, long b) {
        long r = add(a, b, BYTE_TOPS);
        return r | fill8((a & b | (a | b) & ~r) & BYTE_TOPS);
    }

    static long addUnsignedSaturated16(long a, long b) {
        long r = add(a, b, WORD_TOPS);
        return r | fill16((a & b | (a | b) & ~r) & WORD_TOPS);
    }

    static long subUnsignedSaturated8(long a, long b) {
        long r = sub(a, b, BYTE_TOPS);
        return r & ~fill8((~a & b | ~(a ^ b) & r) & BYTE_TOPS);
    }

    static long subUnsignedSaturated16(long a, long b) {
        long r = sub(a, b, WORD_TOPS);
        return r & ~fill16((~a & b | ~(a ^ b) & r) & WORD_TOPS);
    }

    static long addSaturated8(long a, long b) {
        long r = add(a, b, BYTE_TOPS);
        return saturate8(a, r, ~(a ^ b) & (a ^ r) & BYTE_TOPS);
    }

    static long addSaturated16(long a, long b) {
        long r = add(a, b, WORD_TOPS);
        return saturate16(a, r, ~(a ^ b) & (a ^ r) & WORD_TOPS);
    }

    static long subSaturated8(long a, long b) {
        long r = sub(a, b, BYTE_TOPS);
        return saturate8(a, r, (a ^ b) & (a ^ r) & BYTE_TOPS);
    }

    static long subSaturated16(long a, long b) {
        long r = sub(a, b, WORD_TOPS);
        return saturate16(a, r, (a ^ b) & (a ^ r) & WORD_TOPS);
    }

    /**
     * Where a lane overflowed, the extreme on the side of {@code a}: 0x7f, or 0x80 when it is
     * negative.
     */
    private static long saturate8(long a, long r, long overflow) {
        long mask = fill8(overflow);
        long extreme = add(~BYTE_TOPS, a >>> 7 & BYTE_ONES, BYTE_TOPS);
        return r & ~mask | extreme & mask;
    }

    private static long saturate16(long a, long r, long overflow) {
        long mask = fill16(overflow);
        long extreme = add(~WORD_TOPS, a >>> 15 & WORD_ONES, WORD_TOPS);
        return r & ~mask | extreme & mask;
    }

    /** From top bits to all bits of their lanes. */
    private static long fill8(long tops) {
        return (tops << 1) - (tops >>> 7);
    }

    private static long fill16(long tops) {
        return (tops << 1) - (tops >>> 15);
    }

    private static long fill32(long tops) {
        return (tops << 1) - (tops >>> 31);
    }

    // ---- comparison

    static long equal8(long a, long b) {
        long x = a ^ b;
        return fill8(~((x & ~BYTE_TOPS) + ~BYTE_TOPS | x) & BYTE_TOPS);
    }

    static long equal16(long a, long b) {
        long x = a ^ b;
        return fill16(~((x & ~WORD_TOPS) + ~WORD_TOPS | x) & WORD_TOPS);
    }

    static long equal32(long a, long b) {
        long x = a ^ b;
        return fill32(~((x & ~DWORD_TOPS) + ~DWORD_TOPS | x) & DWORD_TOPS);
    }

    static long equal64(long a, long b) {
        return a == b ? -1 : 0;
    }

    static long greater8(long a, long b) {
        return fill8(less(b, a, BYTE_TOPS));
    }

    static long greater16(long a, long b) {
        return fill16(less(b, a, WORD_TOPS));
    }

    static long greater32(long a, long b) {
        return fill32(less(b, a, DWORD_TOPS));
    }

    static long greater64(long a, long b) {
        return a > b ? -1 : 0;
    }

    /**
     * The top bits of the lanes in which {@code a} is less than {@code b}, signed: the borrow of
     * their difference.
     */
    private static long less(long a, long b, long tops) {
        return below(a ^ tops, b ^ tops, tops);
    }

    private static long below(long a, long b, long tops) {
        long r = sub(a, b, tops);
        return (~a & b | ~(a ^ b) & r) & tops;
    }

    private static long choose(long mask, long yes, long no) {
        return no ^ (yes ^ no) & mask;
    }

    static long minSigned8(long a, long b) {
        return choose(fill8(less(a, b, BYTE_TOPS)), a, b);
    }

    static long maxSigned8(long a, long b) {
        return choose(fill8(less(a, b, BYTE_TOPS)), b, a);
    }

    static long minUnsigned8(long a, long b) {
        return choose(fill8(below(a, b, BYTE_TOPS)), a, b);
    }

    static long maxUnsigned8(long a, long b) {
        return choose(fill8(below(a, b, BYTE_TOPS)), b, a);
    }

    static long minSigned16(long a, long b) {
        return choose(fill16(less(a, b, WORD_TOPS)), a, b);
    }

    static long maxSigned16(long a, long b) {
        return choose(fill16(less(a, b, WORD_TOPS)), b, a);
    }

    static long minUnsigned16(long a, long b) {
        return choose(fill16(below(a, b, WORD_TOPS)), a, b);
    }

    static long maxUnsigned16(long a, long b) {
        return choose(fill16(below(a, b, WORD_TOPS)), b, a);
    }

    static long minSigned32(long a, long b) {
        return choose(fill32(less(a, b, DWORD_TOPS)), a, b);
    }

    static long maxSigned32(long a, long b) {
        return choose(fill32(less(a, b, DWORD_TOPS)), b, a);
    }

    static long minUnsigned32(long a, long b) {
        return choose(fill32(below(a, b, DWORD_TOPS)), a, b);
    }

    static long maxUnsigned32(long a, long b) {
        return choose(fill32(below(a, b, DWORD_TOPS)), b, a);
    }

    // ---- averages: (a + b + 1) / 2 without the bit that would not fit

    static long average8(long a, long b) {
        return (a | b) - ((a ^ b) >>> 1 & ~BYTE_TOPS);
    }

    static long average16(long a, long b) {
        return (a | b) - ((a ^ b) >>> 1 & ~WORD_TOPS);
    }

    /** The sum of the absolute differences of eight bytes. */
    static long sumOfDifferences(long a, long b) {
        long d = maxUnsigned8(a, b) - minUnsigned8(a, b);
        long pairs = (d & 0x00ff00ff00ff00ffL) + (d >>> 8 & 0x00ff00ff00ff00ffL);
        return pairs * WORD_ONES >>> 48;
    }

    // ---- products

    static long multiplyLow16(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 16) {
            r |= ((a >>> i) * (b >>> i) & 0xffff) << i;
        }
        return r;
    }

    static long multiplyHigh16(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 16) {
            r |= ((long) ((short) (a >>> i) * (short) (b >>> i)) >>> 16 & 0xffff) << i;
        }
        return r;
    }

    static long multiplyHighUnsigned16(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 16) {
            r |= ((a >>> i & 0xffff) * (b >>> i & 0xffff) >>> 16) << i;
        }
        return r;
    }

    /** PMULHRSW: the product's bits 30 to 15, rounded. */
    static long multiplyRounded16(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 16) {
            int p = (short) (a >>> i) * (short) (b >>> i);
            r |= ((p >> 14) + 1L >> 1 & 0xffff) << i;
        }
        return r;
    }

    static long multiplyAdd16(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 32) {
            int p = (short) (a >>> i) * (short) (b >>> i);
            int q = (short) (a >>> i + 16) * (short) (b >>> i + 16);
            r |= (p + q & 0xffffffffL) << i;
        }
        return r;
    }

    /**
     * PMADDUBSW: unsigned bytes of {@code a} by signed ones of {@code b}, pairs added with
     * saturation.
     */
    static long multiplyAddMixed8(long a, long b) {
        long r = 0;
        for (int i = 0; i < 64; i += 16) {
            int p = (int) (a >>> i & 0xff) * (byte) (b >>> i);
            int q = (int) (a >>> i + 8 & 0xff) * (byte) (b >>> i + 8);
            r |= (Math.clamp(p + q, Short.MIN_VALUE, Short.MAX_VALUE) & 0xffffL) << i;
        }
        return r;
    }

    static long multiplyUnsigned32(long a, long b) {
        return (a & 0xffffffffL) * (b & 0xffffffffL);
    }

    static long multiplySigned32(long a, long b) {
        return (long) (int) a * (int) b;
    }

    static long multiplyLow32(long a, long b) {
        return (long) ((int) (a >>> 32) * (int) (b >>> 32)) << 32 | (int) a * (int) b & 0xffffffffL;
    }

    // ---- signs

    static long sign8(long a, long b) {
        long negative = fill8(b & BYTE_TOPS);
        return sub8(a ^ negative, negative) & ~equal8(b, 0);
    }

    static long sign16(long a, long b) {
        long negative = fill16(b & WORD_TOPS);
        return sub16(a ^ negative, negative) & ~equal16(b, 0);
    }

    static long sign32(long a, long b) {
        long negative = fill32(b & DWORD_TOPS);
        return sub32(a ^ negative, negative) & ~equal32(b, 0);
    }

    static long absolute8(long a, long b) {
        long negative = fill8(b & BYTE_TOPS);
        return sub8(b ^ negative, negative);
    }

    static long absolute16(long a, long b) {
        long negative = fill16(b & WORD_TOPS);
        return sub16(b ^ negative, negative);
    }

    static long absolute32(long a, long b) {
        long negative = fill32(b & DWORD_TOPS);
        return sub32(b ^ negative, negative);
    }

    // ---- shifts; the count is unsigned 64 bits

    static long shiftRight16(long a, long n) {
        return n < 0 || n > 15 ? 0 : a >>> n & (0xffff >>> n) * WORD_ONES;
    }

    static long shiftRight32(long a, long n) {
        return n < 0 || n > 31 ? 0 : a >>> n & (0xffffffffL >>> n) * 0x100000001L;
    }

    static long shiftRight64(long a, long n) {
        return n < 0 || n > 63 ? 0 : a >>> n;
    }

    static long shiftLeft16(long a, long n) {
        return n < 0 || n > 15 ? 0 : a << n & (0xffff << n & 0xffff) * WORD_ONES;
    }

    static long shiftLeft32(long a, long n) {
        return n < 0 || n > 31 ? 0 : a << n & (0xffffffffL << n & 0xffffffffL) * 0x100000001L;
    }

    static long shiftLeft64(long a, long n) {
        return n < 0 || n > 63 ? 0 : a << n;
    }

    static long shiftArithmetic16(long a, long n) {
        int m = n < 0 || n > 15 ? 15 : (int) n;
        return shiftRight16(a, m) | fill16(a & WORD_TOPS) & ~((0xffff >>> m) * WORD_ONES);
    }

    static long shiftArithmetic32(long a, long n) {
        int m = n < 0 || n > 31 ? 31 : (int) n;
        return (a >> 32 >> m) << 32 | (int) a >> m & 0xffffffffL;
    }

    // ---- packing: four or two lanes of one operand to half of the result

    /** Four signed words to signed bytes, in the low half. */
    static long packSigned16(long a) {
        long r = 0;
        for (int i = 0; i < 4; i++) {
            r |= (Math.clamp((short) (a >>> i * 16), -128, 127) & 0xffL) << i * 8;
        }
        return r;
    }

    static long packUnsigned16(long a) {
        long r = 0;
        for (int i = 0; i < 4; i++) {
            r |= (long) Math.clamp((short) (a >>> i * 16), 0, 255) << i * 8;
        }
        return r;
    }

    static long packSigned32(long a) {
        return Math.clamp((int) a, Short.MIN_VALUE, Short.MAX_VALUE) & 0xffffL
                | (Math.clamp((int) (a >>> 32), Short.MIN_VALUE, Short.MAX_VALUE) & 0xffffL) << 16;
    }

    static long packUnsigned32(long a) {
        return (long) Math.clamp((int) a, 0, 0xffff)
                | (long) Math.clamp((int) (a >>> 32), 0, 0xffff) << 16;
    }

    // ---- interleaving

    /** The low bytes of {@code a} and {@code b} in turns. */
    static long interleaveLow8(long a, long b) {
        return spread8(a) | spread8(b) << 8;
    }

    static long interleaveHigh8(long a, long b) {
        return spread8(a >>> 32) | spread8(b >>> 32) << 8;
    }

    private static long spread8(long v) {
        long x = v & 0xffffffffL;
        x = (x | x << 16) & 0x0000ffff0000ffffL;
        return (x | x << 8) & 0x00ff00ff00ff00ffL;
    }

    static long interleaveLow16(long a, long b) {
        return spread16(a) | spread16(b) << 16;
    }

    static long interleaveHigh16(long a, long b) {
        return spread16(a >>> 32) | spread16(b >>> 32) << 16;
    }

    private static long spread16(long v) {
        long x = v & 0xffffffffL;
        return (x | x << 16) & 0x0000ffff0000ffffL;
    }

    static long interleaveLow32(long a, long b) {
        return a & 0xffffffffL | b << 32;
    }

    static long interleaveHigh32(long a, long b) {
        return a >>> 32 | b & 0xffffffff00000000L;
    }

    // ---- the rest

    /** The top bits of the bytes, as the low byte. */
    static int topBits8(long a) {
        return (int) ((a >>> 7 & BYTE_ONES) * 0x0102040810204080L >>> 56);
    }

    /** The four words of {@code v}, each chosen by two bits of {@code order}. */
    static long shuffle16(long v, int order) {
        return v >>> (order & 3) * 16 & 0xffff
                | (v >>> (order >> 2 & 3) * 16 & 0xffff) << 16
                | (v >>> (order >> 4 & 3) * 16 & 0xffff) << 32
                | v >>> (order >> 6 & 3) * 16 << 48;
    }

    static long addPairs16(long v) {
        long s = add16(v, v >>> 16);
        return s & 0xffff | s >>> 16 & 0xffff0000L;
    }

    static long addPairsSaturated16(long v) {
        long s = addSaturated16(v, v >>> 16);
        return s & 0xffff | s >>> 16 & 0xffff0000L;
    }

    static long subtractPairs16(long v) {
        long s = sub16(v, v >>> 16);
        return s & 0xffff | s >>> 16 & 0xffff0000L;
    }

    static long subtractPairsSaturated16(long v) {
        long s = subSaturated16(v, v >>> 16);
        return s & 0xffff | s >>> 16 & 0xffff0000L;
    }
}
