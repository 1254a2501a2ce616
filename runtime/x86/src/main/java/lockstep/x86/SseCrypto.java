package lockstep.x86;

import static lockstep.x86.SseForms.AES;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PCLMULQDQ;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wide;
import static lockstep.x86.SseForms.wideImmediate;

import lockstep.x86.SseForms.Wide;

/** AES rounds (FIPS 197) and the carry-less product. */
final class SseCrypto {
    private static final byte[] BOX = new byte[256];
    private static final byte[] INVERSE_BOX = new byte[256];

    /** Products in the field, by the small factors that the rounds multiply with. */
    private static final byte[][] TIMES = new byte[16][256];

    static {
        for (int a = 0; a < 256; a++) {
            for (int f = 1; f < 16; f++) {
                TIMES[f][a] = (byte) product(a, f);
            }
        }
        for (int a = 0; a < 256; a++) {
            int inverse = 0;
            for (int b = 1; b < 256 && inverse == 0; b++) {
                inverse = product(a, b) == 1 ? b : 0;
            }
            int s = inverse ^ 0x63;
            for (int i = 1; i <= 4; i++) {
                s ^= (inverse << i | inverse >> 8 - i) & 0xff;
            }
            BOX[a] = (byte) s;
            INVERSE_BOX[s] = (byte) a;
        }
    }

    private static final Wide AESENC = (c, o, low, high) -> encrypt(c.xmm, o.a(), low, high, false);

    private static final Wide AESENCLAST =
            (c, o, low, high) -> encrypt(c.xmm, o.a(), low, high, true);

    private static final Wide AESDEC = (c, o, low, high) -> decrypt(c.xmm, o.a(), low, high, false);

    private static final Wide AESDECLAST =
            (c, o, low, high) -> decrypt(c.xmm, o.a(), low, high, true);

    private static final Wide AESIMC =
            (c, o, low, high) -> {
                c.xmm[o.a()] = mixInverse(low);
                c.xmm[o.a() + 1] = mixInverse(high);
            };

    private static final Wide AESKEYGENASSIST =
            (c, o, low, high) -> {
                long first = substitute((int) (low >>> 32));
                long second = substitute((int) (high >>> 32));
                long constant = o.imm() & 0xff;
                c.xmm[o.a()] = first | (rotate(first) ^ constant) << 32;
                c.xmm[o.a() + 1] = second | (rotate(second) ^ constant) << 32;
            };

    private static final Wide PCLMUL =
            (c, o, low, high) -> {
                int n = (int) o.imm();
                long a = c.xmm[o.a() + (n & 1)];
                long b = (n & 0x10) != 0 ? high : low;
                long l = 0;
                long h = 0;
                for (int i = 0; i < 64; i++) {
                    if ((b >>> i & 1) != 0) {
                        l ^= a << i;
                        h ^= i == 0 ? 0 : a >>> 64 - i;
                    }
                }
                c.xmm[o.a()] = l;
                c.xmm[o.a() + 1] = h;
            };

    private SseCrypto() {}

    static void install(Decoder.Form[] three38, Decoder.Form[] three3a) {
        put(three38, 0xdb, P66, wide(AES, AESIMC));
        put(three38, 0xdc, P66, wide(AES, AESENC));
        put(three38, 0xdd, P66, wide(AES, AESENCLAST));
        put(three38, 0xde, P66, wide(AES, AESDEC));
        put(three38, 0xdf, P66, wide(AES, AESDECLAST));
        put(three3a, 0xdf, P66, wideImmediate(AES, AESKEYGENASSIST));
        put(three3a, 0x44, P66, wideImmediate(PCLMULQDQ, PCLMUL));
    }

    /** The product in the field of 256 elements. */
    private static int product(int a, int b) {
        int r = 0;
        int x = a;
        for (int y = b; y != 0; y >>= 1) {
            r ^= (y & 1) != 0 ? x : 0;
            x = x << 1 ^ ((x & 0x80) != 0 ? 0x11b : 0);
        }
        return r;
    }

    private static long substitute(int v) {
        return BOX[v & 0xff] & 0xffL
                | (BOX[v >> 8 & 0xff] & 0xffL) << 8
                | (BOX[v >> 16 & 0xff] & 0xffL) << 16
                | (BOX[v >>> 24] & 0xffL) << 24;
    }

    private static long rotate(long v) {
        return v >>> 8 | v << 24 & 0xff000000L;
    }

    private static int at(long low, long high, int i) {
        return (int) ((i < 8 ? low : high) >>> (i & 7) * 8) & 0xff;
    }

    private static void encrypt(long[] x, int a, long low, long high, boolean last) {
        long l = shiftRows(x[a], x[a + 1], 0, 4, BOX);
        long h = shiftRows(x[a], x[a + 1], 8, 4, BOX);
        x[a] = (last ? l : mix(l)) ^ low;
        x[a + 1] = (last ? h : mix(h)) ^ high;
    }

    private static void decrypt(long[] x, int a, long low, long high, boolean last) {
        long l = shiftRows(x[a], x[a + 1], 0, -4, INVERSE_BOX);
        long h = shiftRows(x[a], x[a + 1], 8, -4, INVERSE_BOX);
        x[a] = (last ? l : mixInverse(l)) ^ low;
        x[a + 1] = (last ? h : mixInverse(h)) ^ high;
    }

    /**
     * Eight bytes of the state from {@code first} on, substituted; row n shifted by n columns of
     * {@code step}.
     */
    private static long shiftRows(long low, long high, int first, int step, byte[] box) {
        long r = 0;
        for (int i = 0; i < 8; i++) {
            int from = first + i + (i & 3) * step & 15;
            r |= (box[at(low, high, from)] & 0xffL) << i * 8;
        }
        return r;
    }

    private static int times(int factor, int v) {
        return TIMES[factor][v] & 0xff;
    }

    private static long mix(long v) {
        return columns(v, 2, 3, 1, 1);
    }

    private static long mixInverse(long v) {
        return columns(v, 14, 11, 13, 9);
    }

    private static long columns(long v, int f0, int f1, int f2, int f3) {
        long r = 0;
        for (int column = 0; column < 64; column += 32) {
            for (int row = 0; row < 4; row++) {
                int b =
                        times(f0, at(v, 0, column / 8 + row))
                                ^ times(f1, at(v, 0, column / 8 + (row + 1 & 3)))
                                ^ times(f2, at(v, 0, column / 8 + (row + 2 & 3)))
                                ^ times(f3, at(v, 0, column / 8 + (row + 3 & 3)));
                r |= (long) b << column + row * 8;
            }
        }
        return r;
    }
}
