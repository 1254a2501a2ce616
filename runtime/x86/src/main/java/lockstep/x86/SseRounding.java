package lockstep.x86;

import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.SSE41;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wideImmediate;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/** ROUNDPS to ROUNDSD, and the dot products DPPS and DPPD (Intel SDM volume 2). */
final class SseRounding {
    private static final Wide ROUNDPS =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                int n = (int) o.imm();
                long first = round32(c, (int) low, n) | round32(c, (int) (low >>> 32), n) << 32;
                long second = round32(c, (int) high, n) | round32(c, (int) (high >>> 32), n) << 32;
                finish(c, o, first, second);
            };

    private static final Wide ROUNDPD =
            (c, o, low, high) -> {
                SseUnit.begin(c);
                long first = SseUnit.round64(c, low, (int) o.imm());
                long second = SseUnit.round64(c, high, (int) o.imm());
                finish(c, o, first, second);
            };

    private static final Action ROUNDSS =
            (c, o) -> {
                long[] x = on(c);
                long r = round32(c, (int) x[o.b()], (int) o.imm());
                x[o.a()] = x[o.a()] & 0xffffffff00000000L | r;
            };

    private static final Action ROUNDSS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                long r = round32(c, c.read32(c.source(o, 4)), (int) o.imm());
                x[o.a()] = x[o.a()] & 0xffffffff00000000L | r;
            };

    private static final Action ROUNDSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.round64(c, x[o.b()], (int) o.imm());
            };

    private static final Action ROUNDSD_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = SseUnit.round64(c, c.read64(c.source(o, 8)), (int) o.imm());
            };

    private static final Wide DPPD =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                int n = (int) o.imm();
                SseUnit.begin(c);
                long p = (n & 0x10) != 0 ? SseArithmetic.multiply64(c, x[o.a()], low) : 0;
                long q = (n & 0x20) != 0 ? SseArithmetic.multiply64(c, x[o.a() + 1], high) : 0;
                SseUnit.between(c);
                long sum = SseArithmetic.add64(c, p, q);
                finish(c, o, (n & 1) != 0 ? sum : 0, (n & 2) != 0 ? sum : 0);
            };

    private static final Wide DPPS =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                int n = (int) o.imm();
                long l = x[o.a()];
                long h = x[o.a() + 1];
                SseUnit.begin(c);
                int p = (n & 0x10) != 0 ? product(c, l, low) : 0;
                int q = (n & 0x20) != 0 ? product(c, l >>> 32, low >>> 32) : 0;
                int r = (n & 0x40) != 0 ? product(c, h, high) : 0;
                int s = (n & 0x80) != 0 ? product(c, h >>> 32, high >>> 32) : 0;
                SseUnit.between(c);
                int first = SseArithmetic.add32(c, p, q);
                int second = SseArithmetic.add32(c, r, s);
                SseUnit.between(c);
                long sum = SseArithmetic.add32(c, first, second) & 0xffffffffL;
                finish(
                        c,
                        o,
                        ((n & 1) != 0 ? sum : 0) | ((n & 2) != 0 ? sum << 32 : 0),
                        ((n & 4) != 0 ? sum : 0) | ((n & 8) != 0 ? sum << 32 : 0));
            };

    private SseRounding() {}

    static void install(Decoder.Form[] three3a) {
        put(three3a, 0x08, P66, wideImmediate(SSE41, ROUNDPS));
        put(three3a, 0x09, P66, wideImmediate(SSE41, ROUNDPD));
        put(
                three3a,
                0x0a,
                P66,
                SseForms.xmmImmediate(needs(SSE41, ROUNDSS), needs(SSE41, ROUNDSS_MEMORY)));
        put(
                three3a,
                0x0b,
                P66,
                SseForms.xmmImmediate(needs(SSE41, ROUNDSD), needs(SSE41, ROUNDSD_MEMORY)));
        put(three3a, 0x40, P66, wideImmediate(SSE41, DPPS));
        put(three3a, 0x41, P66, wideImmediate(SSE41, DPPD));
    }

    private static int product(Cpu c, long a, long b) {
        return SseArithmetic.multiply32(c, (int) a, (int) b);
    }

    private static long round32(Cpu c, int bits, int how) {
        return SseUnit.round32(c, bits, how) & 0xffffffffL;
    }

    private static void finish(Cpu c, Op o, long low, long high) {
        SseUnit.end(c);
        c.xmm[o.a()] = low;
        c.xmm[o.a() + 1] = high;
    }
}
