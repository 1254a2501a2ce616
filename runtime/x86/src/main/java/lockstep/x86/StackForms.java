package lockstep.x86;

import lockstep.x86.Op.Action;

/** PUSH and POP of general registers, memory and immediates, ENTER and LEAVE. */
final class StackForms {
    private StackForms() {}

    static void install(Decoder.Form[] one) {
        for (int r = 0; r < 8; r++) {
            one[0x50 + r] =
                    d -> {
                        d.size64();
                        d.b = d.opcodeRegister();
                        return d.op(d.size == 8 ? PUSH_64 : PUSH_REG);
                    };
            one[0x58 + r] =
                    d -> {
                        d.size64();
                        d.b = d.opcodeRegister();
                        return d.op(d.size == 8 ? POP_64 : POP_REG);
                    };
        }
        one[0x68] =
                d -> {
                    d.size64();
                    return d.immediate().op(PUSH_IMM);
                };
        one[0x6a] =
                d -> {
                    d.size64();
                    return d.immediate8().op(PUSH_IMM);
                };
        one[0x8f] =
                d -> {
                    d.size64();
                    d.modrm();
                    if ((d.reg & 7) != 0) {
                        throw d.none();
                    }
                    return d.op(POP_RM);
                };
        one[0x60] = d -> ArithmeticForms.legacy(d).op(PUSH_ALL);
        one[0x61] = d -> ArithmeticForms.legacy(d).op(POP_ALL);
        one[0xc8] =
                d -> {
                    d.size64();
                    d.imm = d.unsigned(2);
                    d.a = d.next() & 31;
                    return d.op(ENTER);
                };
        one[0xc9] =
                d -> {
                    d.size64();
                    return d.op(LEAVE);
                };
    }

    static void push(Cpu c, int size, long v) {
        int width = c.stackSize;
        long sp = c.regs[Cpu.RSP] - size;
        if (width == 8) {
            c.write(sp, size, v);
            c.regs[Cpu.RSP] = sp;
        } else if (width == 4) {
            sp &= 0xffffffffL;
            c.write(c.linear(Cpu.SS, sp, size, true), size, v);
            c.regs[Cpu.RSP] = sp;
        } else {
            sp &= 0xffff;
            c.write(c.linear(Cpu.SS, sp, size, true), size, v);
            c.set16(Cpu.RSP, (int) sp);
        }
    }

    /** What is on top of the stack; {@link #drop} takes it off. */
    static long top(Cpu c, int size) {
        return switch (c.stackSize) {
            case 8 -> c.read(c.regs[Cpu.RSP], size);
            case 4 -> c.read(c.linear(Cpu.SS, c.regs[Cpu.RSP] & 0xffffffffL, size, false), size);
            default -> c.read(c.linear(Cpu.SS, c.regs[Cpu.RSP] & 0xffff, size, false), size);
        };
    }

    static void drop(Cpu c, int bytes) {
        long sp = c.regs[Cpu.RSP] + bytes;
        switch (c.stackSize) {
            case 8 -> c.regs[Cpu.RSP] = sp;
            case 4 -> c.regs[Cpu.RSP] = sp & 0xffffffffL;
            default -> c.set16(Cpu.RSP, (int) sp);
        }
    }

    static final Action PUSH_64 =
            (c, o) -> {
                long sp = c.regs[Cpu.RSP] - 8;
                c.write64(sp, c.regs[o.b()]);
                c.regs[Cpu.RSP] = sp;
            };

    static final Action PUSH_REG = (c, o) -> push(c, o.size(), c.get(o.b(), o.size()));

    static final Action POP_64 =
            (c, o) -> {
                long sp = c.regs[Cpu.RSP];
                long v = c.read64(sp);
                c.regs[Cpu.RSP] = sp + 8;
                c.regs[o.b()] = v;
            };

    static final Action POP_REG =
            (c, o) -> {
                long v = top(c, o.size());
                drop(c, o.size());
                c.set(o.b(), o.size(), v);
            };

    static final Action PUSH_IMM =
            (c, o) -> push(c, o.size(), Alu.zeroExtend(o.imm(), o.size()));

    /** PUSH of a memory operand; reached through the group 0xff. */
    static final Action PUSH_RM =
            (c, o) ->
                    push(
                            c,
                            o.size(),
                            o.inMemory()
                                    ? c.read(c.source(o, o.size()), o.size())
                                    : c.get(o.b(), o.size()));

    private static final Action POP_RM =
            (c, o) -> {
                int size = o.size();
                long v = top(c, size);
                if (o.inMemory()) {
                    // The address counts with the stack pointer as it is afterwards.
                    long sp = c.regs[Cpu.RSP];
                    drop(c, size);
                    try {
                        c.write(c.target(o, size), size, v);
                    } catch (GuestFault f) {
                        c.regs[Cpu.RSP] = sp;
                        throw f;
                    }
                } else {
                    drop(c, size);
                    c.set(o.b(), size, v);
                }
            };

    private static final Action PUSH_ALL =
            (c, o) -> {
                Stack s = new Stack(c);
                for (int r = 0; r < 8; r++) {
                    s.push(c.get(r, o.size()), o.size());
                }
                s.commit();
            };

    private static final Action POP_ALL =
            (c, o) -> {
                Stack s = new Stack(c);
                long[] v = new long[8];
                for (int r = 7; r >= 0; r--) {
                    v[r] = s.pop(o.size());
                }
                s.commit();
                for (int r = 7; r >= 0; r--) {
                    if (r != Cpu.RSP) {
                        c.set(r, o.size(), v[r]);
                    }
                }
            };

    private static final Action ENTER =
            (c, o) -> {
                int size = o.size();
                Stack s = new Stack(c);
                long bp = c.regs[Cpu.RBP];
                s.push(Alu.zeroExtend(bp, size), size);
                long frame = s.pointer();
                int level = o.a();
                long mask = c.stackSize == 2 ? 0xffff : c.stackSize == 4 ? 0xffffffffL : -1;
                for (int i = 1; i < level; i++) {
                    bp -= size;
                    s.push(c.read(c.linear(Cpu.SS, bp & mask, size, false), size), size);
                }
                if (level > 0) {
                    s.push(Alu.zeroExtend(frame, size), size);
                }
                s.move((int) -o.imm());
                // The new top of the stack must be writable.
                c.checkWrite(c.linear(Cpu.SS, s.pointer() & mask, size, true), size);
                s.commit();
                c.set(Cpu.RBP, size, frame);
            };

    static final Action LEAVE =
            (c, o) -> {
                int size = o.size();
                long bp = c.regs[Cpu.RBP];
                long mask = c.stackSize == 2 ? 0xffff : c.stackSize == 4 ? 0xffffffffL : -1;
                long v = c.read(c.linear(Cpu.SS, bp & mask, size, false), size);
                if (c.stackSize == 2) {
                    c.set16(Cpu.RSP, (int) bp + size);
                } else {
                    c.regs[Cpu.RSP] = bp + size & mask;
                }
                c.set(Cpu.RBP, size, v);
            };
}
