package lockstep.x86;

import static lockstep.x86.Forms.pick;

import lockstep.x86.Op.Action;

/** ADD to CMP, TEST, INC, DEC, NOT, NEG, multiplication, division, shifts, and the decimal adjustments. */
final class ArithmeticForms {
    // These ignore the repeat prefixes; in its place an Op has which operation it is, Alu.ADD and so on.

    /** reg = reg op rm. */
    static final Action[] REG_REG = {
        (c, o) -> c.set8(o.a(), Alu.op8(c, o.repeat(), c.get8(o.a()), c.get8(o.b()))),
        (c, o) -> c.set16(o.a(), Alu.op16(c, o.repeat(), c.get16(o.a()), c.get16(o.b()))),
        (c, o) ->
                c.regs[o.a()] =
                        Alu.op32(c, o.repeat(), (int) c.regs[o.a()], (int) c.regs[o.b()])
                                & 0xffffffffL,
        (c, o) -> c.regs[o.a()] = Alu.op64(c, o.repeat(), c.regs[o.a()], c.regs[o.b()])
    };

    static final Action[] REG_MEM = {
        (c, o) -> c.set8(o.a(), Alu.op8(c, o.repeat(), c.get8(o.a()), c.read8(c.source(o, 1)))),
        (c, o) ->
                c.set16(o.a(), Alu.op16(c, o.repeat(), c.get16(o.a()), c.read16(c.source(o, 2)))),
        (c, o) ->
                c.regs[o.a()] =
                        Alu.op32(c, o.repeat(), (int) c.regs[o.a()], c.read32(c.source(o, 4)))
                                & 0xffffffffL,
        (c, o) ->
                c.regs[o.a()] =
                        Alu.op64(c, o.repeat(), c.regs[o.a()], c.read64(c.source(o, 8)))
    };

    // What is read, changed and written back is first checked to be writable, so that flags stay as they were on a fault.
    static final Action[] MEM_REG = {
        (c, o) -> {
            long la = c.target(o, 1);
            c.checkWrite(la, 1);
            c.write8(la, Alu.op8(c, o.repeat(), c.read8(la), c.get8(o.a())));
        },
        (c, o) -> {
            long la = c.target(o, 2);
            c.checkWrite(la, 2);
            c.write16(la, Alu.op16(c, o.repeat(), c.read16(la), c.get16(o.a())));
        },
        (c, o) -> {
            long la = c.target(o, 4);
            c.checkWrite(la, 4);
            c.write32(la, Alu.op32(c, o.repeat(), c.read32(la), (int) c.regs[o.a()]));
        },
        (c, o) -> {
            long la = c.target(o, 8);
            c.checkWrite(la, 8);
            c.write64(la, Alu.op64(c, o.repeat(), c.read64(la), c.regs[o.a()]));
        }
    };

    static final Action[] REG_IMM = {
        (c, o) -> c.set8(o.b(), Alu.op8(c, o.repeat(), c.get8(o.b()), (int) o.imm())),
        (c, o) -> c.set16(o.b(), Alu.op16(c, o.repeat(), c.get16(o.b()), (int) o.imm())),
        (c, o) ->
                c.regs[o.b()] =
                        Alu.op32(c, o.repeat(), (int) c.regs[o.b()], (int) o.imm()) & 0xffffffffL,
        (c, o) -> c.regs[o.b()] = Alu.op64(c, o.repeat(), c.regs[o.b()], o.imm())
    };

    static final Action[] MEM_IMM = {
        (c, o) -> {
            long la = c.target(o, 1);
            c.checkWrite(la, 1);
            c.write8(la, Alu.op8(c, o.repeat(), c.read8(la), (int) o.imm()));
        },
        (c, o) -> {
            long la = c.target(o, 2);
            c.checkWrite(la, 2);
            c.write16(la, Alu.op16(c, o.repeat(), c.read16(la), (int) o.imm()));
        },
        (c, o) -> {
            long la = c.target(o, 4);
            c.checkWrite(la, 4);
            c.write32(la, Alu.op32(c, o.repeat(), c.read32(la), (int) o.imm()));
        },
        (c, o) -> {
            long la = c.target(o, 8);
            c.checkWrite(la, 8);
            c.write64(la, Alu.op64(c, o.repeat(), c.read64(la), o.imm()));
        }
    };

    // CMP writes nothing.
    static final Action[] CMP_REG_REG = {
        (c, o) -> Alu.op8(c, Alu.CMP, c.get8(o.a()), c.get8(o.b())),
        (c, o) -> Alu.op16(c, Alu.CMP, c.get16(o.a()), c.get16(o.b())),
        (c, o) -> Alu.op32(c, Alu.CMP, (int) c.regs[o.a()], (int) c.regs[o.b()]),
        (c, o) -> Alu.op64(c, Alu.CMP, c.regs[o.a()], c.regs[o.b()])
    };

    static final Action[] CMP_REG_MEM = {
        (c, o) -> Alu.op8(c, Alu.CMP, c.get8(o.a()), c.read8(c.source(o, 1))),
        (c, o) -> Alu.op16(c, Alu.CMP, c.get16(o.a()), c.read16(c.source(o, 2))),
        (c, o) -> Alu.op32(c, Alu.CMP, (int) c.regs[o.a()], c.read32(c.source(o, 4))),
        (c, o) -> Alu.op64(c, Alu.CMP, c.regs[o.a()], c.read64(c.source(o, 8)))
    };

    static final Action[] CMP_MEM_REG = {
        (c, o) -> Alu.op8(c, Alu.CMP, c.read8(c.source(o, 1)), c.get8(o.a())),
        (c, o) -> Alu.op16(c, Alu.CMP, c.read16(c.source(o, 2)), c.get16(o.a())),
        (c, o) -> Alu.op32(c, Alu.CMP, c.read32(c.source(o, 4)), (int) c.regs[o.a()]),
        (c, o) -> Alu.op64(c, Alu.CMP, c.read64(c.source(o, 8)), c.regs[o.a()])
    };

    static final Action[] CMP_REG_IMM = {
        (c, o) -> Alu.op8(c, Alu.CMP, c.get8(o.b()), (int) o.imm()),
        (c, o) -> Alu.op16(c, Alu.CMP, c.get16(o.b()), (int) o.imm()),
        (c, o) -> Alu.op32(c, Alu.CMP, (int) c.regs[o.b()], (int) o.imm()),
        (c, o) -> Alu.op64(c, Alu.CMP, c.regs[o.b()], o.imm())
    };

    static final Action[] CMP_MEM_IMM = {
        (c, o) -> Alu.op8(c, Alu.CMP, c.read8(c.source(o, 1)), (int) o.imm()),
        (c, o) -> Alu.op16(c, Alu.CMP, c.read16(c.source(o, 2)), (int) o.imm()),
        (c, o) -> Alu.op32(c, Alu.CMP, c.read32(c.source(o, 4)), (int) o.imm()),
        (c, o) -> Alu.op64(c, Alu.CMP, c.read64(c.source(o, 8)), o.imm())
    };

    static final Action[] TEST_REG_REG = {
        (c, o) -> Alu.logic(c, 1, c.get8(o.a()) & c.get8(o.b())),
        (c, o) -> Alu.logic(c, 2, c.regs[o.a()] & c.regs[o.b()]),
        (c, o) -> Alu.logic(c, 4, c.regs[o.a()] & c.regs[o.b()]),
        (c, o) -> Alu.logic(c, 8, c.regs[o.a()] & c.regs[o.b()])
    };

    static final Action TEST_MEM_REG =
            (c, o) ->
                    Alu.logic(
                            c,
                            o.size(),
                            c.read(c.source(o, o.size()), o.size()) & c.get(o.a(), o.size()));

    static final Action TEST_REG_IMM =
            (c, o) -> Alu.logic(c, o.size(), c.get(o.b(), o.size()) & o.imm());

    static final Action TEST_MEM_IMM =
            (c, o) ->
                    Alu.logic(c, o.size(), c.read(c.source(o, o.size()), o.size()) & o.imm());

    private ArithmeticForms() {}

    static void install(Decoder.Form[] one, Decoder.Form[] two) {
        for (int kind = 0; kind < 8; kind++) {
            group(one, kind);
        }
        for (int opcode : new int[] {0x80, 0x81, 0x82, 0x83}) {
            one[opcode] =
                    d -> {
                        if (opcode == 0x82 && d.long64()) {
                            throw d.none();
                        }
                        d.modrm();
                        int kind = d.reg & 7;
                        if ((opcode & 1) == 0) {
                            d.bytes();
                        }
                        if (opcode == 0x81) {
                            d.immediate();
                        } else {
                            d.immediate8();
                        }
                        return immediate(d, kind);
                    };
        }
        one[0x84] = d -> test(d.modrm().bytes());
        one[0x85] = d -> test(d.modrm());
        one[0xa8] =
                d -> {
                    d.size = 1;
                    return d.immediate().op(TEST_REG_IMM);
                };
        one[0xa9] = d -> d.immediate().op(TEST_REG_IMM);
        one[0xf6] = d -> unary(d.modrm().bytes());
        one[0xf7] = d -> unary(d.modrm());
        for (int r = 0; r < 8; r++) {
            one[0x40 + r] = d -> step(d, Alu.ADD);
            one[0x48 + r] = d -> step(d, Alu.SUB);
        }
        one[0xfe] =
                d -> {
                    d.modrm().bytes();
                    if ((d.reg & 7) > 1) {
                        throw d.none();
                    }
                    return step(d);
                };
        one[0x69] = d -> d.modrm().immediate().op(MULTIPLY_3);
        one[0x6b] = d -> d.modrm().immediate8().op(MULTIPLY_3);
        two[0xaf] = d -> d.modrm().op(d.memoryOperand() ? MULTIPLY_MEM : MULTIPLY_REG);
        for (int opcode : new int[] {0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3}) {
            one[opcode] = d -> shift(d, opcode);
        }
        two[0xa4] = d -> doubleShift(d, true, false);
        two[0xa5] = d -> doubleShift(d, true, true);
        two[0xac] = d -> doubleShift(d, false, false);
        two[0xad] = d -> doubleShift(d, false, true);
        decimal(one);
    }

    private static void group(Decoder.Form[] one, int kind) {
        int at = kind * 8;
        one[at] = d -> toMemory(d.modrm().bytes(), kind);
        one[at + 1] = d -> toMemory(d.modrm(), kind);
        one[at + 2] = d -> toRegister(d.modrm().bytes(), kind);
        one[at + 3] = d -> toRegister(d.modrm(), kind);
        one[at + 4] =
                d -> {
                    d.size = 1;
                    return immediate(d.immediate(), kind);
                };
        one[at + 5] = d -> immediate(d.immediate(), kind);
    }

    /** The operation in place of the repeat prefix, which these instructions ignore. */
    private static Op with(Decoder d, int kind, Action action) {
        d.repeat = kind;
        return d.op(action);
    }

    private static Op toMemory(Decoder d, int kind) {
        if (d.memoryOperand()) {
            if (kind == Alu.CMP) {
                return d.op(pick(CMP_MEM_REG, d));
            }
            d.lockable = true;
            return with(d, kind, pick(MEM_REG, d));
        }
        int reg = d.a;
        d.a = d.b;
        d.b = reg;
        return with(d, kind, pick(kind == Alu.CMP ? CMP_REG_REG : REG_REG, d));
    }

    private static Op toRegister(Decoder d, int kind) {
        if (d.memoryOperand()) {
            return with(d, kind, pick(kind == Alu.CMP ? CMP_REG_MEM : REG_MEM, d));
        }
        return with(d, kind, pick(kind == Alu.CMP ? CMP_REG_REG : REG_REG, d));
    }

    private static Op immediate(Decoder d, int kind) {
        if (d.memoryOperand()) {
            d.lockable = kind != Alu.CMP;
            return with(d, kind, pick(kind == Alu.CMP ? CMP_MEM_IMM : MEM_IMM, d));
        }
        return with(d, kind, pick(kind == Alu.CMP ? CMP_REG_IMM : REG_IMM, d));
    }

    private static Op test(Decoder d) {
        return d.op(d.memoryOperand() ? TEST_MEM_REG : pick(TEST_REG_REG, d));
    }

    // ---- one operand

    private static Op step(Decoder d, int kind) {
        if (d.long64()) {
            throw d.none(); // REX, which the prefixes took
        }
        d.b = d.opcodeRegister();
        return with(d, kind, STEP_REG);
    }

    /** INC and DEC behind a ModRM byte. */
    static Op step(Decoder d) {
        int kind = (d.reg & 7) == 0 ? Alu.ADD : Alu.SUB;
        d.lockable = d.memoryOperand();
        return with(d, kind, d.memoryOperand() ? STEP_MEM : STEP_REG);
    }

    static final Action STEP_REG =
            (c, o) ->
                    c.set(o.b(), o.size(), Alu.step(c, o.repeat(), o.size(), c.get(o.b(), o.size())));

    static final Action STEP_MEM =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                c.write(la, o.size(), Alu.step(c, o.repeat(), o.size(), c.read(la, o.size())));
            };

    private static Op unary(Decoder d) {
        boolean memory = d.memoryOperand();
        switch (d.reg & 7) {
            case 0, 1 -> {
                return d.immediate().op(memory ? TEST_MEM_IMM : TEST_REG_IMM);
            }
            case 2 -> {
                d.lockable = memory;
                return d.op(memory ? NOT_MEM : NOT_REG);
            }
            case 3 -> {
                d.lockable = memory;
                return d.op(memory ? NEG_MEM : NEG_REG);
            }
            case 4 -> {
                return d.op(MULTIPLY);
            }
            case 5 -> {
                return d.op(MULTIPLY_SIGNED);
            }
            case 6 -> {
                return d.op(DIVIDE);
            }
            default -> {
                return d.op(DIVIDE_SIGNED);
            }
        }
    }

    static final Action MULTIPLY = (c, o) -> Alu.multiply(c, o.size(), c.operand(o));

    static final Action MULTIPLY_SIGNED = (c, o) -> Alu.multiplySigned(c, o.size(), signed(c, o));

    static final Action DIVIDE = (c, o) -> Alu.divide(c, o.size(), c.operand(o));

    static final Action DIVIDE_SIGNED = (c, o) -> Alu.divideSigned(c, o.size(), signed(c, o));

    private static long signed(Cpu c, Op o) {
        return Alu.signExtend(c.operand(o), o.size());
    }

    static final Action NOT_REG =
            (c, o) -> c.set(o.b(), o.size(), ~c.get(o.b(), o.size()));

    static final Action NOT_MEM =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                c.write(la, o.size(), ~c.read(la, o.size()));
            };

    static final Action NEG_REG =
            (c, o) ->
                    c.set(o.b(), o.size(), Alu.op(c, Alu.SUB, o.size(), 0, c.get(o.b(), o.size())));

    static final Action NEG_MEM =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                c.write(la, o.size(), Alu.op(c, Alu.SUB, o.size(), 0, c.read(la, o.size())));
            };

    static final Action MULTIPLY_3 =
            (c, o) ->
                    c.set(
                            o.a(),
                            o.size(),
                            Alu.signedProduct(c, o.size(), signed(c, o), o.imm()));

    static final Action MULTIPLY_REG =
            (c, o) ->
                    c.set(
                            o.a(),
                            o.size(),
                            Alu.signedProduct(
                                    c,
                                    o.size(),
                                    Alu.signExtend(c.regs[o.a()], o.size()),
                                    Alu.signExtend(c.regs[o.b()], o.size())));

    static final Action MULTIPLY_MEM =
            (c, o) ->
                    c.set(
                            o.a(),
                            o.size(),
                            Alu.signedProduct(
                                    c,
                                    o.size(),
                                    Alu.signExtend(c.regs[o.a()], o.size()),
                                    signed(c, o)));

    // ---- shifts

    private static Op shift(Decoder d, int opcode) {
        d.modrm();
        if ((opcode & 1) == 0) {
            d.bytes();
        }
        int kind = d.reg & 7;
        d.a = kind == 6 ? Alu.SHL : kind;
        boolean byRegister = (opcode & 0xfe) == 0xd2;
        d.imm = opcode < 0xd0 ? d.next() : 1;
        boolean memory = d.memoryOperand();
        if (byRegister) {
            return d.op(memory ? SHIFT_MEM_CL : SHIFT_REG_CL);
        }
        return d.op(
                memory
                        ? SHIFT_MEM
                        : d.size == 4 && d.a == Alu.SHL
                                ? SHL_32
                                : d.size == 8 && d.a == Alu.SHL
                                        ? SHL_64
                                        : d.size == 4 && d.a == Alu.SHR
                                                ? SHR_32
                                                : d.size == 8 && d.a == Alu.SHR
                                                        ? SHR_64
                                                        : SHIFT_REG);
    }

    static final Action SHIFT_REG =
            (c, o) ->
                    c.set(
                            o.b(),
                            o.size(),
                            Alu.shift(
                                    c, o.a(), o.size(), c.get(o.b(), o.size()), (int) o.imm()));

    static final Action SHL_32 =
            (c, o) ->
                    c.regs[o.b()] =
                            Alu.shift(c, Alu.SHL, 4, c.regs[o.b()] & 0xffffffffL, (int) o.imm());

    static final Action SHL_64 =
            (c, o) -> c.regs[o.b()] = Alu.shift(c, Alu.SHL, 8, c.regs[o.b()], (int) o.imm());

    static final Action SHR_32 =
            (c, o) ->
                    c.regs[o.b()] =
                            Alu.shift(c, Alu.SHR, 4, c.regs[o.b()] & 0xffffffffL, (int) o.imm());

    static final Action SHR_64 =
            (c, o) -> c.regs[o.b()] = Alu.shift(c, Alu.SHR, 8, c.regs[o.b()], (int) o.imm());

    static final Action SHIFT_REG_CL =
            (c, o) ->
                    c.set(
                            o.b(),
                            o.size(),
                            Alu.shift(
                                    c,
                                    o.a(),
                                    o.size(),
                                    c.get(o.b(), o.size()),
                                    (int) c.regs[Cpu.RCX] & 0xff));

    static final Action SHIFT_MEM =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                c.write(
                        la,
                        o.size(),
                        Alu.shift(c, o.a(), o.size(), c.read(la, o.size()), (int) o.imm()));
            };

    static final Action SHIFT_MEM_CL =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                int count = (int) c.regs[Cpu.RCX] & 0xff;
                c.write(
                        la,
                        o.size(),
                        Alu.shift(c, o.a(), o.size(), c.read(la, o.size()), count));
            };

    private static Op doubleShift(Decoder d, boolean left, boolean byRegister) {
        d.modrm();
        d.imm = byRegister ? -1 : d.next();
        return d.op(
                (c, o) -> {
                    int count = o.imm() < 0 ? (int) c.regs[Cpu.RCX] & 0xff : (int) o.imm();
                    int size = o.size();
                    long other = c.get(o.a(), size);
                    if (o.inMemory()) {
                        long la = c.target(o, size);
                        c.checkWrite(la, size);
                        c.write(la, size, shifted(c, left, size, c.read(la, size), other, count));
                    } else {
                        c.set(
                                o.b(),
                                size,
                                shifted(c, left, size, c.get(o.b(), size), other, count));
                    }
                });
    }

    private static long shifted(Cpu c, boolean left, int size, long a, long b, int count) {
        return left
                ? Alu.shiftLeftDouble(c, size, a, b, count)
                : Alu.shiftRightDouble(c, size, a, b, count);
    }

    // ---- decimal adjustments, outside 64-bit mode

    private static void decimal(Decoder.Form[] one) {
        one[0x27] = d -> legacy(d).op((c, o) -> adjustDecimal(c, 1));
        one[0x2f] = d -> legacy(d).op((c, o) -> adjustDecimal(c, -1));
        one[0x37] = d -> legacy(d).op((c, o) -> adjustAscii(c, 1));
        one[0x3f] = d -> legacy(d).op((c, o) -> adjustAscii(c, -1));
        one[0xd4] =
                d ->
                        legacy(d).immediate8()
                                .op(
                                        (c, o) -> {
                                            int by = (int) o.imm() & 0xff;
                                            if (by == 0) {
                                                throw c.fault(GuestFault.DE, GuestFault.NONE);
                                            }
                                            int al = c.get8(Cpu.RAX);
                                            c.set16(Cpu.RAX, al / by << 8 | al % by);
                                            Alu.logic(c, 1, al % by);
                                        });
        one[0xd5] =
                d ->
                        legacy(d).immediate8()
                                .op(
                                        (c, o) -> {
                                            int ax = c.get16(Cpu.RAX);
                                            int by = (int) o.imm() & 0xff;
                                            int al = (ax >> 8) * by + ax & 0xff;
                                            c.set16(Cpu.RAX, al);
                                            Alu.logic(c, 1, al);
                                        });
    }

    /** An instruction that 64-bit mode does not have. */
    static Decoder legacy(Decoder d) {
        if (d.long64()) {
            throw d.none();
        }
        return d;
    }

    /** DAA and DAS. */
    private static void adjustDecimal(Cpu c, int sign) {
        int al = c.get8(Cpu.RAX);
        int old = al;
        boolean carry = c.carry();
        boolean half = (c.carries & 8) != 0;
        boolean out = false;
        if ((al & 15) > 9 || half) {
            int r = al + 6 * sign;
            out = carry || (r & ~0xff) != 0;
            al = r & 0xff;
            half = true;
        }
        if (old > 0x99 || carry) {
            al = al + 0x60 * sign & 0xff;
            out = true;
        }
        c.set8(Cpu.RAX, al);
        Alu.logic(c, 1, al);
        c.setCarryOverflow(out, false);
        c.carries = half ? c.carries | 8 : c.carries & ~8L;
    }

    /** AAA and AAS. */
    private static void adjustAscii(Cpu c, int sign) {
        int ax = c.get16(Cpu.RAX);
        boolean adjust = (ax & 15) > 9 || (c.carries & 8) != 0;
        if (adjust) {
            ax += 0x106 * sign;
        }
        c.set16(Cpu.RAX, ax & 0xff0f);
        int f = c.arithmeticFlags() & ~(Cpu.CF | Cpu.AF);
        c.setArithmeticFlags(adjust ? f | Cpu.CF | Cpu.AF : f);
    }
}
