package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.halvesMemory;
import static lockstep.x86.SseForms.halvesRegister;
import static lockstep.x86.SseForms.mmxMemory;
import static lockstep.x86.SseForms.mmxRegister;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;

import lockstep.x86.Op.Action;

/**
 * Integer arithmetic, logic and comparison on lanes: what {@link Lanes} does, in MMX and SSE
 * registers.
 */
final class SseInteger {
    // The most frequent ones have an action of their own, which a caller can inline.

    private static final Action PXOR =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] ^= x[b];
                x[a + 1] ^= x[b + 1];
            };

    private static final Action POR =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] |= x[b];
                x[a + 1] |= x[b + 1];
            };

    private static final Action PAND =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] &= x[b];
                x[a + 1] &= x[b + 1];
            };

    private static final Action PANDN =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = ~x[a] & x[b];
                x[a + 1] = ~x[a + 1] & x[b + 1];
            };

    private static final Action PCMPEQB =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.equal8(x[a], x[b]);
                x[a + 1] = Lanes.equal8(x[a + 1], x[b + 1]);
            };

    private static final Action PCMPEQB_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                long la = SseForms.alignedSource(c, o);
                long low = c.read64(la);
                long high = c.read64(la + 8);
                int a = o.a();
                x[a] = Lanes.equal8(x[a], low);
                x[a + 1] = Lanes.equal8(x[a + 1], high);
            };

    private static final Action PCMPEQD =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.equal32(x[a], x[b]);
                x[a + 1] = Lanes.equal32(x[a + 1], x[b + 1]);
            };

    private static final Action PMINUB =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.minUnsigned8(x[a], x[b]);
                x[a + 1] = Lanes.minUnsigned8(x[a + 1], x[b + 1]);
            };

    private static final Action PSUBB =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.sub8(x[a], x[b]);
                x[a + 1] = Lanes.sub8(x[a + 1], x[b + 1]);
            };

    private static final Action PADDB =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.add8(x[a], x[b]);
                x[a + 1] = Lanes.add8(x[a + 1], x[b + 1]);
            };

    private static final Action PADDW =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.add16(x[a], x[b]);
                x[a + 1] = Lanes.add16(x[a + 1], x[b + 1]);
            };

    private static final Action PADDD =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] = Lanes.add32(x[a], x[b]);
                x[a + 1] = Lanes.add32(x[a + 1], x[b + 1]);
            };

    private static final Action PADDQ =
            (c, o) -> {
                long[] x = on(c);
                int a = o.a();
                int b = o.b();
                x[a] += x[b];
                x[a + 1] += x[b + 1];
            };

    private SseInteger() {}

    static void install(Decoder.Form[] two, Decoder.Form[] three38) {
        both(two, 0x64, Lanes::greater8);
        both(two, 0x65, Lanes::greater16);
        both(two, 0x66, Lanes::greater32);
        both(two, 0x74, Lanes::equal8);
        both(two, 0x75, Lanes::equal16);
        both(two, 0x76, Lanes::equal32);
        both(two, 0xd4, (a, b) -> a + b);
        both(two, 0xd5, Lanes::multiplyLow16);
        both(two, 0xd8, Lanes::subUnsignedSaturated8);
        both(two, 0xd9, Lanes::subUnsignedSaturated16);
        both(two, 0xda, Lanes::minUnsigned8);
        both(two, 0xdb, (a, b) -> a & b);
        both(two, 0xdc, Lanes::addUnsignedSaturated8);
        both(two, 0xdd, Lanes::addUnsignedSaturated16);
        both(two, 0xde, Lanes::maxUnsigned8);
        both(two, 0xdf, (a, b) -> ~a & b);
        both(two, 0xe0, Lanes::average8);
        both(two, 0xe3, Lanes::average16);
        both(two, 0xe4, Lanes::multiplyHighUnsigned16);
        both(two, 0xe5, Lanes::multiplyHigh16);
        both(two, 0xe8, Lanes::subSaturated8);
        both(two, 0xe9, Lanes::subSaturated16);
        both(two, 0xea, Lanes::minSigned16);
        both(two, 0xeb, (a, b) -> a | b);
        both(two, 0xec, Lanes::addSaturated8);
        both(two, 0xed, Lanes::addSaturated16);
        both(two, 0xee, Lanes::maxSigned16);
        both(two, 0xef, (a, b) -> a ^ b);
        both(two, 0xf4, Lanes::multiplyUnsigned32);
        both(two, 0xf5, Lanes::multiplyAdd16);
        both(two, 0xf6, Lanes::sumOfDifferences);
        both(two, 0xf8, Lanes::sub8);
        both(two, 0xf9, Lanes::sub16);
        both(two, 0xfa, Lanes::sub32);
        both(two, 0xfb, (a, b) -> a - b);
        both(two, 0xfc, Lanes::add8);
        both(two, 0xfd, Lanes::add16);
        both(two, 0xfe, Lanes::add32);
        frequent(two);
        logic(two);
        supplemental(three38);
    }

    private static void frequent(Decoder.Form[] two) {
        direct(two, 0x74, PCMPEQB, PCMPEQB_MEMORY);
        direct(two, 0x76, PCMPEQD, halvesMemory(Lanes::equal32));
        direct(two, 0xd4, PADDQ, halvesMemory((a, b) -> a + b));
        direct(two, 0xda, PMINUB, halvesMemory(Lanes::minUnsigned8));
        direct(two, 0xdb, PAND, halvesMemory((a, b) -> a & b));
        direct(two, 0xdf, PANDN, halvesMemory((a, b) -> ~a & b));
        direct(two, 0xeb, POR, halvesMemory((a, b) -> a | b));
        direct(two, 0xef, PXOR, halvesMemory((a, b) -> a ^ b));
        direct(two, 0xf8, PSUBB, halvesMemory(Lanes::sub8));
        direct(two, 0xfc, PADDB, halvesMemory(Lanes::add8));
        direct(two, 0xfd, PADDW, halvesMemory(Lanes::add16));
        direct(two, 0xfe, PADDD, halvesMemory(Lanes::add32));
    }

    /** ANDPS to XORPD differ from the integer ones in nothing that can be seen. */
    private static void logic(Decoder.Form[] two) {
        for (int prefix : new int[] {NP, P66}) {
            put(two, 0x54, prefix, SseForms.xmm(PAND, halvesMemory((a, b) -> a & b)));
            put(two, 0x55, prefix, SseForms.xmm(PANDN, halvesMemory((a, b) -> ~a & b)));
            put(two, 0x56, prefix, SseForms.xmm(POR, halvesMemory((a, b) -> a | b)));
            put(two, 0x57, prefix, SseForms.xmm(PXOR, halvesMemory((a, b) -> a ^ b)));
        }
    }

    private static void supplemental(Decoder.Form[] three38) {
        bothSsse3(three38, 0x04, Lanes::multiplyAddMixed8);
        bothSsse3(three38, 0x08, Lanes::sign8);
        bothSsse3(three38, 0x09, Lanes::sign16);
        bothSsse3(three38, 0x0a, Lanes::sign32);
        bothSsse3(three38, 0x0b, Lanes::multiplyRounded16);
        bothSsse3(three38, 0x1c, Lanes::absolute8);
        bothSsse3(three38, 0x1d, Lanes::absolute16);
        bothSsse3(three38, 0x1e, Lanes::absolute32);
        wide(three38, 0x28, SseForms.SSE41, Lanes::multiplySigned32);
        wide(three38, 0x29, SseForms.SSE41, Lanes::equal64);
        wide(three38, 0x37, SseForms.SSE42, Lanes::greater64);
        wide(three38, 0x38, SseForms.SSE41, Lanes::minSigned8);
        wide(three38, 0x39, SseForms.SSE41, Lanes::minSigned32);
        wide(three38, 0x3a, SseForms.SSE41, Lanes::minUnsigned16);
        wide(three38, 0x3b, SseForms.SSE41, Lanes::minUnsigned32);
        wide(three38, 0x3c, SseForms.SSE41, Lanes::maxSigned8);
        wide(three38, 0x3d, SseForms.SSE41, Lanes::maxSigned32);
        wide(three38, 0x3e, SseForms.SSE41, Lanes::maxUnsigned16);
        wide(three38, 0x3f, SseForms.SSE41, Lanes::maxUnsigned32);
        wide(three38, 0x40, SseForms.SSE41, Lanes::multiplyLow32);
    }

    private static void both(Decoder.Form[] table, int opcode, Lanes.Operation f) {
        put(table, opcode, NP, SseForms.mmx(mmxRegister(f), mmxMemory(f)));
        put(table, opcode, P66, SseForms.xmm(halvesRegister(f), halvesMemory(f)));
    }

    private static void direct(Decoder.Form[] table, int opcode, Action register, Action memory) {
        put(table, opcode, P66, SseForms.xmm(register, memory));
    }

    private static void bothSsse3(Decoder.Form[] table, int opcode, Lanes.Operation f) {
        put(
                table,
                opcode,
                NP,
                SseForms.mmx(
                        needs(SseForms.SSSE3, mmxRegister(f)),
                        needs(SseForms.SSSE3, mmxMemory(f))));
        wide(table, opcode, SseForms.SSSE3, f);
    }

    private static void wide(Decoder.Form[] table, int opcode, int feature, Lanes.Operation f) {
        put(
                table,
                opcode,
                P66,
                SseForms.xmm(needs(feature, halvesRegister(f)), needs(feature, halvesMemory(f))));
    }
}
