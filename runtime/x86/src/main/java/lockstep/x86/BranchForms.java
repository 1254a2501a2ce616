package lockstep.x86;

import lockstep.x86.Op.Action;

/** Jumps, calls, returns, loops, and software interrupts. */
final class BranchForms {
    private BranchForms() {}

    static void install(Decoder.Form[] one, Decoder.Form[] two) {
        for (int n = 0; n < 16; n++) {
            int condition = n;
            one[0x70 + n] =
                    d -> {
                        near(d);
                        d.imm = d.signed(1);
                        return conditional(d, condition);
                    };
            two[0x80 + n] =
                    d -> {
                        near(d);
                        d.imm = d.signed(d.size == 2 ? 2 : 4);
                        return conditional(d, condition);
                    };
        }
        one[0xeb] =
                d -> {
                    near(d);
                    d.imm = d.signed(1);
                    return jump(d);
                };
        one[0xe9] =
                d -> {
                    near(d);
                    d.imm = d.signed(d.size == 2 ? 2 : 4);
                    return jump(d);
                };
        one[0xe8] =
                d -> {
                    near(d);
                    d.imm = d.signed(d.size == 2 ? 2 : 4);
                    return d.calling().branch(d.size == 8 ? CALL_64 : CALL, false);
                };
        one[0xc3] = d -> returnNear(d, false);
        one[0xc2] = d -> returnNear(d, true);
        one[0xff] = BranchForms::group;
        for (int n = 0; n < 4; n++) {
            int kind = n;
            one[0xe0 + n] =
                    d -> {
                        near(d);
                        d.imm = d.signed(1);
                        d.a = kind;
                        return d.branch(LOOP, true);
                    };
        }
        one[0x9a] = d -> farImmediate(ArithmeticForms.legacy(d), true);
        one[0xea] = d -> farImmediate(ArithmeticForms.legacy(d), false);
        one[0xcb] = d -> d.last(RETURN_FAR);
        one[0xca] =
                d -> {
                    d.imm = d.unsigned(2);
                    return d.last(RETURN_FAR);
                };
        one[0xcc] =
                d -> {
                    d.imm = GuestFault.BP;
                    return d.last(SOFTWARE);
                };
        one[0xcd] =
                d -> {
                    d.imm = d.next();
                    d.a = 1;
                    return d.last(SOFTWARE);
                };
        one[0xf1] =
                d -> {
                    d.imm = GuestFault.DB;
                    return d.last(SOFTWARE);
                };
        one[0xce] =
                d ->
                        ArithmeticForms.legacy(d)
                                .last(
                                        (c, o) -> {
                                            if (c.overflow()) {
                                                Interrupts.deliver(
                                                        c,
                                                        GuestFault.OF,
                                                        GuestFault.NONE,
                                                        Interrupts.SOFTWARE,
                                                        c.rip);
                                            }
                                        });
        one[0xcf] = d -> d.last(RETURN_INTERRUPT);
    }

    /** Near branches have 64-bit operands in 64-bit mode, whatever the prefixes say. */
    private static void near(Decoder d) {
        if (d.long64()) {
            d.size = 8;
        }
    }

    private static Op conditional(Decoder d, int condition) {
        d.a = condition;
        if (!d.long64()) {
            return d.branch(JCC, true);
        }
        return d.branch(
                switch (condition) {
                    case 2 -> JB;
                    case 3 -> JAE;
                    case 4 -> JE;
                    case 5 -> JNE;
                    default -> JCC_64;
                },
                true);
    }

    private static long target(Cpu c, Op o) {
        return c.regs[Cpu.BLOCK] + o.end() + o.imm();
    }

    static final Action JB =
            (c, o) -> {
                if (c.carries < 0) {
                    go64(c, target(c, o));
                }
            };
    static final Action JAE =
            (c, o) -> {
                if (c.carries >= 0) {
                    go64(c, target(c, o));
                }
            };
    static final Action JE =
            (c, o) -> {
                if (c.result == 0) {
                    go64(c, target(c, o));
                }
            };
    static final Action JNE =
            (c, o) -> {
                if (c.result != 0) {
                    go64(c, target(c, o));
                }
            };
    static final Action JCC_64 =
            (c, o) -> {
                if (c.condition(o.a())) {
                    go64(c, target(c, o));
                }
            };
    private static final Action JCC =
            (c, o) -> {
                if (c.condition(o.a())) {
                    go(c, target(c, o), o.size());
                }
            };

    private static void go64(Cpu c, long to) {
        if (!Paging.canonical(to)) {
            throw c.gp(0);
        }
        c.rip = to;
    }

    /** Goes to an offset in the code segment. */
    private static void go(Cpu c, long to, int size) {
        if (c.codeSize == 64) {
            go64(c, to);
            return;
        }
        long offset = size == 2 ? to & 0xffff : to & 0xffffffffL;
        if (offset > c.limit[Cpu.CS]) {
            throw c.gp(0);
        }
        c.rip = offset;
    }

    private static Op jump(Decoder d) {
        return d.branch(d.long64() ? JMP_64 : JMP, false);
    }

    static final Action JMP_64 = (c, o) -> go64(c, target(c, o));
    private static final Action JMP = (c, o) -> go(c, target(c, o), o.size());

    static final Action CALL_64 =
            (c, o) -> {
                long to = target(c, o);
                if (!Paging.canonical(to)) {
                    throw c.gp(0);
                }
                long sp = c.regs[Cpu.RSP] - 8;
                c.write64(sp, c.rip);
                c.regs[Cpu.RSP] = sp;
                c.rip = to;
            };

    private static final Action CALL = (c, o) -> call(c, target(c, o), o.size());

    private static void call(Cpu c, long to, int size) {
        long next = c.rip;
        long sp = c.regs[Cpu.RSP];
        StackForms.push(c, size, size == 2 ? next & 0xffff : next);
        try {
            go(c, to, size);
        } catch (GuestFault f) {
            c.regs[Cpu.RSP] = sp;
            throw f;
        }
    }

    private static Op returnNear(Decoder d, boolean drops) {
        near(d);
        if (drops) {
            d.imm = d.unsigned(2);
        }
        return d.last(d.size == 8 && !drops ? RETURN_64 : RETURN);
    }

    static final Action RETURN_64 =
            (c, o) -> {
                long sp = c.regs[Cpu.RSP];
                go64(c, c.read64(sp));
                c.regs[Cpu.RSP] = sp + 8;
            };

    private static final Action RETURN =
            (c, o) -> {
                go(c, StackForms.top(c, o.size()), o.size());
                StackForms.drop(c, o.size() + (int) o.imm());
            };

    /** Opcode 0xff: INC, DEC, CALL, JMP, PUSH. */
    private static Op group(Decoder d) {
        d.modrm();
        switch (d.reg & 7) {
            case 0, 1 -> {
                return ArithmeticForms.step(d);
            }
            case 2 -> {
                near(d);
                return d.calling().last(CALL_RM);
            }
            case 4 -> {
                near(d);
                return d.last(JMP_RM);
            }
            case 3, 5 -> {
                if (!d.memoryOperand()) {
                    throw d.none();
                }
                d.a = d.reg & 7;
                return d.last(FAR_MEM);
            }
            case 6 -> {
                d.size64();
                return d.op(StackForms.PUSH_RM);
            }
            default -> throw d.none();
        }
    }

    static final Action CALL_RM = (c, o) -> call(c, c.operand(o), o.size());
    static final Action JMP_RM = (c, o) -> go(c, c.operand(o), o.size());

    private static final Action FAR_MEM =
            (c, o) -> {
                int size = o.size();
                long la = c.source(o, size + 2);
                long offset = c.read(la, size);
                int selector = c.read16(la + size);
                if (o.a() == 3) {
                    Segments.call(c, selector, offset, size, c.rip);
                } else {
                    Segments.jump(c, selector, offset, c.rip);
                }
            };

    private static Op farImmediate(Decoder d, boolean call) {
        d.imm = d.unsigned(d.size);
        d.b = (int) d.unsigned(2);
        return d.last(call ? CALL_FAR : JMP_FAR);
    }

    private static final Action CALL_FAR =
            (c, o) -> Segments.call(c, o.b(), o.imm(), o.size(), c.rip);
    private static final Action JMP_FAR = (c, o) -> Segments.jump(c, o.b(), o.imm(), c.rip);

    private static final Action RETURN_FAR = (c, o) -> Segments.ret(c, o.size(), (int) o.imm());

    /** LOOPNE, LOOPE, LOOP, JCXZ. */
    private static final Action LOOP =
            (c, o) -> {
                int width = o.address() == Op.A64 ? 8 : o.address() == Op.A16 ? 2 : 4;
                long count = c.get(Cpu.RCX, width);
                boolean jump;
                if (o.a() == 3) {
                    jump = count == 0;
                } else {
                    count = Alu.zeroExtend(count - 1, width);
                    jump = count != 0 && (o.a() == 2 || c.zero() == (o.a() == 1));
                }
                if (jump) {
                    go(c, target(c, o), o.size());
                }
                if (o.a() != 3) {
                    c.set(Cpu.RCX, width, count);
                }
            };

    /** INT n, INT3 and INT1; only INT n is subject to IOPL in virtual-8086 mode. */
    private static final Action SOFTWARE =
            (c, o) -> {
                if (o.a() == 1 && c.virtual8086() && c.iopl() < 3) {
                    throw c.gp(0);
                }
                int kind = o.imm() == GuestFault.DB ? Interrupts.TRAP : Interrupts.SOFTWARE;
                Interrupts.deliver(c, (int) o.imm(), GuestFault.NONE, kind, c.rip);
            };

    private static final Action RETURN_INTERRUPT =
            (c, o) -> Interrupts.ret(c, o.size(), c.rip);
}
