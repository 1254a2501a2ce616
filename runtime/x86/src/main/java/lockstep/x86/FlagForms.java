package lockstep.x86;

import lockstep.x86.Op.Action;

/** The instructions that change single flags, PUSHF and POPF. */
final class FlagForms {
    private FlagForms() {}

    static void install(Decoder.Form[] one) {
        one[0x9c] =
                d -> {
                    d.size64();
                    return d.op(PUSH_FLAGS);
                };
        one[0x9d] =
                d -> {
                    d.size64();
                    return d.last(POP_FLAGS);
                };
        one[0xf5] = d -> d.op(COMPLEMENT_CARRY);
        one[0xf8] = d -> d.op(CLEAR_CARRY);
        one[0xf9] = d -> d.op(SET_CARRY);
        one[0xfa] = d -> d.op(CLEAR_INTERRUPT);
        one[0xfb] =
                d ->
                        d.last(
                                (c, o) -> {
                                    interruptFlag(c);
                                    if ((c.eflags & Cpu.IF) == 0) {
                                        c.eflags |= Cpu.IF;
                                        c.shadow = true;
                                    }
                                });
        one[0xfc] = d -> d.op(CLEAR_DIRECTION);
        one[0xfd] = d -> d.op(SET_DIRECTION);
    }

    static final Action COMPLEMENT_CARRY = (c, o) -> c.setCarry(!c.carry());
    static final Action CLEAR_CARRY = (c, o) -> c.setCarry(false);
    static final Action SET_CARRY = (c, o) -> c.setCarry(true);
    static final Action CLEAR_DIRECTION = (c, o) -> c.eflags &= ~Cpu.DF;
    static final Action SET_DIRECTION = (c, o) -> c.eflags |= Cpu.DF;

    static final Action CLEAR_INTERRUPT =
            (c, o) -> {
                interruptFlag(c);
                c.eflags &= ~Cpu.IF;
            };

    private static void interruptFlag(Cpu c) {
        if (c.protectedMode() && (c.virtual8086() ? c.iopl() < 3 : c.cpl > c.iopl())) {
            throw c.gp(0);
        }
    }

    static final Action PUSH_FLAGS =
            (c, o) -> {
                if (c.virtual8086() && c.iopl() < 3) {
                    throw c.gp(0);
                }
                long f = c.flags() & ~(Cpu.VM | Cpu.RF);
                StackForms.push(c, o.size(), Alu.zeroExtend(f, o.size()));
            };

    private static final Action POP_FLAGS =
            (c, o) -> {
                boolean real = !c.protectedMode();
                if (c.virtual8086() && c.iopl() < 3) {
                    throw c.gp(0);
                }
                int f = (int) StackForms.top(c, o.size());
                StackForms.drop(c, o.size());
                boolean interrupts = real || (c.virtual8086() || c.cpl <= c.iopl());
                Interrupts.setFlags(
                        c, f & ~Cpu.RF, o.size(), real || c.cpl == 0, interrupts, true);
            };
}
