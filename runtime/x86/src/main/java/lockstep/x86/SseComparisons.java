package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.PF2;
import static lockstep.x86.SseForms.PF3;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;
import static lockstep.x86.SseForms.wideImmediate;
import static lockstep.x86.SseForms.xmm;
import static lockstep.x86.SseForms.xmmImmediate;

import lockstep.x86.Op.Action;

/**
 * Floating-point comparisons: to flags, COMISD and UCOMISD, and to masks, CMPPD (Intel SDM volume
 * 2).
 */
final class SseComparisons {
    private static final Action UCOMISD =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare64(c, x[o.a()], x[o.b()], false));
            };

    private static final Action UCOMISD_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare64(c, x[o.a()], c.read64(c.source(o, 8)), false));
            };

    private static final Action COMISD =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare64(c, x[o.a()], x[o.b()], true));
            };

    private static final Action COMISD_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare64(c, x[o.a()], c.read64(c.source(o, 8)), true));
            };

    private static final Action UCOMISS =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare32(c, (int) x[o.a()], (int) x[o.b()], false));
            };

    private static final Action UCOMISS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare32(c, (int) x[o.a()], c.read32(c.source(o, 4)), false));
            };

    private static final Action COMISS =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare32(c, (int) x[o.a()], (int) x[o.b()], true));
            };

    private static final Action COMISS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                flags(c, SseUnit.compare32(c, (int) x[o.a()], c.read32(c.source(o, 4)), true));
            };

    private static final Action CMPSD =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = mask64(c, o, x[o.a()], x[o.b()]);
            };

    private static final Action CMPSD_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                x[o.a()] = mask64(c, o, x[o.a()], c.read64(c.source(o, 8)));
            };

    private static final Action CMPSS =
            (c, o) -> {
                long[] x = on(c);
                long r = mask32(c, o, x[o.a()], x[o.b()]);
                x[o.a()] = x[o.a()] & 0xffffffff00000000L | r;
            };

    private static final Action CMPSS_MEMORY =
            (c, o) -> {
                long[] x = on(c);
                long r = mask32(c, o, x[o.a()], c.read32(c.source(o, 4)));
                x[o.a()] = x[o.a()] & 0xffffffff00000000L | r;
            };

    private SseComparisons() {}

    static void install(Decoder.Form[] two) {
        put(two, 0x2e, P66, xmm(UCOMISD, UCOMISD_MEMORY));
        put(two, 0x2f, P66, xmm(COMISD, COMISD_MEMORY));
        put(two, 0x2e, NP, xmm(UCOMISS, UCOMISS_MEMORY));
        put(two, 0x2f, NP, xmm(COMISS, COMISS_MEMORY));
        put(two, 0xc2, PF2, xmmImmediate(CMPSD, CMPSD_MEMORY));
        put(two, 0xc2, PF3, xmmImmediate(CMPSS, CMPSS_MEMORY));
        put(
                two,
                0xc2,
                P66,
                wideImmediate(
                        (c, o, low, high) -> {
                            long[] x = c.xmm;
                            SseUnit.begin(c);
                            long first = mask64(c, o, x[o.a()], low);
                            long second = mask64(c, o, x[o.a() + 1], high);
                            SseUnit.end(c);
                            x[o.a()] = first;
                            x[o.a() + 1] = second;
                        }));
        put(
                two,
                0xc2,
                NP,
                wideImmediate(
                        (c, o, low, high) -> {
                            long[] x = c.xmm;
                            long l = x[o.a()];
                            long h = x[o.a() + 1];
                            SseUnit.begin(c);
                            long first =
                                    mask32(c, o, l, low) | mask32(c, o, l >>> 32, low >>> 32) << 32;
                            long second =
                                    mask32(c, o, h, high)
                                            | mask32(c, o, h >>> 32, high >>> 32) << 32;
                            SseUnit.end(c);
                            x[o.a()] = first;
                            x[o.a() + 1] = second;
                        }));
    }

    /** Sets ZF, PF and CF from a comparison; OF, SF and AF become 0. */
    static void flags(Cpu c, int relation) {
        switch (relation) {
            case SseUnit.LESS -> c.setArithmeticFlags(Cpu.CF);
            case SseUnit.EQUAL -> c.setArithmeticFlags(Cpu.ZF);
            case SseUnit.GREATER -> c.setArithmeticFlags(0);
            default -> c.setArithmeticFlags(Cpu.ZF | Cpu.PF | Cpu.CF);
        }
    }

    private static boolean holds(int relation, int predicate) {
        boolean yes =
                switch (predicate & 3) {
                    case 0 -> relation == SseUnit.EQUAL;
                    case 1 -> relation == SseUnit.LESS;
                    case 2 -> relation == SseUnit.LESS || relation == SseUnit.EQUAL;
                    default -> relation == SseUnit.UNORDERED;
                };
        return yes != ((predicate & 4) != 0);
    }

    /** Of the predicates, less and less-or-equal and their opposites find a quiet NaN invalid. */
    private static boolean signalsQuiet(int predicate) {
        return (predicate & 3) == 1 || (predicate & 3) == 2;
    }

    private static long mask64(Cpu c, Op o, long a, long b) {
        int predicate = (int) o.imm() & 7;
        return holds(SseUnit.compare64(c, a, b, signalsQuiet(predicate)), predicate) ? -1 : 0;
    }

    private static long mask32(Cpu c, Op o, long a, long b) {
        int predicate = (int) o.imm() & 7;
        return holds(SseUnit.compare32(c, (int) a, (int) b, signalsQuiet(predicate)), predicate)
                ? 0xffffffffL
                : 0;
    }
}
