package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PF2;
import static lockstep.x86.SseForms.PF3;
import static lockstep.x86.SseForms.alignedSource;
import static lockstep.x86.SseForms.alignedTarget;
import static lockstep.x86.SseForms.memoryOnly;
import static lockstep.x86.SseForms.mmx;
import static lockstep.x86.SseForms.mmxOn;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.write128;
import static lockstep.x86.SseForms.xmm;

import lockstep.x86.Op.Action;

/**
 * Moves between SSE and MMX registers, general registers and memory (Intel SDM volume 2, MOVAPS to
 * MOVUPS).
 */
final class SseMoves {
    private static final Action LOAD128 =
            (c, o) -> {
                long[] x = on(c);
                long la = c.source(o, 16);
                long low = c.read64(la);
                x[o.a() + 1] = c.read64(la + 8);
                x[o.a()] = low;
            };

    private static final Action LOAD128_ALIGNED =
            (c, o) -> {
                long[] x = on(c);
                long la = alignedSource(c, o);
                long low = c.read64(la);
                x[o.a() + 1] = c.read64(la + 8);
                x[o.a()] = low;
            };

    private static final Action STORE128 =
            (c, o) -> {
                long[] x = on(c);
                write128(c, c.target(o, 16), x[o.a()], x[o.a() + 1]);
            };

    private static final Action STORE128_ALIGNED =
            (c, o) -> {
                long[] x = on(c);
                long la = alignedTarget(c, o);
                c.write64(la, x[o.a()]);
                c.write64(la + 8, x[o.a() + 1]);
            };

    private static final Action COPY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = x[o.b()];
                x[o.a() + 1] = x[o.b() + 1];
            };

    private static final Action COPY_BACK =
            (c, o) -> {
                long[] x = on(c);
                x[o.b()] = x[o.a()];
                x[o.b() + 1] = x[o.a() + 1];
            };

    private static final Action LOAD32 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = c.read32(c.source(o, 4)) & 0xffffffffL;
                x[o.a() + 1] = 0;
            };

    private static final Action STORE32 =
            (c, o) -> {
                long[] x = on(c);
                c.write32(c.target(o, 4), (int) x[o.a()]);
            };

    private static final Action LOAD64 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = c.read64(c.source(o, 8));
                x[o.a() + 1] = 0;
            };

    private static final Action STORE64 =
            (c, o) -> {
                long[] x = on(c);
                c.write64(c.target(o, 8), x[o.a()]);
            };

    private static final Action MOVSS =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = x[o.a()] & 0xffffffff00000000L | x[o.b()] & 0xffffffffL;
            };

    private static final Action MOVSS_BACK =
            (c, o) -> {
                long[] x = on(c);
                x[o.b()] = x[o.b()] & 0xffffffff00000000L | x[o.a()] & 0xffffffffL;
            };

    private static final Action MOVSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = x[o.b()];
            };

    private static final Action MOVSD_BACK =
            (c, o) -> {
                long[] x = on(c);
                x[o.b()] = x[o.a()];
            };

    private static final Action LOAD_LOW =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = c.read64(c.source(o, 8));
            };

    private static final Action LOAD_HIGH =
            (c, o) -> {
                long[] x = on(c);
                x[o.a() + 1] = c.read64(c.source(o, 8));
            };

    private static final Action STORE_HIGH =
            (c, o) -> {
                long[] x = on(c);
                c.write64(c.target(o, 8), x[o.a() + 1]);
            };

    private static final Action MOVHLPS =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = x[o.b() + 1];
            };

    private static final Action MOVLHPS =
            (c, o) -> {
                long[] x = on(c);
                x[o.a() + 1] = x[o.b()];
            };

    private static final Action MOVQ =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = x[o.b()];
                x[o.a() + 1] = 0;
            };

    private static final Action MOVQ_BACK =
            (c, o) -> {
                long[] x = on(c);
                x[o.b()] = x[o.a()];
                x[o.b() + 1] = 0;
            };

    private static final Action FROM_GENERAL32 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = c.regs[o.b()] & 0xffffffffL;
                x[o.a() + 1] = 0;
            };

    private static final Action FROM_GENERAL64 =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = c.regs[o.b()];
                x[o.a() + 1] = 0;
            };

    private static final Action TO_GENERAL32 = (c, o) -> c.regs[o.b()] = on(c)[o.a()] & 0xffffffffL;

    private static final Action TO_GENERAL64 = (c, o) -> c.regs[o.b()] = on(c)[o.a()];

    private static final Action MOVMSKPS =
            (c, o) -> {
                long[] x = on(c);
                c.regs[o.a()] = signs32(x[o.b()]) | signs32(x[o.b() + 1]) << 2;
            };

    private static final Action MOVMSKPD =
            (c, o) -> {
                long[] x = on(c);
                c.regs[o.a()] = x[o.b()] >>> 63 | x[o.b() + 1] >>> 63 << 1;
            };

    private static final Action PMOVMSKB =
            (c, o) -> {
                long[] x = on(c);
                c.regs[o.a()] = Lanes.topBits8(x[o.b()]) | (long) Lanes.topBits8(x[o.b() + 1]) << 8;
            };

    private static final Action STORE_GENERAL32 =
            (c, o) -> c.write32(c.target(o, 4), (int) c.regs[o.a()]);

    private static final Action STORE_GENERAL64 =
            (c, o) -> c.write64(c.target(o, 8), c.regs[o.a()]);

    private static final Action MASKMOVDQU =
            (c, o) -> {
                long[] x = on(c);
                int mask = Lanes.topBits8(x[o.b()]) | Lanes.topBits8(x[o.b() + 1]) << 8;
                maskedStore(c, o, mask, x[o.a()], x[o.a() + 1]);
            };

    private static final Action MASKMOVQ =
            (c, o) -> {
                Fpu u = mmxOn(c);
                maskedStore(c, o, Lanes.topBits8(u.mantissa[o.b()]), u.mantissa[o.a()], 0);
                u.enterMmx();
            };

    // ---- MMX

    private static final Action MMX_COPY =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                u.mantissa[o.a()] = u.mantissa[o.b()];
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MMX_COPY_BACK =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                u.mantissa[o.b()] = u.mantissa[o.a()];
                u.exponent[o.b()] = 0xffff;
            };

    private static final Action MMX_LOAD =
            (c, o) -> {
                Fpu u = mmxOn(c);
                long v = c.read64(c.source(o, 8));
                u.enterMmx();
                u.mantissa[o.a()] = v;
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MMX_STORE =
            (c, o) -> {
                Fpu u = mmxOn(c);
                c.write64(c.target(o, 8), u.mantissa[o.a()]);
                u.enterMmx();
            };

    private static final Action MMX_LOAD32 =
            (c, o) -> {
                Fpu u = mmxOn(c);
                long v = c.read32(c.source(o, 4)) & 0xffffffffL;
                u.enterMmx();
                u.mantissa[o.a()] = v;
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MMX_STORE32 =
            (c, o) -> {
                Fpu u = mmxOn(c);
                c.write32(c.target(o, 4), (int) u.mantissa[o.a()]);
                u.enterMmx();
            };

    private static final Action MMX_FROM_GENERAL =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                u.mantissa[o.a()] = c.get(o.b(), o.size());
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MMX_TO_GENERAL =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                c.set(o.b(), o.size(), u.mantissa[o.a()]);
            };

    private static final Action MMX_PMOVMSKB =
            (c, o) -> {
                Fpu u = mmxOn(c);
                u.enterMmx();
                c.regs[o.a()] = Lanes.topBits8(u.mantissa[o.b()]);
            };

    private static final Action MOVDQ2Q =
            (c, o) -> {
                on(c);
                Fpu u = mmxOn(c);
                u.enterMmx();
                u.mantissa[o.a()] = c.xmm[o.b()];
                u.exponent[o.a()] = 0xffff;
            };

    private static final Action MOVQ2DQ =
            (c, o) -> {
                on(c);
                Fpu u = mmxOn(c);
                u.enterMmx();
                c.xmm[o.a()] = u.mantissa[o.b()];
                c.xmm[o.a() + 1] = 0;
            };

    private static final Action EMMS = (c, o) -> mmxOn(c).leaveMmx();

    private SseMoves() {}

    private static long signs32(long v) {
        return v >>> 31 & 1 | v >>> 63 << 1;
    }

    /** Stores the chosen bytes at DS:(E)DI, all or, where one cannot be written, none. */
    private static void maskedStore(Cpu c, Op o, int mask, long low, long high) {
        long at = c.offset(o);
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < 16; i++) {
                if ((mask & 1 << i) == 0) {
                    continue;
                }
                long la = c.linear(o.segment(), at + i, 1, true);
                if (pass == 0) {
                    c.checkWrite(la, 1);
                } else {
                    c.write8(la, (int) ((i < 8 ? low : high) >>> i * 8));
                }
            }
        }
    }

    /** The memory operand of MASKMOVQ and MASKMOVDQU: the data segment at RDI. */
    private static Decoder implied(Decoder d) {
        if (d.memoryOperand()) {
            throw d.none();
        }
        d.plain = false;
        d.base = Cpu.RDI;
        d.segment = d.override >= 0 ? d.override : Cpu.DS;
        if (d.long64() && d.segment < Cpu.FS) {
            d.segment = Cpu.NONE;
        }
        return d;
    }

    static void install(Decoder.Form[] two, Decoder.Form[] three38) {
        for (int prefix : new int[] {NP, P66}) {
            put(two, 0x10, prefix, xmm(COPY, LOAD128));
            put(two, 0x11, prefix, xmm(COPY_BACK, STORE128));
            put(two, 0x28, prefix, xmm(COPY, LOAD128_ALIGNED));
            put(two, 0x29, prefix, xmm(COPY_BACK, STORE128_ALIGNED));
            put(two, 0x2b, prefix, memoryOnly(STORE128_ALIGNED));
            put(two, 0x13, prefix, memoryOnly(STORE64));
            put(two, 0x16, prefix, memoryOnly(LOAD_HIGH));
            put(two, 0x17, prefix, memoryOnly(STORE_HIGH));
        }
        put(two, 0x10, PF3, xmm(MOVSS, LOAD32));
        put(two, 0x11, PF3, xmm(MOVSS_BACK, STORE32));
        put(two, 0x10, PF2, xmm(MOVSD, LOAD64));
        put(two, 0x11, PF2, xmm(MOVSD_BACK, STORE64));
        put(two, 0x12, NP, xmm(MOVHLPS, LOAD_LOW));
        put(two, 0x12, P66, memoryOnly(LOAD_LOW));
        put(two, 0x16, NP, xmm(MOVLHPS, LOAD_HIGH));
        put(two, 0x6f, P66, xmm(COPY, LOAD128_ALIGNED));
        put(two, 0x6f, PF3, xmm(COPY, LOAD128));
        put(two, 0x7f, P66, xmm(COPY_BACK, STORE128_ALIGNED));
        put(two, 0x7f, PF3, xmm(COPY_BACK, STORE128));
        put(two, 0xe7, P66, memoryOnly(STORE128_ALIGNED));
        put(two, 0x7e, PF3, xmm(MOVQ, LOAD64));
        put(two, 0xd6, P66, xmm(MOVQ_BACK, STORE64));
        put(two, 0xf0, PF2, memoryOnly(needs(SseForms.SSE3, LOAD128)));
        put(three38, 0x2a, P66, memoryOnly(needs(SseForms.SSE41, LOAD128_ALIGNED)));
        general(two);
        multimedia(two);
    }

    private static void general(Decoder.Form[] two) {
        put(
                two,
                0x6e,
                P66,
                d -> {
                    SseForms.xmmGeneral(d);
                    boolean wide = (d.rex & 8) != 0;
                    return d.op(
                            d.memoryOperand()
                                    ? wide ? LOAD64 : LOAD32
                                    : wide ? FROM_GENERAL64 : FROM_GENERAL32);
                });
        put(
                two,
                0x7e,
                P66,
                d -> {
                    SseForms.xmmGeneral(d);
                    boolean wide = (d.rex & 8) != 0;
                    return d.op(
                            d.memoryOperand()
                                    ? wide ? STORE64 : STORE32
                                    : wide ? TO_GENERAL64 : TO_GENERAL32);
                });
        put(two, 0x50, NP, d -> mask(d, MOVMSKPS));
        put(two, 0x50, P66, d -> mask(d, MOVMSKPD));
        put(two, 0xd7, P66, d -> mask(d, PMOVMSKB));
        put(
                two,
                0xc3,
                NP,
                d -> {
                    if (!d.modrm().memoryOperand()) {
                        throw d.none();
                    }
                    return d.op((d.rex & 8) != 0 ? STORE_GENERAL64 : STORE_GENERAL32);
                });
        put(two, 0xf7, P66, d -> implied(xmm(d)).op(MASKMOVDQU));
    }

    private static Op mask(Decoder d, Action action) {
        if (SseForms.generalXmm(d).memoryOperand()) {
            throw d.none();
        }
        return d.op(action);
    }

    private static void multimedia(Decoder.Form[] two) {
        put(two, 0x6f, NP, mmx(MMX_COPY, MMX_LOAD));
        put(two, 0x7f, NP, mmx(MMX_COPY_BACK, MMX_STORE));
        put(
                two,
                0xe7,
                NP,
                d -> {
                    if (!mmx(d).memoryOperand()) {
                        throw d.none();
                    }
                    return d.op(MMX_STORE);
                });
        put(two, 0x6e, NP, d -> multimediaGeneral(d, MMX_FROM_GENERAL, MMX_LOAD32, MMX_LOAD));
        put(two, 0x7e, NP, d -> multimediaGeneral(d, MMX_TO_GENERAL, MMX_STORE32, MMX_STORE));
        put(
                two,
                0xd7,
                NP,
                d -> {
                    d.modrm();
                    d.b = d.rm & 7;
                    if (d.memoryOperand()) {
                        throw d.none();
                    }
                    return d.op(MMX_PMOVMSKB);
                });
        put(two, 0xf7, NP, d -> implied(mmx(d)).op(MASKMOVQ));
        put(
                two,
                0xd6,
                PF2,
                d -> {
                    if (mmx(d).memoryOperand()) {
                        throw d.none();
                    }
                    d.b = d.rm << 1;
                    return d.op(MOVDQ2Q);
                });
        put(
                two,
                0xd6,
                PF3,
                d -> {
                    if (mmx(d).memoryOperand()) {
                        throw d.none();
                    }
                    d.a = d.reg << 1;
                    return d.op(MOVQ2DQ);
                });
        put(two, 0x77, NP, d -> d.op(EMMS));
    }

    private static Op multimediaGeneral(Decoder d, Action general, Action narrow, Action wide) {
        d.modrm();
        d.a = d.reg & 7;
        d.size = (d.rex & 8) != 0 ? 8 : 4;
        return d.op(!d.memoryOperand() ? general : d.size == 8 ? wide : narrow);
    }
}
