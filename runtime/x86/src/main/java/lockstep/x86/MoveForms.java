package lockstep.x86;

import static lockstep.x86.Forms.pick;

import lockstep.x86.Op.Action;

/** MOV and its relatives, LEA, XCHG, segment registers, conversions. */
final class MoveForms {
    /** b = a. */
    static final Action[] REG_TO_RM = {
        (c, o) -> c.set8(o.b(), c.get8(o.a())),
        (c, o) -> c.set16(o.b(), c.get16(o.a())),
        (c, o) -> c.regs[o.b()] = c.regs[o.a()] & 0xffffffffL,
        (c, o) -> c.regs[o.b()] = c.regs[o.a()]
    };

    static final Action[] REG_TO_MEM = {
        (c, o) -> c.write8(c.target(o, 1), c.get8(o.a())),
        (c, o) -> c.write16(c.target(o, 2), (int) c.regs[o.a()]),
        (c, o) -> c.write32(c.target(o, 4), (int) c.regs[o.a()]),
        (c, o) -> c.write64(c.target(o, 8), c.regs[o.a()])
    };

    static final Action[] RM_TO_REG = {
        (c, o) -> c.set8(o.a(), c.get8(o.b())),
        (c, o) -> c.set16(o.a(), c.get16(o.b())),
        (c, o) -> c.regs[o.a()] = c.regs[o.b()] & 0xffffffffL,
        (c, o) -> c.regs[o.a()] = c.regs[o.b()]
    };

    static final Action[] MEM_TO_REG = {
        (c, o) -> c.set8(o.a(), c.read8(c.source(o, 1))),
        (c, o) -> c.set16(o.a(), c.read16(c.source(o, 2))),
        (c, o) -> c.regs[o.a()] = c.read32(c.source(o, 4)) & 0xffffffffL,
        (c, o) -> c.regs[o.a()] = c.read64(c.source(o, 8))
    };

    static final Action[] IMM_TO_REG = {
        (c, o) -> c.set8(o.b(), (int) o.imm()),
        (c, o) -> c.set16(o.b(), (int) o.imm()),
        (c, o) -> c.regs[o.b()] = o.imm() & 0xffffffffL,
        (c, o) -> c.regs[o.b()] = o.imm()
    };

    static final Action[] IMM_TO_MEM = {
        (c, o) -> c.write8(c.target(o, 1), (int) o.imm()),
        (c, o) -> c.write16(c.target(o, 2), (int) o.imm()),
        (c, o) -> c.write32(c.target(o, 4), (int) o.imm()),
        (c, o) -> c.write64(c.target(o, 8), o.imm())
    };

    static final Action[] LEA = {
        (c, o) -> {
            throw c.undefined();
        },
        (c, o) -> c.set16(o.a(), (int) c.offset(o)),
        (c, o) -> c.regs[o.a()] = c.offset(o) & 0xffffffffL,
        (c, o) -> c.regs[o.a()] = c.offset(o)
    };

    private MoveForms() {}

    static void install(Decoder.Form[] one, Decoder.Form[] two, Decoder.Form[] three) {
        one[0x88] = d -> pickStore(d.modrm().bytes());
        one[0x89] = d -> pickStore(d.modrm());
        one[0x8a] = d -> pickLoad(d.modrm().bytes());
        one[0x8b] = d -> pickLoad(d.modrm());
        one[0xc6] = d -> store(d.modrm().bytes());
        one[0xc7] = d -> store(d.modrm());
        one[0x8d] =
                d -> {
                    d.modrm();
                    if (!d.memoryOperand()) {
                        throw d.none();
                    }
                    return d.op(pick(LEA, d));
                };
        for (int r = 0; r < 8; r++) {
            one[0xb0 + r] =
                    d -> {
                        d.size = 1;
                        d.b = d.byteRegister(d.opcodeRegister());
                        return d.immediate().op(IMM_TO_REG[0]);
                    };
            one[0xb8 + r] =
                    d -> {
                        d.b = d.opcodeRegister();
                        d.imm = d.signed(d.size);
                        return d.op(pick(IMM_TO_REG, d));
                    };
            one[0x90 + r] = MoveForms::exchangeAccumulator;
            two[0xc8 + r] =
                    d -> {
                        d.b = d.opcodeRegister();
                        return d.op(BYTE_SWAP);
                    };
        }
        offsets(one);
        segments(one, two);
        extensions(one, two);
        one[0x86] = d -> exchange(d.modrm().bytes());
        one[0x87] = d -> exchange(d.modrm());
        for (int n = 0; n < 16; n++) {
            int condition = n;
            two[0x40 + n] =
                    d -> {
                        d.modrm();
                        d.imm = condition;
                        return d.op(d.memoryOperand() ? CMOV_MEM : CMOV_REG);
                    };
            two[0x90 + n] =
                    d -> {
                        d.modrm().bytes();
                        d.imm = condition;
                        return d.op(d.memoryOperand() ? SET_MEM : SET_REG);
                    };
        }
        one[0xd7] =
                d -> {
                    d.segment = d.override >= 0 ? d.override : Cpu.DS;
                    return d.op(TRANSLATE);
                };
        three[0xf0] = d -> bigEndian(d, false);
        three[0xf1] = d -> bigEndian(d, true);
        two[0xc3] =
                d -> {
                    d.modrm();
                    if (!d.memoryOperand() || d.operandPrefix) {
                        throw d.none();
                    }
                    return d.op(pick(REG_TO_MEM, d));
                };
    }

    private static Op pickStore(Decoder d) {
        return d.op(pick(d.memoryOperand() ? REG_TO_MEM : REG_TO_RM, d));
    }

    private static Op pickLoad(Decoder d) {
        return d.op(pick(d.memoryOperand() ? MEM_TO_REG : RM_TO_REG, d));
    }

    private static Op store(Decoder d) {
        if ((d.reg & 7) != 0) {
            throw d.none();
        }
        d.immediate();
        return d.op(pick(d.memoryOperand() ? IMM_TO_MEM : IMM_TO_REG, d));
    }

    /** MOV between the accumulator and a plain offset. */
    private static void offsets(Decoder.Form[] one) {
        for (int opcode = 0xa0; opcode < 0xa4; opcode++) {
            boolean bytes = (opcode & 1) == 0;
            boolean load = opcode < 0xa2;
            one[opcode] =
                    d -> {
                        int width = d.address == Op.A64 ? 8 : d.address == Op.A16 ? 2 : 4;
                        d.disp = d.unsigned(width);
                        d.segment = d.override >= 0 ? d.override : Cpu.DS;
                        if (d.long64() && d.segment < Cpu.FS) {
                            d.segment = Cpu.NONE;
                        }
                        d.mod = 0;
                        d.a = Cpu.RAX;
                        d.b = Op.MEMORY;
                        if (bytes) {
                            d.size = 1;
                        }
                        return d.op(pick(load ? MEM_TO_REG : REG_TO_MEM, d));
                    };
        }
    }

    // ---- segment registers

    private static void segments(Decoder.Form[] one, Decoder.Form[] two) {
        one[0x8c] =
                d -> {
                    d.modrm();
                    if ((d.reg & 7) > Cpu.GS) {
                        throw d.none();
                    }
                    d.a = d.reg & 7;
                    return d.op(FROM_SEGMENT);
                };
        one[0x8e] =
                d -> {
                    d.modrm();
                    int s = d.reg & 7;
                    if (s > Cpu.GS || s == Cpu.CS) {
                        throw d.none();
                    }
                    d.a = s;
                    return d.last(TO_SEGMENT);
                };
        int[][] pairs = {{0x06, Cpu.ES}, {0x0e, Cpu.CS}, {0x16, Cpu.SS}, {0x1e, Cpu.DS}};
        for (int[] p : pairs) {
            one[p[0]] = d -> pushSegment(ArithmeticForms.legacy(d), p[1]);
            if (p[1] != Cpu.CS) {
                one[p[0] + 1] = d -> popSegment(ArithmeticForms.legacy(d), p[1]);
            }
        }
        two[0xa0] = d -> pushSegment(d, Cpu.FS);
        two[0xa1] = d -> popSegment(d, Cpu.FS);
        two[0xa8] = d -> pushSegment(d, Cpu.GS);
        two[0xa9] = d -> popSegment(d, Cpu.GS);
        one[0xc4] = d -> far(ArithmeticForms.legacy(d), Cpu.ES);
        one[0xc5] = d -> far(ArithmeticForms.legacy(d), Cpu.DS);
        two[0xb2] = d -> far(d, Cpu.SS);
        two[0xb4] = d -> far(d, Cpu.FS);
        two[0xb5] = d -> far(d, Cpu.GS);
    }

    private static Op pushSegment(Decoder d, int s) {
        d.size64();
        d.a = s;
        return d.op(PUSH_SEGMENT);
    }

    private static Op popSegment(Decoder d, int s) {
        d.size64();
        d.a = s;
        return d.last(POP_SEGMENT);
    }

    private static Op far(Decoder d, int s) {
        d.modrm();
        if (!d.memoryOperand()) {
            throw d.none();
        }
        d.imm = s;
        return d.last(LOAD_FAR);
    }

    private static final Action FROM_SEGMENT =
            (c, o) -> {
                if (o.inMemory()) {
                    c.write16(c.target(o, 2), c.selector[o.a()]);
                } else {
                    c.set(o.b(), o.size(), c.selector[o.a()] & 0xffff);
                }
            };

    private static final Action TO_SEGMENT =
            (c, o) -> {
                int v = o.inMemory() ? c.read16(c.source(o, 2)) : c.get16(o.b());
                Segments.load(c, o.a(), v);
                if (o.a() == Cpu.SS) {
                    c.shadow = true;
                }
            };

    private static final Action PUSH_SEGMENT =
            (c, o) -> StackForms.push(c, o.size(), c.selector[o.a()] & 0xffff);

    private static final Action POP_SEGMENT =
            (c, o) -> {
                int v = (int) StackForms.top(c, o.size()) & 0xffff;
                if (o.a() == Cpu.SS) {
                    // The pointer moves with the width of the stack that was.
                    int width = c.stackSize;
                    Segments.load(c, Cpu.SS, v);
                    int now = c.stackSize;
                    c.stackSize = width;
                    StackForms.drop(c, o.size());
                    c.stackSize = now;
                    c.shadow = true;
                } else {
                    Segments.load(c, o.a(), v);
                    StackForms.drop(c, o.size());
                }
            };

    private static final Action LOAD_FAR =
            (c, o) -> {
                int size = o.size();
                long la = c.source(o, size + 2);
                long offset = c.read(la, size);
                int selector = c.read16(la + size);
                Segments.load(c, (int) o.imm(), selector);
                c.set(o.a(), size, offset);
            };

    // ---- extensions and conversions

    private static void extensions(Decoder.Form[] one, Decoder.Form[] two) {
        two[0xb6] = d -> extend(d, 1, false);
        two[0xb7] = d -> extend(d, 2, false);
        two[0xbe] = d -> extend(d, 1, true);
        two[0xbf] = d -> extend(d, 2, true);
        one[0x63] =
                d -> {
                    if (!d.long64()) {
                        return SystemForms.adjustPrivilege(d);
                    }
                    return extend(d, 4, true);
                };
        one[0x98] = d -> d.op(WIDEN);
        one[0x99] = d -> d.op(WIDEN_DOUBLE);
        one[0x9e] =
                d ->
                        d.op(
                                (c, o) ->
                                        c.setArithmeticFlags(
                                                (int) (c.regs[Cpu.RAX] >>> 8) & 0xd5
                                                        | (c.overflow() ? Cpu.OF : 0)));
        one[0x9f] =
                d -> d.op((c, o) -> c.set8(0x20, c.arithmeticFlags() & 0xd5 | 2));
    }

    private static Op extend(Decoder d, int from, boolean signed) {
        d.modrm();
        if (from == 1 && d.mod == 3) {
            d.b = d.byteRegister(d.rm);
        }
        boolean memory = d.memoryOperand();
        if (signed) {
            if (memory) {
                return d.op(from == 1 ? SIGN_MEM8 : from == 2 ? SIGN_MEM16 : SIGN_MEM32);
            }
            return d.op(from == 1 ? SIGN_REG8 : from == 2 ? SIGN_REG16 : SIGN_REG32);
        }
        if (memory) {
            return d.op(from == 1 ? ZERO_MEM8 : ZERO_MEM16);
        }
        return d.op(from == 1 ? ZERO_REG8 : ZERO_REG16);
    }

    static final Action ZERO_REG8 = (c, o) -> c.set(o.a(), o.size(), c.get8(o.b()));
    static final Action ZERO_REG16 = (c, o) -> c.set(o.a(), o.size(), c.get16(o.b()));
    static final Action ZERO_MEM8 =
            (c, o) -> c.set(o.a(), o.size(), c.read8(c.source(o, 1)));
    static final Action ZERO_MEM16 =
            (c, o) -> c.set(o.a(), o.size(), c.read16(c.source(o, 2)));
    static final Action SIGN_REG8 =
            (c, o) -> c.set(o.a(), o.size(), (byte) c.get8(o.b()));
    static final Action SIGN_REG16 =
            (c, o) -> c.set(o.a(), o.size(), (short) c.regs[o.b()]);
    static final Action SIGN_REG32 = (c, o) -> c.set(o.a(), o.size(), (int) c.regs[o.b()]);
    static final Action SIGN_MEM8 =
            (c, o) -> c.set(o.a(), o.size(), (byte) c.read8(c.source(o, 1)));
    static final Action SIGN_MEM16 =
            (c, o) -> c.set(o.a(), o.size(), (short) c.read16(c.source(o, 2)));
    static final Action SIGN_MEM32 =
            (c, o) -> c.set(o.a(), o.size(), c.read32(c.source(o, 4)));

    /** CBW, CWDE, CDQE. */
    static final Action WIDEN =
            (c, o) -> {
                switch (o.size()) {
                    case 2 -> c.set16(Cpu.RAX, (byte) c.regs[Cpu.RAX]);
                    case 4 -> c.set32(Cpu.RAX, (short) c.regs[Cpu.RAX]);
                    default -> c.regs[Cpu.RAX] = (int) c.regs[Cpu.RAX];
                }
            };

    /** CWD, CDQ, CQO. */
    static final Action WIDEN_DOUBLE =
            (c, o) ->
                    c.set(
                            Cpu.RDX,
                            o.size(),
                            Alu.signExtend(c.regs[Cpu.RAX], o.size()) >> 63);

    static final Action BYTE_SWAP =
            (c, o) -> {
                switch (o.size()) {
                    case 2 -> c.set16(o.b(), 0); // undefined; this is what processors do
                    case 4 -> c.set32(o.b(), Integer.reverseBytes((int) c.regs[o.b()]));
                    default -> c.regs[o.b()] = Long.reverseBytes(c.regs[o.b()]);
                }
            };

    // ---- exchange and conditional moves

    private static Op exchangeAccumulator(Decoder d) {
        d.b = d.opcodeRegister();
        d.a = Cpu.RAX;
        if (d.b == Cpu.RAX) {
            // A block ends with PAUSE: others get their turn before what a waiting loop does next.
            return d.repeat == 0xf3 ? d.last(PAUSE) : d.op(NOTHING);
        }
        return d.op(EXCHANGE_REG);
    }

    /** NOP. */
    static final Action NOTHING = (c, o) -> {};

    private static final Action PAUSE = (c, o) -> c.bus.pause();

    private static Op exchange(Decoder d) {
        d.lockable = d.memoryOperand();
        return d.op(d.memoryOperand() ? EXCHANGE_MEM : EXCHANGE_REG);
    }

    static final Action EXCHANGE_REG =
            (c, o) -> {
                long v = c.get(o.b(), o.size());
                c.set(o.b(), o.size(), c.get(o.a(), o.size()));
                c.set(o.a(), o.size(), v);
            };

    static final Action EXCHANGE_MEM =
            (c, o) -> {
                long la = c.target(o, o.size());
                c.checkWrite(la, o.size());
                long v = c.read(la, o.size());
                c.write(la, o.size(), c.get(o.a(), o.size()));
                c.set(o.a(), o.size(), v);
            };

    static final Action CMOV_REG =
            (c, o) -> {
                if (c.condition((int) o.imm())) {
                    c.set(o.a(), o.size(), c.get(o.b(), o.size()));
                } else if (o.size() == 4) {
                    c.regs[o.a()] &= 0xffffffffL;
                }
            };

    static final Action CMOV_MEM =
            (c, o) -> {
                long v = c.read(c.source(o, o.size()), o.size());
                if (c.condition((int) o.imm())) {
                    c.set(o.a(), o.size(), v);
                } else if (o.size() == 4) {
                    c.regs[o.a()] &= 0xffffffffL;
                }
            };

    static final Action SET_REG =
            (c, o) -> c.set8(o.b(), c.condition((int) o.imm()) ? 1 : 0);

    static final Action SET_MEM =
            (c, o) -> c.write8(c.target(o, 1), c.condition((int) o.imm()) ? 1 : 0);

    private static final Action TRANSLATE =
            (c, o) -> {
                long at = c.regs[Cpu.RBX] + c.get8(Cpu.RAX);
                at =
                        switch (o.address()) {
                            case Op.A64 -> at;
                            case Op.A16 -> at & 0xffff;
                            default -> at & 0xffffffffL;
                        };
                c.set8(Cpu.RAX, c.read8(c.linear(o.segment(), at, 1, false)));
            };

    /** MOVBE, and CRC32 that shares its opcodes. */
    private static Op bigEndian(Decoder d, boolean store) {
        if (d.repeat == 0xf2) {
            return BitForms.crc(d, store);
        }
        d.modrm();
        if (!d.memoryOperand()) {
            throw d.none();
        }
        return d.op(store ? SWAP_STORE : SWAP_LOAD);
    }

    private static long swap(long v, int size) {
        return Long.reverseBytes(v) >>> 64 - size * 8;
    }

    private static void needMovbe(Cpu c) {
        if (!c.cpuid.ecx1(22)) {
            throw c.undefined();
        }
    }

    private static final Action SWAP_LOAD =
            (c, o) -> {
                needMovbe(c);
                c.set(o.a(), o.size(), swap(c.read(c.source(o, o.size()), o.size()), o.size()));
            };

    private static final Action SWAP_STORE =
            (c, o) -> {
                needMovbe(c);
                c.write(
                        c.target(o, o.size()),
                        o.size(),
                        swap(c.get(o.a(), o.size()), o.size()));
            };
}
