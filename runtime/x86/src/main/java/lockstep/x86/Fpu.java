package lockstep.x86;

import org.jspecify.annotations.Nullable;

/**
 * The state of the x87 unit, whose significands the MMX registers are, with its stack and its
 * exceptions (Intel SDM volume 1, chapter 8 and section 9.2). Registers are kept by their number,
 * not their place on the stack.
 *
 * <p>Where AMD's and Intel's processors differ, it does as AMD's, whose vendor string guests are
 * shown: comparisons give their conditions, and FLD loads a denormal, also when the exception is
 * not masked; FCMOV and FCOMI leave C1 alone.
 */
final class Fpu {
    static final int CONTROL_INIT = 0x37f;

    // The status word beside the six exception flags.
    static final int STACK_FAULT = 0x40;
    static final int SUMMARY = 0x80;
    static final int C0 = 0x100;
    static final int C1 = 0x200;
    static final int C2 = 0x400;
    static final int C3 = 0x4000;
    static final int BUSY = 0x8000;
    static final int CONDITIONS = C0 | C1 | C2 | C3;
    private static final int FLAGS = 0x3f;
    private static final int TOP = 0x3800;

    /**
     * Found before a result: with one of them not masked, nothing is stored and the stack stays as
     * it is.
     */
    private static final int BEFORE = Float80.INVALID | Float80.DENORMAL | Float80.DIVIDE;

    /**
     * How far an overflow or underflow that is not masked shifts the exponent (volume 1, section
     * 8.5.4).
     */
    private static final int SCALE = 0x6000;

    final long[] mantissa = new long[8];

    /** Sign, in bit 15, and exponent. */
    final int[] exponent = new int[8];

    final Float80 soft = new Float80();

    /** A bit per register that is not empty. */
    int valid;

    int top;
    int control = CONTROL_INIT;

    /** The status word without the top of the stack. */
    int status;

    // ---- the last instruction that was none of control
    int opcode;
    long instructionPointer;
    long dataPointer;
    int codeSelector;
    int dataSelector;

    /**
     * Told of an exception when CR0.NE is clear: what the processor's pin FERR# reports, to IRQ 13
     * in a PC.
     */
    @Nullable Runnable ferr;

    /** Whether lanes of one SSE instruction are being computed, and what they found. */
    boolean packed;

    int found;

    // ---- permission

    /** The unit, where the system allows x87 instructions; also with an exception pending. */
    static Fpu enabled(Cpu c) {
        if ((c.cr0 & (Cpu.EM | Cpu.TS)) != 0) {
            throw c.fault(GuestFault.NM, GuestFault.NONE);
        }
        return c.fpu;
    }

    /** Likewise, for an instruction that first waits for pending exceptions. */
    static Fpu waiting(Cpu c) {
        Fpu u = enabled(c);
        if ((u.status & SUMMARY) != 0) {
            check(c);
        }
        return u;
    }

    /** Fails where an exception that is not masked is pending. */
    static void check(Cpu c) {
        Fpu u = c.fpu;
        if ((u.status & SUMMARY) == 0) {
            return;
        }
        if ((c.cr0 & Cpu.NE) != 0) {
            throw c.fault(GuestFault.MF, GuestFault.NONE);
        }
        Runnable line = u.ferr;
        if (line != null) {
            line.run();
        }
    }

    /** Notes an instruction and its operand for FSTENV. */
    void note(Cpu c, Op o) {
        opcode = o.repeat();
        instructionPointer = c.regs[Cpu.BLOCK] + o.offset();
        codeSelector = c.selector[Cpu.CS];
        if (o.inMemory()) {
            dataPointer = c.offset(o);
            dataSelector = o.segment() == Cpu.NONE ? 0 : c.selector[o.segment()];
        }
    }

    // ---- MMX

    /** What every MMX instruction but EMMS does. */
    void enterMmx() {
        top = 0;
        valid = 0xff;
    }

    void leaveMmx() {
        valid = 0;
        top = 0;
    }

    // ---- stack

    boolean empty(int i) {
        return (valid >> (top + i & 7) & 1) == 0;
    }

    void pop() {
        valid &= ~(1 << top);
        top = top + 1 & 7;
    }

    /** Makes the new top of the stack; the register is written next. */
    void push() {
        top = top - 1 & 7;
        valid |= 1 << top;
    }

    void set(int i, long m, int e) {
        int r = top + i & 7;
        mantissa[r] = m;
        exponent[r] = e;
        valid |= 1 << r;
    }

    void copy(int from, int to) {
        set(to, mantissa[top + from & 7], exponent[top + from & 7]);
    }

    void indefinite(int i) {
        set(i, Float80.ONE | Float80.QUIET, 0xffff);
    }

    void load(FloatValue v, int i) {
        int r = top + i & 7;
        v.load80(mantissa[r], exponent[r]);
    }

    // ---- exceptions

    int rounding() {
        return control >> 10 & 3;
    }

    /** Exceptions that are not masked. */
    int trapped() {
        return ~control & FLAGS;
    }

    /** Sets C0 to C3. */
    void conditions(int c) {
        status = status & ~CONDITIONS | c;
    }

    void clearC1() {
        status &= ~C1;
    }

    /** Sets flags; whether one of them that forbids a result is not masked. */
    boolean raise(int flags) {
        status |= flags;
        if ((flags & ~control & FLAGS) == 0) {
            return false;
        }
        status |= SUMMARY | BUSY;
        return (flags & ~control & BEFORE) != 0;
    }

    /** Whether flags forbid that a result goes to memory. */
    boolean forbids(int flags) {
        return (flags & trapped() & (BEFORE | Float80.OVERFLOW | Float80.UNDERFLOW)) != 0;
    }

    /** An operand is an empty register; whether nothing is to be stored. */
    boolean underflow() {
        clearC1();
        return raise(Float80.INVALID | STACK_FAULT);
    }

    /** A push would hit a register in use; whether nothing is to be stored. */
    boolean overflow() {
        boolean stop = raise(Float80.INVALID | STACK_FAULT);
        status |= C1;
        return stop;
    }

    /** After a change of the control word or the flags: whether an exception is pending. */
    void summarize() {
        if ((status & ~control & FLAGS) != 0) {
            status |= SUMMARY | BUSY;
        } else {
            status &= ~(SUMMARY | BUSY);
        }
    }

    // ---- results

    private int precision() {
        return switch (control >> 8 & 3) {
            case 0 -> 24;
            case 2 -> 53;
            default -> 64;
        };
    }

    /** Rounds the result of {@link #soft} as precision control says, and stores it. */
    void finish(int i) {
        finish(i, precision());
    }

    /** Rounds the result to {@code bits} and stores it; its flags are raised. */
    void finish(int i, int bits) {
        Float80 s = soft;
        int trapped = trapped();
        s.round(bits, -16382, 16383, rounding(), trapped, false);
        if (s.kind == FloatValue.Kind.FINITE) {
            if (s.exponent > 16383) {
                s.exponent -= SCALE;
            } else if (s.exponent < -16382) {
                s.exponent += SCALE;
            }
            if (s.exponent < -16382) {
                s.flags |= Float80.INEXACT;
                s.roundedUp = false;
                s.zero(s.negative);
            } else if (s.exponent > 16383) {
                s.flags |= Float80.INEXACT;
                s.roundedUp = true;
                s.infinite(s.negative);
            }
        }
        status = s.roundedUp ? status | C1 : status & ~C1;
        raise(s.flags);
        set(i, s.mantissa80(), s.exponent80());
    }

    /**
     * Takes care of NaNs and unsupported encodings among the operands: the result is one of the
     * NaNs (volume 1, table 4-7). False where there are none.
     */
    boolean nans(boolean unary) {
        Float80 s = soft;
        FloatValue x = s.x;
        FloatValue y = unary ? x : s.y;
        if (x.kind == FloatValue.Kind.UNSUPPORTED || y.kind == FloatValue.Kind.UNSUPPORTED) {
            s.flags |= Float80.INVALID;
            s.notANumber(true, Float80.ONE | Float80.QUIET);
            return true;
        }
        if (!x.nan() && !y.nan()) {
            return false;
        }
        if (x.signalling() || y.signalling()) {
            s.flags |= Float80.INVALID;
        }
        boolean first = x.nan();
        if (first && y.nan()) {
            if (x.signalling() != y.signalling()) {
                first = y.signalling();
            } else {
                int greater = Long.compareUnsigned(x.significand, y.significand);
                first = greater > 0 || greater == 0 && !x.negative;
            }
        }
        FloatValue n = first ? x : y;
        s.notANumber(n.negative, n.significand | Float80.QUIET);
        return true;
    }

    /**
     * Computes with the operands in {@link #soft} and stores in a register; whether the stack may
     * be popped.
     */
    boolean operate(int operation, int destination) {
        Float80 s = soft;
        s.flags = 0;
        s.roundedUp = false;
        boolean unary = operation == Float80.SQUARE_ROOT;
        if (!nans(unary)) {
            s.operate(operation, rounding());
            if ((s.flags & (Float80.INVALID | Float80.DIVIDE)) == 0
                    && (s.x.denormal || !unary && s.y.denormal)) {
                s.flags |= Float80.DENORMAL;
            }
        }
        if ((s.flags & trapped() & BEFORE) != 0) {
            clearC1();
            raise(s.flags);
            return false;
        }
        finish(destination);
        return true;
    }

    // ---- control

    void init() {
        control = CONTROL_INIT;
        status = 0;
        top = 0;
        valid = 0;
        opcode = 0;
        instructionPointer = 0;
        dataPointer = 0;
        codeSelector = 0;
        dataSelector = 0;
    }

    int statusWord() {
        return status | top << 11;
    }

    void setStatusWord(int v) {
        top = v >> 11 & 7;
        status = v & 0xffff & ~TOP;
        summarize();
    }

    void setControl(int v) {
        control = v & 0x1f7f | 0x40;
        summarize();
    }

    /** The tag word of FSTENV: two bits a register. */
    int tagWord() {
        int tags = 0;
        for (int r = 0; r < 8; r++) {
            int tag;
            int e = exponent[r] & 0x7fff;
            if ((valid >> r & 1) == 0) {
                tag = 3;
            } else if (e == 0 && mantissa[r] == 0) {
                tag = 1;
            } else if (e == 0 || e == 0x7fff || mantissa[r] >= 0) {
                tag = 2;
            } else {
                tag = 0;
            }
            tags |= tag << r * 2;
        }
        return tags;
    }

    void setTagWord(int tags) {
        valid = 0;
        for (int r = 0; r < 8; r++) {
            if ((tags >> r * 2 & 3) != 3) {
                valid |= 1 << r;
            }
        }
    }

    // ---- to and from the outside

    /** Takes the state out, as FXSAVE does. */
    void save(Registers r) {
        r.fcw = control;
        r.fsw = statusWord();
        r.ftw = valid;
        r.fop = opcode;
        r.fip = instructionPointer;
        r.fdp = dataPointer;
        for (int i = 0; i < 8; i++) {
            r.mantissa[i] = mantissa[top + i & 7];
            r.exponent[i] = exponent[top + i & 7];
        }
    }

    /** Puts a state in force. */
    void load(Registers r) {
        control = r.fcw & 0x1f7f | 0x40;
        setStatusWord(r.fsw);
        valid = r.ftw & 0xff;
        opcode = r.fop & 0x7ff;
        instructionPointer = r.fip;
        dataPointer = r.fdp;
        for (int i = 0; i < 8; i++) {
            mantissa[top + i & 7] = r.mantissa[i];
            exponent[top + i & 7] = r.exponent[i] & 0xffff;
        }
    }
}
