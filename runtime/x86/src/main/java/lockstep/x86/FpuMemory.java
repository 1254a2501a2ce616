package lockstep.x86;

import static lockstep.x86.Fpu.enabled;
import static lockstep.x86.Fpu.waiting;

import lockstep.x86.Op.Action;

/**
 * The x87's instructions that load from memory or store in it (Intel SDM volume 1, section 8.3.3;
 * volume 2).
 */
final class FpuMemory {
    private static final long LARGEST_DECIMAL = 999_999_999_999_999_999L;

    static final Action FLD80 =
            (c, o) -> {
                Fpu u = waiting(c);
                long la = c.source(o, 10);
                long m = c.read64(la);
                int e = c.read16(la + 8);
                u.note(c, o);
                FpuArithmetic.push(u, m, e);
            };

    static final Action FSTP80 =
            (c, o) -> {
                Fpu u = waiting(c);
                long la = c.target(o, 10);
                c.checkWrite(la, 10);
                u.note(c, o);
                if (u.empty(0)) {
                    if (u.underflow()) {
                        return;
                    }
                    c.write64(la, Float80.ONE | Float80.QUIET);
                    c.write16(la + 8, 0xffff);
                } else {
                    u.clearC1();
                    c.write64(la, u.mantissa[u.top]);
                    c.write16(la + 8, u.exponent[u.top]);
                }
                u.pop();
            };

    static final Action FBLD =
            (c, o) -> {
                Fpu u = waiting(c);
                long la = c.source(o, 10);
                long digits = c.read64(la);
                int top = c.read16(la + 8);
                u.note(c, o);
                long v = top >> 4 & 15;
                v = v * 10 + (top & 15);
                for (int i = 60; i >= 0; i -= 4) {
                    v = v * 10 + (digits >>> i & 15);
                }
                u.soft.y.loadInteger(v);
                u.soft.y.negative = (top & 0x8000) != 0;
                FpuArithmetic.pushLoaded(u);
            };

    static final Action FBSTP =
            (c, o) -> {
                Fpu u = waiting(c);
                long la = c.target(o, 10);
                c.checkWrite(la, 10);
                u.note(c, o);
                storeDecimal(c, u, la);
            };

    static final Action FLDCW =
            (c, o) -> {
                Fpu u = waiting(c);
                u.setControl(c.read16(c.source(o, 2)));
            };

    static final Action FNSTCW =
            (c, o) -> {
                Fpu u = enabled(c);
                c.write16(c.target(o, 2), u.control);
            };

    static final Action FNSTSW =
            (c, o) -> {
                Fpu u = enabled(c);
                c.write16(c.target(o, 2), u.statusWord());
            };

    static final Action FLDENV =
            (c, o) -> {
                Fpu u = waiting(c);
                int size = o.size() == 2 ? 14 : 28;
                long la = c.source(o, size);
                probe(c, la, size);
                loadEnvironment(c, u, la, o.size() == 2);
            };

    static final Action FNSTENV =
            (c, o) -> {
                Fpu u = enabled(c);
                int size = o.size() == 2 ? 14 : 28;
                long la = c.target(o, size);
                c.checkWrite(la, size);
                storeEnvironment(c, u, la, o.size() == 2);
                u.control |= 0x3f;
                u.summarize();
            };

    static final Action FRSTOR =
            (c, o) -> {
                Fpu u = waiting(c);
                int size = o.size() == 2 ? 14 : 28;
                long la = c.source(o, size + 80);
                probe(c, la, size + 80);
                loadEnvironment(c, u, la, o.size() == 2);
                for (int i = 0; i < 8; i++) {
                    int r = u.top + i & 7;
                    u.mantissa[r] = c.read64(la + size + i * 10);
                    u.exponent[r] = c.read16(la + size + i * 10 + 8);
                }
            };

    static final Action FNSAVE =
            (c, o) -> {
                Fpu u = enabled(c);
                int size = o.size() == 2 ? 14 : 28;
                long la = c.target(o, size + 80);
                c.checkWrite(la, size + 80);
                storeEnvironment(c, u, la, o.size() == 2);
                for (int i = 0; i < 8; i++) {
                    int r = u.top + i & 7;
                    c.write64(la + size + i * 10, u.mantissa[r]);
                    c.write16(la + size + i * 10 + 8, u.exponent[r]);
                }
                u.init();
            };

    private FpuMemory() {}

    /** Faults as a read of any of these bytes does. */
    private static void probe(Cpu c, long la, int size) {
        c.read8(la);
        c.read8(la + size - 1);
    }

    // ---- stores of numbers

    /** Rounds ST(0) to a format; false where nothing is to be stored, with the flags raised. */
    private static boolean rounded(Fpu u, int bits, int least, int most) {
        Float80 s = u.soft;
        s.flags = 0;
        s.roundedUp = false;
        u.load(s.x, 0);
        if (!u.nans(true)) {
            s.take(s.x, s.x.negative);
            s.round(bits, least, most, u.rounding(), u.trapped(), false);
        }
        if (u.forbids(s.flags)) {
            // What is not stored was not rounded either.
            u.clearC1();
            u.raise(s.flags & ~Float80.INEXACT);
            return false;
        }
        raise(u);
        return true;
    }

    private static void raise(Fpu u) {
        u.status = u.soft.roundedUp ? u.status | Fpu.C1 : u.status & ~Fpu.C1;
        u.raise(u.soft.flags);
    }

    static Action storeSingle(boolean pop) {
        return (c, o) -> {
            Fpu u = waiting(c);
            long la = c.target(o, 4);
            c.checkWrite(la, 4);
            u.note(c, o);
            if (u.empty(0)) {
                if (u.underflow()) {
                    return;
                }
                c.write32(la, 0xffc00000);
            } else {
                if (!rounded(u, 24, -126, 127)) {
                    return;
                }
                c.write32(la, u.soft.pack32());
            }
            if (pop) {
                u.pop();
            }
        };
    }

    static Action storeDouble(boolean pop) {
        return (c, o) -> {
            Fpu u = waiting(c);
            long la = c.target(o, 8);
            c.checkWrite(la, 8);
            u.note(c, o);
            if (u.empty(0)) {
                if (u.underflow()) {
                    return;
                }
                c.write64(la, 0xfff8000000000000L);
            } else {
                if (!rounded(u, 53, -1022, 1023)) {
                    return;
                }
                c.write64(la, u.soft.pack64());
            }
            if (pop) {
                u.pop();
            }
        };
    }

    static Action storeInteger(int size, boolean pop, boolean truncate) {
        return (c, o) -> {
            Fpu u = waiting(c);
            long la = c.target(o, size);
            c.checkWrite(la, size);
            u.note(c, o);
            long v;
            if (u.empty(0)) {
                if (u.underflow()) {
                    return;
                }
                v = -1L << size * 8 - 1;
            } else {
                Float80 s = u.soft;
                s.flags = 0;
                u.load(s.x, 0);
                v = s.integer(s.x, size * 8, truncate ? Float80.TRUNCATE : u.rounding());
                raise(u);
                if (u.forbids(s.flags)) {
                    return;
                }
            }
            c.write(la, size, v);
            if (pop) {
                u.pop();
            }
        };
    }

    private static void storeDecimal(Cpu c, Fpu u, long la) {
        Float80 s = u.soft;
        long digits = 0xc000000000000000L;
        int top = 0xffff;
        if (u.empty(0)) {
            if (u.underflow()) {
                return;
            }
        } else {
            s.flags = 0;
            u.load(s.x, 0);
            long v = s.integer(s.x, 64, u.rounding());
            if (Math.abs(v) > LARGEST_DECIMAL || v == Long.MIN_VALUE) {
                s.flags = Float80.INVALID;
                s.roundedUp = false;
            }
            raise(u);
            if (u.forbids(s.flags)) {
                return;
            }
            if ((s.flags & Float80.INVALID) == 0) {
                long rest = Math.abs(v);
                digits = 0;
                for (int i = 0; i < 64; i += 4) {
                    digits |= rest % 10 << i;
                    rest /= 10;
                }
                top = (int) (rest % 10 | rest / 10 << 4) | (s.x.negative ? 0x8000 : 0);
            }
        }
        c.write64(la, digits);
        c.write16(la + 8, top);
        u.pop();
    }

    // ---- the environment (volume 1, figures 8-9 to 8-12)

    private static void storeEnvironment(Cpu c, Fpu u, long la, boolean narrow) {
        long ip = u.instructionPointer;
        long dp = u.dataPointer;
        boolean real = c.realOrVirtual();
        if (real) {
            ip = ((long) u.codeSelector << 4) + u.instructionPointer;
            dp = ((long) u.dataSelector << 4) + u.dataPointer;
        }
        if (narrow) {
            c.write16(la, u.control);
            c.write16(la + 2, u.statusWord());
            c.write16(la + 4, u.tagWord());
            c.write16(la + 6, (int) ip);
            c.write16(la + 8, real ? (int) (ip >>> 16 & 15) << 12 | u.opcode : u.codeSelector);
            c.write16(la + 10, (int) dp);
            c.write16(la + 12, real ? (int) (dp >>> 16 & 15) << 12 : u.dataSelector);
            return;
        }
        c.write32(la, 0xffff0000 | u.control);
        c.write32(la + 4, 0xffff0000 | u.statusWord());
        c.write32(la + 8, 0xffff0000 | u.tagWord());
        if (real) {
            c.write32(la + 12, 0xffff0000 | (int) ip & 0xffff);
            c.write32(la + 16, (int) (ip >>> 16 & 0xffff) << 12 | u.opcode);
            c.write32(la + 20, 0xffff0000 | (int) dp & 0xffff);
            c.write32(la + 24, (int) (dp >>> 16 & 0xffff) << 12);
        } else {
            c.write32(la + 12, (int) ip);
            c.write32(la + 16, u.codeSelector | u.opcode << 16);
            c.write32(la + 20, (int) dp);
            c.write32(la + 24, 0xffff0000 | u.dataSelector);
        }
    }

    private static void loadEnvironment(Cpu c, Fpu u, long la, boolean narrow) {
        boolean real = c.realOrVirtual();
        int step = narrow ? 2 : 4;
        int control = c.read16(la);
        int status = c.read16(la + step);
        int tags = c.read16(la + 2 * step);
        long ip = c.read(la + 3 * step, step);
        long code = c.read(la + 4 * step, step);
        long dp = c.read(la + 5 * step, step);
        int data = (int) c.read(la + 6 * step, step);
        u.control = control & 0x1f7f | 0x40;
        u.setStatusWord(status);
        u.setTagWord(tags);
        if (real) {
            u.instructionPointer = ip & 0xffff | code >>> 12 << 16;
            u.opcode = (int) code & 0x7ff;
            u.codeSelector = 0;
            u.dataPointer = dp & 0xffff | (long) (data >>> 12) << 16;
            u.dataSelector = 0;
        } else {
            u.instructionPointer = ip;
            u.codeSelector = (int) code & 0xffff;
            u.opcode = narrow ? 0 : (int) (code >>> 16) & 0x7ff;
            u.dataPointer = dp;
            u.dataSelector = data & 0xffff;
        }
    }
}
