package lockstep.x86;

import lockstep.x86.Op.Action;

/** Bit tests and scans, counts, CRC32, compare-and-exchange, XADD. */
final class BitForms {
    private static final int TEST = 0;
    private static final int SET = 1;
    private static final int RESET = 2;

    private BitForms() {}

    static void install(Decoder.Form[] one, Decoder.Form[] two, Decoder.Form[] three) {
        two[0xa3] = d -> test(d, 0);
        two[0xab] = d -> test(d, 1);
        two[0xb3] = d -> test(d, 2);
        two[0xbb] = d -> test(d, 3);
        two[0xba] =
                d -> {
                    d.modrm();
                    int kind = (d.reg & 7) - 4;
                    if (kind < 0) {
                        throw d.none();
                    }
                    d.imm = d.next() & d.size * 8 - 1;
                    d.repeat = kind;
                    d.lockable = kind != TEST && d.memoryOperand();
                    return d.op(TEST_IMM);
                };
        two[0xbc] = d -> d.modrm().op(d.repeat == 0xf3 ? COUNT_TRAILING : SCAN_FORWARD);
        two[0xbd] = d -> d.modrm().op(d.repeat == 0xf3 ? COUNT_LEADING : SCAN_REVERSE);
        two[0xb8] =
                d -> {
                    if (d.repeat != 0xf3) {
                        throw d.none();
                    }
                    return d.modrm().op(COUNT_BITS);
                };
        two[0xb0] = d -> compareExchange(d.modrm().bytes());
        two[0xb1] = d -> compareExchange(d.modrm());
        two[0xc0] = d -> add(d.modrm().bytes());
        two[0xc1] = d -> add(d.modrm());
    }

    private static Op test(Decoder d, int kind) {
        d.modrm();
        d.repeat = kind;
        d.lockable = kind != TEST && d.memoryOperand();
        return d.op(d.memoryOperand() ? TEST_MEM : TEST_REG);
    }

    static long changed(int kind, long v, long bit) {
        return switch (kind) {
            case TEST -> v;
            case SET -> v | bit;
            case RESET -> v & ~bit;
            default -> v ^ bit;
        };
    }

    static final Action TEST_REG =
            (c, o) -> {
                int size = o.size();
                long v = c.get(o.b(), size);
                long bit = 1L << (c.regs[o.a()] & size * 8 - 1);
                if (o.repeat() != TEST) {
                    c.set(o.b(), size, changed(o.repeat(), v, bit));
                }
                c.setCarry((v & bit) != 0);
            };

    static final Action TEST_IMM =
            (c, o) -> {
                int size = o.size();
                long bit = 1L << o.imm();
                long v;
                if (o.inMemory()) {
                    boolean write = o.repeat() != TEST;
                    long la = write ? c.target(o, size) : c.source(o, size);
                    if (write) {
                        c.checkWrite(la, size);
                    }
                    v = c.read(la, size);
                    if (write) {
                        c.write(la, size, changed(o.repeat(), v, bit));
                    }
                } else {
                    v = c.get(o.b(), size);
                    if (o.repeat() != TEST) {
                        c.set(o.b(), size, changed(o.repeat(), v, bit));
                    }
                }
                c.setCarry((v & bit) != 0);
            };

    /** The linear address of the operand that has the bit. */
    static long bitAddress(Cpu c, Op o, boolean write) {
        int size = o.size();
        long number = Alu.signExtend(c.regs[o.a()], size);
        long at = c.offset(o) + (number >> 3 + Integer.numberOfTrailingZeros(size)) * size;
        at =
                switch (o.address()) {
                    case Op.A64 -> at;
                    case Op.A16 -> at & 0xffff;
                    default -> at & 0xffffffffL;
                };
        return c.codeSize == 64
                ? at + c.base[o.segment()]
                : c.linear(o.segment(), at, size, write);
    }

    /** A bit string in memory: the register's number counts from the operand's address, in both directions. */
    static final Action TEST_MEM =
            (c, o) -> {
                int size = o.size();
                boolean write = o.repeat() != TEST;
                long la = bitAddress(c, o, write);
                if (write) {
                    c.checkWrite(la, size);
                }
                long v = c.read(la, size);
                long bit = 1L << (c.regs[o.a()] & size * 8 - 1);
                if (write) {
                    c.write(la, size, changed(o.repeat(), v, bit));
                }
                c.setCarry((v & bit) != 0);
            };

    static final Action SCAN_FORWARD =
            (c, o) -> {
                long v = c.operand(o);
                if (v != 0) {
                    c.set(o.a(), o.size(), Long.numberOfTrailingZeros(v));
                }
                c.setZero(v == 0);
            };

    static final Action SCAN_REVERSE =
            (c, o) -> {
                long v = c.operand(o);
                if (v != 0) {
                    c.set(o.a(), o.size(), 63 - Long.numberOfLeadingZeros(v));
                }
                c.setZero(v == 0);
            };

    static final Action COUNT_TRAILING =
            (c, o) -> {
                if (!c.cpuid.ebx7(3)) {
                    SCAN_FORWARD.run(c, o);
                    return;
                }
                long v = c.operand(o);
                counted(c, o, v, v == 0 ? o.size() * 8 : Long.numberOfTrailingZeros(v));
            };

    static final Action COUNT_LEADING =
            (c, o) -> {
                if (!c.cpuid.lzcnt()) {
                    SCAN_REVERSE.run(c, o);
                    return;
                }
                long v = c.operand(o);
                counted(c, o, v, Long.numberOfLeadingZeros(v) - (64 - o.size() * 8));
            };

    private static void counted(Cpu c, Op o, long v, int n) {
        c.set(o.a(), o.size(), n);
        int f = c.arithmeticFlags() & ~(Cpu.CF | Cpu.ZF);
        c.setArithmeticFlags(f | (v == 0 ? Cpu.CF : 0) | (n == 0 ? Cpu.ZF : 0));
    }

    static final Action COUNT_BITS =
            (c, o) -> {
                if (!c.cpuid.ecx1(23)) {
                    throw c.undefined();
                }
                long v = c.operand(o);
                c.set(o.a(), o.size(), Long.bitCount(v));
                c.setArithmeticFlags(v == 0 ? Cpu.ZF : 0);
            };

    /** CRC32 (polynomial 0x11edc6f41, reflected); {@code wide} is 0 for a byte operand. */
    static Op crc(Decoder d, boolean wide) {
        d.modrm();
        int to = d.reg;
        boolean large = (d.rex & 8) != 0;
        if (!wide) {
            d.bytes();
            d.a = to;
        }
        d.imm = large ? 8 : 4;
        return d.op(CRC);
    }

    static final Action CRC =
            (c, o) -> {
                if (!c.cpuid.ecx1(20)) {
                    throw c.undefined();
                }
                long v = c.operand(o);
                int crc = (int) c.regs[o.a()];
                for (int i = 0; i < o.size(); i++) {
                    crc ^= (int) (v >>> i * 8) & 0xff;
                    for (int bit = 0; bit < 8; bit++) {
                        crc = (crc & 1) != 0 ? crc >>> 1 ^ 0x82f63b78 : crc >>> 1;
                    }
                }
                c.set(o.a(), (int) o.imm(), crc & 0xffffffffL);
            };

    // ---- compare and exchange

    private static Op compareExchange(Decoder d) {
        d.lockable = d.memoryOperand();
        return d.op(d.memoryOperand() ? COMPARE_EXCHANGE_MEM : COMPARE_EXCHANGE_REG);
    }

    static final Action COMPARE_EXCHANGE_REG =
            (c, o) -> {
                int size = o.size();
                long old = c.get(o.b(), size);
                long want = c.get(Cpu.RAX, size);
                Alu.op(c, Alu.CMP, size, want, old);
                if (old == want) {
                    c.set(o.b(), size, c.get(o.a(), size));
                } else {
                    c.set(Cpu.RAX, size, old);
                }
            };

    static final Action COMPARE_EXCHANGE_MEM =
            (c, o) -> {
                int size = o.size();
                long la = c.target(o, size);
                c.checkWrite(la, size);
                long old = c.read(la, size);
                long want = c.get(Cpu.RAX, size);
                Alu.op(c, Alu.CMP, size, want, old);
                if (old == want) {
                    c.write(la, size, c.get(o.a(), size));
                } else {
                    c.write(la, size, old);
                    c.set(Cpu.RAX, size, old);
                }
            };

    static long pairAddress(Cpu c, Op o, int half) {
        if (half == 8 && !c.cpuid.ecx1(13)) {
            throw c.undefined();
        }
        long la = c.target(o, half * 2);
        if (half == 8 && (la & 15) != 0) {
            throw c.gp(0);
        }
        return la;
    }

    /** CMPXCHG8B and CMPXCHG16B. */
    static final Action COMPARE_EXCHANGE_PAIR =
            (c, o) -> {
                int half = o.size() == 8 ? 8 : 4;
                long la = pairAddress(c, o, half);
                c.checkWrite(la, half * 2);
                long low = c.read(la, half);
                long high = c.read(la + half, half);
                boolean same = low == c.get(Cpu.RAX, half) && high == c.get(Cpu.RDX, half);
                c.write(la, half, same ? c.get(Cpu.RBX, half) : low);
                c.write(la + half, half, same ? c.get(Cpu.RCX, half) : high);
                if (!same) {
                    c.set(Cpu.RAX, half, low);
                    c.set(Cpu.RDX, half, high);
                }
                c.setZero(same);
            };

    private static Op add(Decoder d) {
        d.lockable = d.memoryOperand();
        return d.op(d.memoryOperand() ? ADD_MEM : ADD_REG);
    }

    static final Action ADD_REG =
            (c, o) -> {
                int size = o.size();
                long old = c.get(o.b(), size);
                long sum = Alu.op(c, Alu.ADD, size, old, c.get(o.a(), size));
                c.set(o.a(), size, old);
                c.set(o.b(), size, sum);
            };

    static final Action ADD_MEM =
            (c, o) -> {
                int size = o.size();
                long la = c.target(o, size);
                c.checkWrite(la, size);
                long old = c.read(la, size);
                c.write(la, size, Alu.op(c, Alu.ADD, size, old, c.get(o.a(), size)));
                c.set(o.a(), size, old);
            };
}
