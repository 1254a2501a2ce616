package lockstep.x86;

/** Arithmetic and its flags (Intel SDM volume 1, section 3.4.3.1; volume 2). */
final class Alu {
    static final int ADD = 0;
    static final int OR = 1;
    static final int ADC = 2;
    static final int SBB = 3;
    static final int AND = 4;
    static final int SUB = 5;
    static final int XOR = 6;
    static final int CMP = 7;

    private Alu() {}

    /** One of the eight operations on 8 bits. */
    static int op8(Cpu c, int kind, int a, int b) {
        return narrow(c, kind, a & 0xff, b & 0xff, 56);
    }

    /** One of the eight operations on 16 bits. */
    static int op16(Cpu c, int kind, int a, int b) {
        return narrow(c, kind, a & 0xffff, b & 0xffff, 48);
    }

    private static int narrow(Cpu c, int kind, int a, int b, int shift) {
        int r;
        int vector;
        switch (kind) {
            case ADD, ADC -> {
                r = a + b + (kind == ADC && c.carry() ? 1 : 0);
                vector = a & b | (a | b) & ~r;
            }
            case SUB, SBB, CMP -> {
                r = a - b - (kind == SBB && c.carry() ? 1 : 0);
                vector = ~a & b | ~(a ^ b) & r;
            }
            case OR -> {
                r = a | b;
                vector = 0;
            }
            case AND -> {
                r = a & b;
                vector = 0;
            }
            default -> {
                r = a ^ b;
                vector = 0;
            }
        }
        c.result = (long) r << shift >> shift;
        c.carries = (long) vector << shift & Cpu.TOP | vector & 8;
        return r;
    }

    /** One of the eight operations on 32 bits. */
    static int op32(Cpu c, int kind, int a, int b) {
        int r;
        int vector;
        switch (kind) {
            case ADD -> {
                r = a + b;
                vector = a & b | (a | b) & ~r;
            }
            case OR -> {
                r = a | b;
                vector = 0;
            }
            case ADC -> {
                r = a + b + (c.carry() ? 1 : 0);
                vector = a & b | (a | b) & ~r;
            }
            case SBB -> {
                r = a - b - (c.carry() ? 1 : 0);
                vector = ~a & b | ~(a ^ b) & r;
            }
            case AND -> {
                r = a & b;
                vector = 0;
            }
            case XOR -> {
                r = a ^ b;
                vector = 0;
            }
            default -> {
                r = a - b;
                vector = ~a & b | ~(a ^ b) & r;
            }
        }
        c.result = r;
        c.carries = (long) vector << 32 & Cpu.TOP | vector & 8;
        return r;
    }

    /** One of the eight operations on 64 bits. */
    static long op64(Cpu c, int kind, long a, long b) {
        long r;
        long vector;
        switch (kind) {
            case ADD -> {
                r = a + b;
                vector = a & b | (a | b) & ~r;
            }
            case OR -> {
                r = a | b;
                vector = 0;
            }
            case ADC -> {
                r = a + b + (c.carry() ? 1 : 0);
                vector = a & b | (a | b) & ~r;
            }
            case SBB -> {
                r = a - b - (c.carry() ? 1 : 0);
                vector = ~a & b | ~(a ^ b) & r;
            }
            case AND -> {
                r = a & b;
                vector = 0;
            }
            case XOR -> {
                r = a ^ b;
                vector = 0;
            }
            default -> {
                r = a - b;
                vector = ~a & b | ~(a ^ b) & r;
            }
        }
        c.result = r;
        c.carries = vector & (Cpu.TOP | 8);
        return r;
    }

    /** An operation on {@code size} bytes. */
    static long op(Cpu c, int kind, int size, long a, long b) {
        return switch (size) {
            case 1 -> op8(c, kind, (int) a, (int) b);
            case 2 -> op16(c, kind, (int) a, (int) b);
            case 4 -> op32(c, kind, (int) a, (int) b);
            default -> op64(c, kind, a, b);
        };
    }

    /** Sets the flags of a result without carries. */
    static void logic(Cpu c, int size, long r) {
        int drop = 64 - size * 8;
        c.result = r << drop >> drop;
        c.carries = 0;
    }

    /** INC and DEC: as ADD and SUB, but CF stays. */
    static long step(Cpu c, int kind, int size, long a) {
        long old = c.carries;
        long r = op(c, kind, size, a, 1);
        if ((c.carries ^ old) < 0) {
            c.carries ^= Cpu.TOP;
        }
        return r;
    }

    static final int ROL = 0;
    static final int ROR = 1;
    static final int RCL = 2;
    static final int RCR = 3;
    static final int SHL = 4;
    static final int SHR = 5;
    static final int SAR = 7;

    /** Shifts and rotates {@code a} of {@code size} bytes, zero-extended; {@code kind} is the reg field. */
    static long shift(Cpu c, int kind, int size, long a, int count) {
        int n = count & (size == 8 ? 63 : 31);
        if (n == 0) {
            return a;
        }
        return switch (kind) {
            case ROL -> rotateLeft(c, size, a, n);
            case ROR -> rotateRight(c, size, a, n);
            case RCL -> rotateLeftCarry(c, size, a, n);
            case RCR -> rotateRightCarry(c, size, a, n);
            case SHR -> shiftRight(c, size, a, n);
            case SAR -> shiftRightSigned(c, size, a, n);
            default -> shiftLeft(c, size, a, n);
        };
    }

    private static long rotateLeft(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        int m = n & bits - 1;
        long r = m == 0 ? a : zeroExtend(a << m | a >>> bits - m, size);
        boolean carry = (r & 1) != 0;
        c.setCarryOverflow(carry, (r >>> bits - 1 & 1) != 0 != carry);
        return r;
    }

    private static long rotateRight(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        int m = n & bits - 1;
        long r = m == 0 ? a : zeroExtend(a >>> m | a << bits - m, size);
        boolean carry = (r >>> bits - 1 & 1) != 0;
        c.setCarryOverflow(carry, (r >>> bits - 2 & 1) != 0 != carry);
        return r;
    }

    private static long rotateLeftCarry(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        int m = n % (bits + 1);
        if (m == 0) {
            return a;
        }
        long in = c.carry() ? 1 : 0;
        boolean carry = (a >>> bits - m & 1) != 0;
        long high = m == 64 ? 0 : a << m;
        long r = zeroExtend(high | in << m - 1 | (m < 2 ? 0 : a >>> bits + 1 - m), size);
        c.setCarryOverflow(carry, (r >>> bits - 1 & 1) != 0 != carry);
        return r;
    }

    private static long rotateRightCarry(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        int m = n % (bits + 1);
        if (m == 0) {
            return a;
        }
        long in = c.carry() ? 1 : 0;
        boolean carry = (a >>> m - 1 & 1) != 0;
        long low = m == 64 ? 0 : a >>> m;
        long r = zeroExtend(low | in << bits - m | (m < 2 ? 0 : a << bits + 1 - m), size);
        c.setCarryOverflow(carry, (r >>> bits - 1 & 1) != 0 != ((r >>> bits - 2 & 1) != 0));
        return r;
    }

    private static long shiftLeft(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        boolean carry = n <= bits && (a >>> bits - n & 1) != 0;
        long r = n >= bits ? 0 : zeroExtend(a << n, size);
        logic(c, size, r);
        // OF is the difference of CF and the result's sign: so bit 62 is the sign.
        c.carries = (carry ? 1L << 63 : 0) | (c.result < 0 ? 1L << 62 : 0);
        return r;
    }

    private static long shiftRight(Cpu c, int size, long a, int n) {
        int bits = size * 8;
        boolean carry = n <= bits && (a >>> n - 1 & 1) != 0;
        long r = n >= bits ? 0 : a >>> n;
        logic(c, size, r);
        c.setCarryOverflow(carry, n <= bits && a >>> n - 1 << 64 - bits < 0);
        return r;
    }

    private static long shiftRightSigned(Cpu c, int size, long a, int n) {
        long s = signExtend(a, size);
        boolean carry = (s >> n - 1 & 1) != 0;
        long r = zeroExtend(s >> n, size);
        logic(c, size, r);
        c.setCarryOverflow(carry, false);
        return r;
    }

    /** SHLD. */
    static long shiftLeftDouble(Cpu c, int size, long a, long b, int count) {
        int bits = size * 8;
        int n = count & (size == 8 ? 63 : 31);
        if (n == 0) {
            return a;
        }
        long mask = size == 8 ? -1 : (1L << bits) - 1;
        long r;
        boolean carry;
        if (n <= bits) {
            r = n == bits ? b : (a << n | b >>> bits - n) & mask;
            carry = (a >>> bits - n & 1) != 0;
        } else {
            // More than 16 bits of 16: what processors do, the operands taken round.
            r = (b << n - bits | a >>> 2 * bits - n) & mask;
            carry = (b >>> 2 * bits - n & 1) != 0;
        }
        logic(c, size, r);
        c.setCarryOverflow(carry, ((a ^ r) >>> bits - 1 & 1) != 0);
        return r;
    }

    /** SHRD. */
    static long shiftRightDouble(Cpu c, int size, long a, long b, int count) {
        int bits = size * 8;
        int n = count & (size == 8 ? 63 : 31);
        if (n == 0) {
            return a;
        }
        long mask = size == 8 ? -1 : (1L << bits) - 1;
        long r;
        boolean carry;
        if (n <= bits) {
            r = n == bits ? b : (a >>> n | b << bits - n) & mask;
            carry = (a >>> n - 1 & 1) != 0;
        } else {
            r = (b >>> n - bits | a << 2 * bits - n) & mask;
            carry = (b >>> n - bits - 1 & 1) != 0;
        }
        logic(c, size, r);
        c.setCarryOverflow(carry, ((a ^ r) >>> bits - 1 & 1) != 0);
        return r;
    }

    // ---- multiplication and division

    /** Flags of a product: whether the high half says more than the sign or zero extension of the low one. */
    static void product(Cpu c, int size, long low, boolean wider) {
        logic(c, size, low);
        c.setCarryOverflow(wider, wider);
    }

    /** IMUL with two or three operands; both sign-extended. */
    static long signedProduct(Cpu c, int size, long a, long b) {
        if (size == 8) {
            long low = a * b;
            product(c, 8, low, Math.multiplyHigh(a, b) != low >> 63);
            return low;
        }
        long whole = a * b;
        int drop = 64 - size * 8;
        long low = whole << drop >> drop;
        product(c, size, low, low != whole);
        return low;
    }

    static long signExtend(long v, int size) {
        int drop = 64 - size * 8;
        return v << drop >> drop;
    }

    static long zeroExtend(long v, int size) {
        return size == 8 ? v : v & (1L << size * 8) - 1;
    }

    /** MUL of the accumulator. */
    static void multiply(Cpu c, int size, long b) {
        long a = c.get(Cpu.RAX, size);
        if (size == 8) {
            long low = a * b;
            long high = Math.unsignedMultiplyHigh(a, b);
            c.regs[Cpu.RAX] = low;
            c.regs[Cpu.RDX] = high;
            product(c, 8, low, high != 0);
            return;
        }
        long whole = a * b;
        long high = whole >>> size * 8;
        if (size == 1) {
            c.set16(Cpu.RAX, (int) whole);
        } else {
            c.set(Cpu.RAX, size, whole);
            c.set(Cpu.RDX, size, high);
        }
        product(c, size, whole, high != 0);
    }

    /** IMUL of the accumulator; {@code b} sign-extended. */
    static void multiplySigned(Cpu c, int size, long b) {
        long a = signExtend(c.get(Cpu.RAX, size), size);
        if (size == 8) {
            long low = a * b;
            long high = Math.multiplyHigh(a, b);
            c.regs[Cpu.RAX] = low;
            c.regs[Cpu.RDX] = high;
            product(c, 8, low, high != low >> 63);
            return;
        }
        long whole = a * b;
        if (size == 1) {
            c.set16(Cpu.RAX, (int) whole);
        } else {
            c.set(Cpu.RAX, size, whole);
            c.set(Cpu.RDX, size, whole >> size * 8);
        }
        product(c, size, whole, signExtend(whole, size) != whole);
    }

    /** DIV of the accumulator. */
    static void divide(Cpu c, int size, long b) {
        if (b == 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        if (size == 8) {
            divideWide(c, b);
            return;
        }
        long a =
                switch (size) {
                    case 1 -> c.get16(Cpu.RAX);
                    case 2 -> (long) c.get16(Cpu.RDX) << 16 | c.get16(Cpu.RAX);
                    default -> c.regs[Cpu.RDX] << 32 | c.regs[Cpu.RAX] & 0xffffffffL;
                };
        long q = Long.divideUnsigned(a, b);
        if (q >>> size * 8 != 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        quotient(c, size, q, Long.remainderUnsigned(a, b));
    }

    private static void quotient(Cpu c, int size, long q, long r) {
        if (size == 1) {
            c.set16(Cpu.RAX, (int) (q & 0xff | (r & 0xff) << 8));
        } else {
            c.set(Cpu.RAX, size, q);
            c.set(Cpu.RDX, size, r);
        }
    }

    private static void divideWide(Cpu c, long b) {
        long high = c.regs[Cpu.RDX];
        long low = c.regs[Cpu.RAX];
        if (Long.compareUnsigned(high, b) >= 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        if (high == 0) {
            c.regs[Cpu.RAX] = Long.divideUnsigned(low, b);
            c.regs[Cpu.RDX] = Long.remainderUnsigned(low, b);
            return;
        }
        long q = 0;
        long r = high;
        for (int i = 63; i >= 0; i--) {
            boolean out = r < 0;
            r = r << 1 | low >>> i & 1;
            if (out || Long.compareUnsigned(r, b) >= 0) {
                r -= b;
                q |= 1L << i;
            }
        }
        c.regs[Cpu.RAX] = q;
        c.regs[Cpu.RDX] = r;
    }

    /** IDIV of the accumulator; {@code b} sign-extended. */
    static void divideSigned(Cpu c, int size, long b) {
        if (b == 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        if (size == 8) {
            divideSignedWide(c, b);
            return;
        }
        long a =
                switch (size) {
                    case 1 -> (short) c.regs[Cpu.RAX];
                    case 2 -> (long) (short) c.regs[Cpu.RDX] << 16 | c.get16(Cpu.RAX);
                    default -> c.regs[Cpu.RDX] << 32 | c.regs[Cpu.RAX] & 0xffffffffL;
                };
        // The most negative number over -1 does not fit either.
        long q = a == Long.MIN_VALUE && b == -1 ? Long.MAX_VALUE : a / b;
        if (q != signExtend(q, size)) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        quotient(c, size, q, a % b);
    }

    private static void divideSignedWide(Cpu c, long b) {
        long high = c.regs[Cpu.RDX];
        long low = c.regs[Cpu.RAX];
        boolean negative = high < 0;
        long divisor = Math.abs(b);
        if (negative) {
            low = -low;
            high = ~high + (low == 0 ? 1 : 0);
        }
        if (Long.compareUnsigned(high, divisor) >= 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        long q = 0;
        long r = high;
        if (high == 0) {
            q = Long.divideUnsigned(low, divisor);
            r = Long.remainderUnsigned(low, divisor);
        } else {
            for (int i = 63; i >= 0; i--) {
                boolean out = r < 0;
                r = r << 1 | low >>> i & 1;
                if (out || Long.compareUnsigned(r, divisor) >= 0) {
                    r -= divisor;
                    q |= 1L << i;
                }
            }
        }
        boolean minus = negative != b < 0;
        if (minus ? Long.compareUnsigned(q, 1L << 63) > 0 : q < 0) {
            throw c.fault(GuestFault.DE, GuestFault.NONE);
        }
        c.regs[Cpu.RAX] = minus ? -q : q;
        c.regs[Cpu.RDX] = negative ? -r : r;
    }
}
