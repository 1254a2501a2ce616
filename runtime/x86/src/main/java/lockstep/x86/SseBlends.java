package lockstep.x86;

import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.SSE41;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wide;
import static lockstep.x86.SseForms.wideImmediate;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/**
 * What SSE4.1 added on lanes: blends, inserts and extracts, widening moves, PTEST, MPSADBW,
 * PHMINPOSUW.
 */
final class SseBlends {
    private static final Wide PBLENDVB =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                blend(x, o.a(), low, tops(x[0], 8));
                blend(x, o.a() + 1, high, tops(x[1], 8));
            };

    private static final Wide BLENDVPS =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                blend(x, o.a(), low, tops(x[0], 32));
                blend(x, o.a() + 1, high, tops(x[1], 32));
            };

    private static final Wide BLENDVPD =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                // XMM0 may be the destination.
                long first = x[0] >> 63;
                long second = x[1] >> 63;
                blend(x, o.a(), low, first);
                blend(x, o.a() + 1, high, second);
            };

    private static final Wide BLENDPS =
            (c, o, low, high) -> {
                int n = (int) o.imm();
                blend(c.xmm, o.a(), low, chosen(n, 32));
                blend(c.xmm, o.a() + 1, high, chosen(n >> 2, 32));
            };

    private static final Wide BLENDPD =
            (c, o, low, high) -> {
                int n = (int) o.imm();
                blend(c.xmm, o.a(), low, -(n & 1L));
                blend(c.xmm, o.a() + 1, high, -(n >> 1 & 1L));
            };

    private static final Wide PBLENDW =
            (c, o, low, high) -> {
                int n = (int) o.imm();
                blend(c.xmm, o.a(), low, chosen(n, 16));
                blend(c.xmm, o.a() + 1, high, chosen(n >> 4, 16));
            };

    private static final Wide PTEST =
            (c, o, low, high) -> {
                long l = c.xmm[o.a()];
                long h = c.xmm[o.a() + 1];
                int zero = (l & low | h & high) == 0 ? Cpu.ZF : 0;
                c.setArithmeticFlags(zero | ((~l & low | ~h & high) == 0 ? Cpu.CF : 0));
            };

    private static final Wide PHMINPOSUW =
            (c, o, low, high) -> {
                long least = 0x10000;
                int at = 0;
                for (int i = 0; i < 8; i++) {
                    long v = (i < 4 ? low : high) >>> (i & 3) * 16 & 0xffff;
                    if (v < least) {
                        least = v;
                        at = i;
                    }
                }
                c.xmm[o.a()] = least | (long) at << 16;
                c.xmm[o.a() + 1] = 0;
            };

    private static final Wide MPSADBW =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                int n = (int) o.imm();
                long l = x[o.a()];
                long h = x[o.a() + 1];
                long block = ((n & 2) == 0 ? low : high) >>> (n & 1) * 32 & 0xffffffffL;
                int first = (n & 4) == 0 ? 0 : 4;
                x[o.a()] = differences(l, h, first, block);
                x[o.a() + 1] = differences(l, h, first + 4, block);
            };

    // ---- inserts and extracts

    private static final Action PINSRB =
            (c, o) -> insert(on(c), o, (int) o.imm() & 15, 8, c.regs[o.b()]);

    private static final Action PINSRB_MEMORY =
            (c, o) -> insert(on(c), o, (int) o.imm() & 15, 8, c.read8(c.source(o, 1)));

    private static final Action PINSRD =
            (c, o) -> insert(on(c), o, (int) o.imm() & 3, 32, c.regs[o.b()]);

    private static final Action PINSRD_MEMORY =
            (c, o) -> insert(on(c), o, (int) o.imm() & 3, 32, c.read32(c.source(o, 4)));

    private static final Action PINSRQ =
            (c, o) -> on(c)[o.a() + ((int) o.imm() & 1)] = c.regs[o.b()];

    private static final Action PINSRQ_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a() + ((int) o.imm() & 1)] = c.read64(c.source(o, 8));
            };

    /** The extracts of 1, 2, 4 and 8 bytes; size tells which, 4 also being EXTRACTPS. */
    private static final Action EXTRACT = (c, o) -> c.regs[o.b()] = extracted(on(c), o);

    private static final Action EXTRACT_MEMORY =
            (c, o) -> {
                long v = extracted(on(c), o);
                c.write(c.target(o, o.size()), o.size(), v);
            };

    private static final Action INSERTPS =
            (c, o) -> {
                long[] x = on(c);
                int n = (int) o.imm();
                insertSingle(x, o, x[o.b() + (n >> 7 & 1)] >>> (n >> 6 & 1) * 32);
            };

    private static final Action INSERTPS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                insertSingle(x, o, c.read32(c.source(o, 4)));
            };

    private SseBlends() {}

    private static void blend(long[] x, int at, long v, long mask) {
        x[at] ^= (x[at] ^ v) & mask;
    }

    /** All bits of the lanes whose top bit is set. */
    private static long tops(long v, int bits) {
        return bits == 8 ? Lanes.greater8(0, v) : Lanes.greater32(0, v);
    }

    private static long chosen(int lanes, int bits) {
        long mask = 0;
        for (int i = 0; i < 64; i += bits) {
            if ((lanes & 1 << i / bits) != 0) {
                mask |= (1L << bits) - 1 << i;
            }
        }
        return mask;
    }

    private static long differences(long low, long high, int first, long block) {
        long r = 0;
        for (int i = 0; i < 4; i++) {
            int at = (first + i) * 8;
            long four =
                    (at == 0 ? low : at < 64 ? low >>> at | high << 64 - at : high >>> at - 64)
                            & 0xffffffffL;
            r |= Lanes.sumOfDifferences(four, block) << i * 16;
        }
        return r;
    }

    private static void insert(long[] x, Op o, int lane, int bits, long v) {
        int at = o.a() + (lane * bits >> 6);
        int shift = lane * bits & 63;
        long mask = (1L << bits) - 1;
        x[at] = x[at] & ~(mask << shift) | (v & mask) << shift;
    }

    private static void insertSingle(long[] x, Op o, long v) {
        int n = (int) o.imm();
        insert(x, o, n >> 4 & 3, 32, v);
        x[o.a()] &= ~chosen(n, 32);
        x[o.a() + 1] &= ~chosen(n >> 2, 32);
    }

    private static long extracted(long[] x, Op o) {
        int bits = o.size() * 8;
        int lane = (int) o.imm() & 128 / bits - 1;
        long v = x[o.a() + (lane * bits >> 6)] >>> (lane * bits & 63);
        return bits == 64 ? v : v & (1L << bits) - 1;
    }

    static void install(Decoder.Form[] three38, Decoder.Form[] three3a) {
        put(three38, 0x10, P66, wide(SSE41, PBLENDVB));
        put(three38, 0x14, P66, wide(SSE41, BLENDVPS));
        put(three38, 0x15, P66, wide(SSE41, BLENDVPD));
        put(three38, 0x17, P66, wide(SSE41, PTEST));
        put(three38, 0x41, P66, wide(SSE41, PHMINPOSUW));
        put(three3a, 0x0c, P66, wideImmediate(SSE41, BLENDPS));
        put(three3a, 0x0d, P66, wideImmediate(SSE41, BLENDPD));
        put(three3a, 0x0e, P66, wideImmediate(SSE41, PBLENDW));
        put(three3a, 0x42, P66, wideImmediate(SSE41, MPSADBW));
        widening(three38, 0x20, 8, 16);
        widening(three38, 0x21, 8, 32);
        widening(three38, 0x22, 8, 64);
        widening(three38, 0x23, 16, 32);
        widening(three38, 0x24, 16, 64);
        widening(three38, 0x25, 32, 64);
        inserts(three3a);
        extracts(three3a);
    }

    /** PMOVSXBW and so on, and 16 opcodes further PMOVZXBW and so on. */
    private static void widening(Decoder.Form[] three38, int opcode, int from, int to) {
        for (int zero = 0; zero < 2; zero++) {
            boolean zeroes = zero == 1;
            int source = 128 * from / to / 8;
            Wide w =
                    (c, o, low, high) -> {
                        c.xmm[o.a() + 1] = widened(low >>> source * 4, from, to, zeroes);
                        c.xmm[o.a()] = widened(low, from, to, zeroes);
                    };
            Action memory =
                    (c, o) -> {
                        on(c);
                        w.run(c, o, c.read(c.source(o, source), source), 0);
                    };
            put(
                    three38,
                    opcode + zero * 16,
                    P66,
                    SseForms.xmm(needs(SSE41, SseForms.fromRegister(w)), needs(SSE41, memory)));
        }
    }

    private static long widened(long v, int from, int to, boolean zeroes) {
        long r = 0;
        long mask = to == 64 ? -1 : (1L << to) - 1;
        for (int i = 0; i < 64 / to; i++) {
            long lane = v << 64 - from - i * from;
            lane = zeroes ? lane >>> 64 - from : lane >> 64 - from;
            r |= (lane & mask) << i * to;
        }
        return r;
    }

    private static void inserts(Decoder.Form[] three3a) {
        Action byteRegister = needs(SSE41, PINSRB);
        Action byteMemory = needs(SSE41, PINSRB_MEMORY);
        put(three3a, 0x20, P66, d -> general(d).op(d.memoryOperand() ? byteMemory : byteRegister));
        put(
                three3a,
                0x21,
                P66,
                SseForms.xmmImmediate(needs(SSE41, INSERTPS), needs(SSE41, INSERTPS_MEMORY)));
        Action narrow = needs(SSE41, PINSRD);
        Action narrowMemory = needs(SSE41, PINSRD_MEMORY);
        Action wide = needs(SSE41, PINSRQ);
        Action wideMemory = needs(SSE41, PINSRQ_MEMORY);
        put(
                three3a,
                0x22,
                P66,
                d -> {
                    general(d);
                    return (d.rex & 8) != 0
                            ? d.op(d.memoryOperand() ? wideMemory : wide)
                            : d.op(d.memoryOperand() ? narrowMemory : narrow);
                });
    }

    private static Decoder general(Decoder d) {
        return SseForms.xmmGeneral(d).immediate8();
    }

    private static void extracts(Decoder.Form[] three3a) {
        Action register = needs(SSE41, EXTRACT);
        Action memory = needs(SSE41, EXTRACT_MEMORY);
        int[] sizes = {1, 2, 4, 4};
        for (int i = 0; i < 4; i++) {
            int opcode = 0x14 + i;
            put(
                    three3a,
                    opcode,
                    P66,
                    d -> {
                        general(d);
                        d.size = opcode == 0x16 && (d.rex & 8) != 0 ? 8 : sizes[opcode - 0x14];
                        return d.op(d.memoryOperand() ? memory : register);
                    });
        }
    }
}
