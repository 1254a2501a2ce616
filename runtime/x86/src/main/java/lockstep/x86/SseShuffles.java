package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PF2;
import static lockstep.x86.SseForms.PF3;
import static lockstep.x86.SseForms.SSE3;
import static lockstep.x86.SseForms.SSSE3;
import static lockstep.x86.SseForms.mmxOn;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wide;
import static lockstep.x86.SseForms.wideImmediate;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/**
 * Instructions that move lanes to other places: packing, interleaving, shuffles, word inserts and
 * extracts.
 */
final class SseShuffles {
    private static final Action PSHUFD =
            (c, o) -> {
                long[] x = on(c);
                long low = x[o.b()];
                long high = x[o.b() + 1];
                int order = (int) o.imm();
                x[o.a()] = pair(low, high, order);
                x[o.a() + 1] = pair(low, high, order >> 4);
            };

    private static final Wide PSHUFD_WIDE =
            (c, o, low, high) -> {
                int order = (int) o.imm();
                c.xmm[o.a()] = pair(low, high, order);
                c.xmm[o.a() + 1] = pair(low, high, order >> 4);
            };

    private static final Action PUNPCKLBW =
            (c, o) -> {
                long[] x = on(c);
                long a = x[o.a()];
                long b = x[o.b()];
                x[o.a()] = Lanes.interleaveLow8(a, b);
                x[o.a() + 1] = Lanes.interleaveHigh8(a, b);
            };

    private static final Action PUNPCKLWD =
            (c, o) -> {
                long[] x = on(c);
                long a = x[o.a()];
                long b = x[o.b()];
                x[o.a()] = Lanes.interleaveLow16(a, b);
                x[o.a() + 1] = Lanes.interleaveHigh16(a, b);
            };

    private static final Action PUNPCKLDQ =
            (c, o) -> {
                long[] x = on(c);
                long a = x[o.a()];
                long b = x[o.b()];
                x[o.a()] = Lanes.interleaveLow32(a, b);
                x[o.a() + 1] = Lanes.interleaveHigh32(a, b);
            };

    private static final Action PUNPCKLQDQ =
            (c, o) -> {
                long[] x = on(c);
                x[o.a() + 1] = x[o.b()];
            };

    private static final Wide UNPCKLPD = (c, o, low, high) -> c.xmm[o.a() + 1] = low;

    private static final Wide UNPCKHPD =
            (c, o, low, high) -> {
                c.xmm[o.a()] = c.xmm[o.a() + 1];
                c.xmm[o.a() + 1] = high;
            };

    private static final Wide SHUFPS =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                int order = (int) o.imm();
                x[o.a()] = pair(x[o.a()], x[o.a() + 1], order);
                x[o.a() + 1] = pair(low, high, order >> 4);
            };

    private static final Wide SHUFPD =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                x[o.a()] = (o.imm() & 1) != 0 ? x[o.a() + 1] : x[o.a()];
                x[o.a() + 1] = (o.imm() & 2) != 0 ? high : low;
            };

    private static final Wide PSHUFLW =
            (c, o, low, high) -> {
                c.xmm[o.a()] = Lanes.shuffle16(low, (int) o.imm());
                c.xmm[o.a() + 1] = high;
            };

    private static final Wide PSHUFHW =
            (c, o, low, high) -> {
                c.xmm[o.a()] = low;
                c.xmm[o.a() + 1] = Lanes.shuffle16(high, (int) o.imm());
            };

    private static final Wide PSHUFB =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                long l = x[o.a()];
                long h = x[o.a() + 1];
                x[o.a()] = pickBytes(l, h, low, 15);
                x[o.a() + 1] = pickBytes(l, h, high, 15);
            };

    private static final Wide PALIGNR =
            (c, o, low, high) -> {
                long[] x = c.xmm;
                int n = (int) o.imm() & 0xff;
                long l = x[o.a()];
                long h = x[o.a() + 1];
                x[o.a()] = window(low, high, l, h, n);
                x[o.a() + 1] = window(low, high, l, h, n + 8);
            };

    private static final Wide MOVDDUP =
            (c, o, low, high) -> {
                c.xmm[o.a()] = low;
                c.xmm[o.a() + 1] = low;
            };

    private static final Action MOVDDUP_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                long v = c.read64(c.source(o, 8));
                x[o.a()] = v;
                x[o.a() + 1] = v;
            };

    private static final Wide MOVSLDUP =
            (c, o, low, high) -> {
                c.xmm[o.a()] = Lanes.interleaveLow32(low, low);
                c.xmm[o.a() + 1] = Lanes.interleaveLow32(high, high);
            };

    private static final Wide MOVSHDUP =
            (c, o, low, high) -> {
                c.xmm[o.a()] = Lanes.interleaveHigh32(low, low);
                c.xmm[o.a() + 1] = Lanes.interleaveHigh32(high, high);
            };

    // ---- words to and from general registers

    private static final Action PINSRW = (c, o) -> insertWord(on(c), o, c.regs[o.b()]);

    private static final Action PINSRW_MEMORY =
            (c, o) -> insertWord(on(c), o, c.read16(c.source(o, 2)));

    private static final Action PEXTRW =
            (c, o) -> {
                long[] x = on(c);
                int n = (int) o.imm() & 7;
                c.regs[o.a()] = x[o.b() + (n >> 2)] >>> (n & 3) * 16 & 0xffff;
            };

    private static final Action MMX_PINSRW = (c, o) -> insertWord(mmxOn(c), o, c.regs[o.b()]);

    private static final Action MMX_PINSRW_MEMORY =
            (c, o) -> {
                Fpu u = mmxOn(c);
                insertWord(u, o, c.read16(c.source(o, 2)));
            };

    private static final Action MMX_PEXTRW =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                c.regs[o.a()] = u.mantissa[o.b()] >>> ((int) o.imm() & 3) * 16 & 0xffff;
            };

    // ---- MMX with an immediate

    private static final Action PSHUFW =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                u.mantissa[o.a()] = Lanes.shuffle16(u.mantissa[o.b()], (int) o.imm());
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action PSHUFW_MEMORY =
            (c, o) -> {
                Fpu u = mmxOn(c);
                long v = c.read64(c.source(o, 8));
                u.enterMmx();
                u.mantissa[o.a()] = Lanes.shuffle16(v, (int) o.imm());
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MMX_PALIGNR =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                align(u, o, u.mantissa[o.b()]);
            };

    private static final Action MMX_PALIGNR_MEMORY =
            (c, o) -> {
                Fpu u = mmxOn(c);
                long v = c.read64(c.source(o, 8));
                u.enterMmx();
                align(u, o, v);
            };

    private SseShuffles() {}

    /** The double words of 128 bits that the low two pairs of bits of {@code order} choose. */
    private static long pair(long low, long high, int order) {
        long first = ((order & 2) == 0 ? low : high) >>> (order & 1) * 32 & 0xffffffffL;
        long second = ((order & 8) == 0 ? low : high) >>> (order & 4) * 8;
        return first | second << 32;
    }

    private static long pickBytes(long low, long high, long order, int most) {
        long r = 0;
        for (int i = 0; i < 64; i += 8) {
            int n = (int) (order >>> i);
            if ((n & 0x80) == 0) {
                n &= most;
                r |= ((n < 8 ? low : high) >>> (n & 7) * 8 & 0xff) << i;
            }
        }
        return r;
    }

    /** Eight bytes from byte {@code n} on of the 32 that four words make; zeros behind them. */
    private static long window(long w0, long w1, long w2, long w3, int n) {
        int word = n >> 3;
        int bits = (n & 7) * 8;
        long first = word(w0, w1, w2, w3, word);
        return bits == 0 ? first : first >>> bits | word(w0, w1, w2, w3, word + 1) << 64 - bits;
    }

    private static long word(long w0, long w1, long w2, long w3, int n) {
        return switch (n) {
            case 0 -> w0;
            case 1 -> w1;
            case 2 -> w2;
            case 3 -> w3;
            default -> 0;
        };
    }

    private static void align(Fpu u, Op o, long v) {
        u.mantissa[o.a()] = window(v, u.mantissa[o.a()], 0, 0, (int) o.imm() & 0xff);
        u.exponent[o.a()] = 0xffff;
    }

    private static void insertWord(long[] x, Op o, long v) {
        int n = (int) o.imm() & 7;
        int at = o.a() + (n >> 2);
        int shift = (n & 3) * 16;
        x[at] = x[at] & ~(0xffffL << shift) | (v & 0xffff) << shift;
    }

    private static void insertWord(Fpu u, Op o, long v) {
        u.enterMmx();
        int shift = ((int) o.imm() & 3) * 16;
        u.mantissa[o.a()] = u.mantissa[o.a()] & ~(0xffffL << shift) | (v & 0xffff) << shift;
        u.exponent[o.a()] = 0xffff;
    }

    static void install(Decoder.Form[] two, Decoder.Form[] three38, Decoder.Form[] three3a) {
        interleave(two);
        packing(two);
        for (int prefix : new int[] {NP, P66}) {
            put(two, 0xc6, prefix, wideImmediate(prefix == NP ? SHUFPS : SHUFPD));
            words(two, prefix);
        }
        put(two, 0x70, P66, SseForms.xmmImmediate(PSHUFD, SseForms.fromMemory(PSHUFD_WIDE)));
        put(two, 0x70, PF2, wideImmediate(PSHUFLW));
        put(two, 0x70, PF3, wideImmediate(PSHUFHW));
        put(two, 0x70, NP, SseForms.mmxImmediate(PSHUFW, PSHUFW_MEMORY));
        put(
                two,
                0x12,
                PF2,
                SseForms.xmm(
                        needs(SSE3, SseForms.fromRegister(MOVDDUP)), needs(SSE3, MOVDDUP_MEMORY)));
        put(two, 0x12, PF3, wide(SSE3, MOVSLDUP));
        put(two, 0x16, PF3, wide(SSE3, MOVSHDUP));
        put(three38, 0x00, P66, wide(SSSE3, PSHUFB));
        mmxSsse3(three38, 0x00, (a, b) -> pickBytes(a, a, b, 7));
        put(three3a, 0x0f, P66, wideImmediate(SSSE3, PALIGNR));
        put(
                three3a,
                0x0f,
                NP,
                SseForms.mmxImmediate(needs(SSSE3, MMX_PALIGNR), needs(SSSE3, MMX_PALIGNR_MEMORY)));
        horizontal(three38);
    }

    private static void interleave(Decoder.Form[] two) {
        low(two, 0x60, PUNPCKLBW, Lanes::interleaveLow8, Lanes::interleaveHigh8);
        low(two, 0x61, PUNPCKLWD, Lanes::interleaveLow16, Lanes::interleaveHigh16);
        low(two, 0x62, PUNPCKLDQ, Lanes::interleaveLow32, Lanes::interleaveHigh32);
        high(two, 0x68, Lanes::interleaveLow8, Lanes::interleaveHigh8);
        high(two, 0x69, Lanes::interleaveLow16, Lanes::interleaveHigh16);
        high(two, 0x6a, Lanes::interleaveLow32, Lanes::interleaveHigh32);
        put(two, 0x6c, P66, SseForms.xmm(PUNPCKLQDQ, SseForms.fromMemory(UNPCKLPD)));
        put(two, 0x6d, P66, wide(UNPCKHPD));
        put(two, 0x14, P66, wide(UNPCKLPD));
        put(two, 0x15, P66, wide(UNPCKHPD));
        put(two, 0x14, NP, wide(lower(Lanes::interleaveLow32, Lanes::interleaveHigh32)));
        put(two, 0x15, NP, wide(upper(Lanes::interleaveLow32, Lanes::interleaveHigh32)));
    }

    private static Wide lower(Lanes.Operation first, Lanes.Operation second) {
        return (c, o, low, high) -> {
            long a = c.xmm[o.a()];
            c.xmm[o.a()] = first.of(a, low);
            c.xmm[o.a() + 1] = second.of(a, low);
        };
    }

    private static Wide upper(Lanes.Operation first, Lanes.Operation second) {
        return (c, o, low, high) -> {
            long a = c.xmm[o.a() + 1];
            c.xmm[o.a()] = first.of(a, high);
            c.xmm[o.a() + 1] = second.of(a, high);
        };
    }

    private static void low(
            Decoder.Form[] two,
            int opcode,
            Action register,
            Lanes.Operation first,
            Lanes.Operation second) {
        put(two, opcode, P66, SseForms.xmm(register, SseForms.fromMemory(lower(first, second))));
        // The memory operand of the MMX form has 32 bits.
        put(
                two,
                opcode,
                NP,
                SseForms.mmx(
                        SseForms.mmxRegister(first),
                        (c, o) -> {
                            Fpu u = mmxOn(c);
                            long v = c.read32(c.source(o, 4));
                            u.enterMmx();
                            u.mantissa[o.a()] = first.of(u.mantissa[o.a()], v);
                            u.exponent[o.a()] = 0xffff;
                        }));
    }

    private static void high(
            Decoder.Form[] two, int opcode, Lanes.Operation first, Lanes.Operation second) {
        put(two, opcode, P66, wide(upper(first, second)));
        put(
                two,
                opcode,
                NP,
                SseForms.mmx(SseForms.mmxRegister(second), SseForms.mmxMemory(second)));
    }

    /** Makes of 64 bits 32. */
    @FunctionalInterface
    private interface Halving {
        long of(long v);
    }

    private static Wide together(Halving f) {
        return (c, o, low, high) -> {
            long[] x = c.xmm;
            x[o.a()] = f.of(x[o.a()]) | f.of(x[o.a() + 1]) << 32;
            x[o.a() + 1] = f.of(low) | f.of(high) << 32;
        };
    }

    private static void packing(Decoder.Form[] two) {
        pack(two, 0x63, Lanes::packSigned16);
        pack(two, 0x67, Lanes::packUnsigned16);
        pack(two, 0x6b, Lanes::packSigned32);
    }

    private static void pack(Decoder.Form[] two, int opcode, Halving f) {
        put(two, opcode, P66, wide(together(f)));
        Lanes.Operation both = (a, b) -> f.of(a) | f.of(b) << 32;
        put(two, opcode, NP, SseForms.mmx(SseForms.mmxRegister(both), SseForms.mmxMemory(both)));
    }

    /** PHADDW and its kin, PACKUSDW. */
    private static void horizontal(Decoder.Form[] three38) {
        Halving add32 = v -> v + (v >>> 32) & 0xffffffffL;
        Halving sub32 = v -> v - (v >>> 32) & 0xffffffffL;
        pairs(three38, 0x01, Lanes::addPairs16);
        pairs(three38, 0x02, add32);
        pairs(three38, 0x03, Lanes::addPairsSaturated16);
        pairs(three38, 0x05, Lanes::subtractPairs16);
        pairs(three38, 0x06, sub32);
        pairs(three38, 0x07, Lanes::subtractPairsSaturated16);
        put(three38, 0x2b, P66, wide(SseForms.SSE41, together(Lanes::packUnsigned32)));
    }

    private static void pairs(Decoder.Form[] three38, int opcode, Halving f) {
        put(three38, opcode, P66, wide(SSSE3, together(f)));
        mmxSsse3(three38, opcode, (a, b) -> f.of(a) | f.of(b) << 32);
    }

    private static void mmxSsse3(Decoder.Form[] table, int opcode, Lanes.Operation f) {
        put(
                table,
                opcode,
                NP,
                SseForms.mmx(
                        needs(SSSE3, SseForms.mmxRegister(f)),
                        needs(SSSE3, SseForms.mmxMemory(f))));
    }

    private static void words(Decoder.Form[] two, int prefix) {
        put(
                two,
                0xc4,
                prefix,
                d -> {
                    d.modrm().immediate8();
                    if (prefix == NP) {
                        d.a = d.reg & 7;
                        return d.op(d.memoryOperand() ? MMX_PINSRW_MEMORY : MMX_PINSRW);
                    }
                    d.a = d.reg << 1;
                    return d.op(d.memoryOperand() ? PINSRW_MEMORY : PINSRW);
                });
        put(
                two,
                0xc5,
                prefix,
                d -> {
                    if (d.modrm().memoryOperand()) {
                        throw d.none();
                    }
                    d.immediate8();
                    d.b = prefix == NP ? d.rm & 7 : d.rm << 1;
                    return d.op(prefix == NP ? MMX_PEXTRW : PEXTRW);
                });
    }
}
