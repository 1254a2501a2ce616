package lockstep.x86;

import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.SSE42;
import static lockstep.x86.SseForms.needs;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;

import lockstep.x86.Op.Action;
import lockstep.x86.SseForms.Wide;

/** The string comparisons of SSE4.2, PCMPESTRI to PCMPISTRM (Intel SDM volume 2, section 4.1). */
final class SseText {
    private static final int WORDS = 1;
    private static final int SIGNED = 2;
    private static final int NEGATIVE = 0x10;
    private static final int MASKED = 0x20;
    private static final int OUTPUT = 0x40;

    private SseText() {}

    static void install(Decoder.Form[] three3a) {
        string(three3a, 0x60, true, true);
        string(three3a, 0x61, true, false);
        string(three3a, 0x62, false, true);
        string(three3a, 0x63, false, false);
    }

    private static void string(Decoder.Form[] three3a, int opcode, boolean explicit, boolean mask) {
        Wide w = (c, o, low, high) -> compare(c, o, low, high, explicit, mask);
        Action register = needs(SSE42, SseForms.fromRegister(w));
        // The memory operand need not be aligned.
        Action memory =
                needs(
                        SSE42,
                        (c, o) -> {
                            on(c);
                            long la = c.source(o, 16);
                            long low = c.read64(la);
                            w.run(c, o, low, c.read64(la + 8));
                        });
        put(
                three3a,
                opcode,
                P66,
                d -> {
                    SseForms.xmm(d).immediate8();
                    // The size of the explicit lengths.
                    d.size = (d.rex & 8) != 0 ? 8 : 4;
                    return d.op(d.memoryOperand() ? memory : register);
                });
    }

    private static int lane(long low, long high, int i, int control) {
        if ((control & WORDS) != 0) {
            long v = (i < 4 ? low : high) >>> (i & 3) * 16;
            return (control & SIGNED) != 0 ? (short) v : (int) v & 0xffff;
        }
        long v = (i < 8 ? low : high) >>> (i & 7) * 8;
        return (control & SIGNED) != 0 ? (byte) v : (int) v & 0xff;
    }

    private static int explicitLength(Cpu c, Op o, int register, int most) {
        long v = o.size() == 8 ? c.regs[register] : (int) c.regs[register];
        long length = v == Long.MIN_VALUE ? Long.MAX_VALUE : Math.abs(v);
        return (int) Math.min(length, most);
    }

    private static int implicitLength(long low, long high, int most, int control) {
        for (int i = 0; i < most; i++) {
            if (lane(low, high, i, control) == 0) {
                return i;
            }
        }
        return most;
    }

    private static void compare(Cpu c, Op o, long low, long high, boolean explicit, boolean mask) {
        int control = (int) o.imm();
        int most = (control & WORDS) != 0 ? 8 : 16;
        long[] x = c.xmm;
        long l = x[o.a()];
        long h = x[o.a() + 1];
        int first =
                explicit
                        ? explicitLength(c, o, Cpu.RAX, most)
                        : implicitLength(l, h, most, control);
        int second =
                explicit
                        ? explicitLength(c, o, Cpu.RDX, most)
                        : implicitLength(low, high, most, control);
        int result = aggregate(l, h, first, low, high, second, most, control);
        if ((control & NEGATIVE) != 0) {
            result ^= (control & MASKED) != 0 ? (1 << second) - 1 : (1 << most) - 1;
        }
        if (mask) {
            expand(x, result, most, control);
        } else if (result == 0) {
            c.regs[Cpu.RCX] = most;
        } else {
            c.regs[Cpu.RCX] =
                    (control & OUTPUT) != 0
                            ? 31 - Integer.numberOfLeadingZeros(result)
                            : Integer.numberOfTrailingZeros(result);
        }
        c.setArithmeticFlags(
                (result != 0 ? Cpu.CF : 0)
                        | (second < most ? Cpu.ZF : 0)
                        | (first < most ? Cpu.SF : 0)
                        | ((result & 1) != 0 ? Cpu.OF : 0));
    }

    private static void expand(long[] x, int result, int most, int control) {
        if ((control & OUTPUT) == 0) {
            x[0] = result;
            x[1] = 0;
            return;
        }
        int bits = 128 / most;
        long unit = (1L << bits) - 1;
        x[0] = 0;
        x[1] = 0;
        for (int i = 0; i < most; i++) {
            if ((result >> i & 1) != 0) {
                x[i * bits >> 6] |= unit << (i * bits & 63);
            }
        }
    }

    /** The comparison's result before its polarity: a bit for each lane of the second operand. */
    private static int aggregate(
            long l, long h, int first, long low, long high, int second, int most, int control) {
        int result = 0;
        for (int j = 0; j < most; j++) {
            boolean yes =
                    switch (control >> 2 & 3) {
                        case 0 ->
                                j < second
                                        && any(l, h, first, lane(low, high, j, control), control);
                        case 1 ->
                                j < second
                                        && ranges(
                                                l, h, first, lane(low, high, j, control), control);
                        case 2 ->
                                j < first && j < second
                                        ? lane(l, h, j, control) == lane(low, high, j, control)
                                        : j >= first && j >= second;
                        default -> ordered(l, h, first, low, high, second, most, control, j);
                    };
            result |= yes ? 1 << j : 0;
        }
        return result;
    }

    private static boolean any(long l, long h, int first, int v, int control) {
        for (int i = 0; i < first; i++) {
            if (lane(l, h, i, control) == v) {
                return true;
            }
        }
        return false;
    }

    private static boolean ranges(long l, long h, int first, int v, int control) {
        for (int i = 0; i + 1 < first; i += 2) {
            if (lane(l, h, i, control) <= v && v <= lane(l, h, i + 1, control)) {
                return true;
            }
        }
        return false;
    }

    /** Whether the first string, or what of it fits, is in the second from {@code j} on. */
    private static boolean ordered(
            long l,
            long h,
            int first,
            long low,
            long high,
            int second,
            int most,
            int control,
            int j) {
        for (int i = 0; i < first && j + i < most; i++) {
            if (j + i >= second || lane(l, h, i, control) != lane(low, high, j + i, control)) {
                return false;
            }
        }
        return true;
    }
}
