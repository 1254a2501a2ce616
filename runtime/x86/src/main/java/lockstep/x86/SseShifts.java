package lockstep.x86;

import static lockstep.x86.SseForms.NP;
import static lockstep.x86.SseForms.P66;
import static lockstep.x86.SseForms.mmxOn;
import static lockstep.x86.SseForms.on;
import static lockstep.x86.SseForms.put;

import lockstep.x86.Op.Action;

import org.jspecify.annotations.Nullable;

/**
 * Shifts of lanes, by a register or memory and by an immediate count (Intel SDM volume 2, PSLLW to
 * PSRLDQ).
 */
final class SseShifts {
    private static final Action PSRLDQ =
            (c, o) -> {
                long[] x = on(c);
                int n = (int) o.imm() & 0xff;
                int b = o.b();
                if (n >= 16) {
                    x[b] = 0;
                    x[b + 1] = 0;
                } else if (n >= 8) {
                    x[b] = x[b + 1] >>> (n - 8) * 8;
                    x[b + 1] = 0;
                } else if (n > 0) {
                    x[b] = x[b] >>> n * 8 | x[b + 1] << 64 - n * 8;
                    x[b + 1] >>>= n * 8;
                }
            };

    private static final Action PSLLDQ =
            (c, o) -> {
                long[] x = on(c);
                int n = (int) o.imm() & 0xff;
                int b = o.b();
                if (n >= 16) {
                    x[b] = 0;
                    x[b + 1] = 0;
                } else if (n >= 8) {
                    x[b + 1] = x[b] << (n - 8) * 8;
                    x[b] = 0;
                } else if (n > 0) {
                    x[b + 1] = x[b + 1] << n * 8 | x[b] >>> 64 - n * 8;
                    x[b] <<= n * 8;
                }
            };

    private SseShifts() {}

    static void install(Decoder.Form[] two) {
        byOperand(two, 0xd1, Lanes::shiftRight16);
        byOperand(two, 0xd2, Lanes::shiftRight32);
        byOperand(two, 0xd3, Lanes::shiftRight64);
        byOperand(two, 0xe1, Lanes::shiftArithmetic16);
        byOperand(two, 0xe2, Lanes::shiftArithmetic32);
        byOperand(two, 0xf1, Lanes::shiftLeft16);
        byOperand(two, 0xf2, Lanes::shiftLeft32);
        byOperand(two, 0xf3, Lanes::shiftLeft64);
        byImmediate(two, 0x71, Lanes::shiftRight16, Lanes::shiftArithmetic16, Lanes::shiftLeft16);
        byImmediate(two, 0x72, Lanes::shiftRight32, Lanes::shiftArithmetic32, Lanes::shiftLeft32);
        byImmediate(two, 0x73, Lanes::shiftRight64, null, Lanes::shiftLeft64);
    }

    private static void byOperand(Decoder.Form[] two, int opcode, Lanes.Operation f) {
        put(two, opcode, NP, SseForms.mmx(SseForms.mmxRegister(f), SseForms.mmxMemory(f)));
        put(
                two,
                opcode,
                P66,
                SseForms.wide(
                        (c, o, low, high) -> {
                            long[] x = c.xmm;
                            x[o.a()] = f.of(x[o.a()], low);
                            x[o.a() + 1] = f.of(x[o.a() + 1], low);
                        }));
    }

    private static void byImmediate(
            Decoder.Form[] two,
            int opcode,
            Lanes.Operation right,
            Lanes.@Nullable Operation arithmetic,
            Lanes.Operation left) {
        @Nullable Action[] wide = {
            null,
            null,
            immediate(right),
            opcode == 0x73 ? PSRLDQ : null,
            arithmetic == null ? null : immediate(arithmetic),
            null,
            immediate(left),
            opcode == 0x73 ? PSLLDQ : null
        };
        @Nullable Action[] narrow = {
            null,
            null,
            immediateMmx(right),
            null,
            arithmetic == null ? null : immediateMmx(arithmetic),
            null,
            immediateMmx(left),
            null
        };
        put(two, opcode, NP, d -> group(SseForms.mmx(d), narrow));
        put(two, opcode, P66, d -> group(SseForms.xmm(d), wide));
    }

    private static Op group(Decoder d, @Nullable Action[] actions) {
        Action action = actions[d.reg & 7];
        if (d.memoryOperand() || action == null) {
            throw d.none();
        }
        return d.immediate8().op(action);
    }

    private static Action immediate(Lanes.Operation f) {
        return (c, o) -> {
            long[] x = on(c);
            int b = o.b();
            long n = o.imm() & 0xff;
            x[b] = f.of(x[b], n);
            x[b + 1] = f.of(x[b + 1], n);
        };
    }

    private static Action immediateMmx(Lanes.Operation f) {
        return (c, o) -> {
            Fpu u = mmxOn(c);
            u.enterMmx();
            u.mantissa[o.b()] = f.of(u.mantissa[o.b()], o.imm() & 0xff);
            u.exponent[o.b()] = 0xffff;
        };
    }
}
