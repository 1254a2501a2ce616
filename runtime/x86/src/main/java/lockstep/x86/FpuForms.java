package lockstep.x86;

import static lockstep.x86.Fpu.enabled;
import static lockstep.x86.Fpu.waiting;

import lockstep.x86.Op.Action;

import org.jspecify.annotations.Nullable;

/**
 * The opcodes of the x87, D8 to DF, and FWAIT (Intel SDM volume 2, appendix B.17). In their {@link
 * Op}, a is the stack register that the ModRM byte names and repeat the opcode of 11 bits that
 * FSTENV stores.
 */
final class FpuForms {
    /** By opcode and reg field, for memory operands. */
    private static final @Nullable Action[] MEMORY = new @Nullable Action[64];

    /** By opcode and ModRM byte without its upper two bits. */
    private static final @Nullable Action[] REGISTER = new @Nullable Action[512];

    private static final Action FWAIT =
            (c, o) -> {
                if ((c.cr0 & (Cpu.MP | Cpu.TS)) == (Cpu.MP | Cpu.TS)) {
                    throw c.fault(GuestFault.NM, GuestFault.NONE);
                }
                Fpu.check(c);
            };

    /** Some opcodes of old coprocessors do nothing. */
    private static final Action IGNORED = (c, o) -> enabled(c);

    static {
        arithmetic();
        memory();
        stack();
        control();
        constants();
        functions();
    }

    private FpuForms() {}

    static void install(Decoder.Form[] one) {
        for (int opcode = 0xd8; opcode <= 0xdf; opcode++) {
            one[opcode] = FpuForms::decode;
        }
        one[0x9b] = d -> d.op(FWAIT);
    }

    private static Op decode(Decoder d) {
        int group = d.opcode & 7;
        d.modrm();
        int reg = d.reg & 7;
        int rm = d.rm & 7;
        Action action =
                d.memoryOperand() ? MEMORY[group << 3 | reg] : REGISTER[group << 6 | reg << 3 | rm];
        if (action == null) {
            throw d.none();
        }
        d.a = rm;
        d.repeat = group << 8 | d.mod << 6 | reg << 3 | rm;
        return d.op(action);
    }

    private static void register(int opcode, int reg, Action action) {
        for (int rm = 0; rm < 8; rm++) {
            register(opcode, reg, rm, action);
        }
    }

    private static void register(int opcode, int reg, int rm, Action action) {
        REGISTER[(opcode & 7) << 6 | reg << 3 | rm] = action;
    }

    private static void memory(int opcode, int reg, Action action) {
        MEMORY[(opcode & 7) << 3 | reg] = action;
    }

    // ---- FADD to FDIVR, by the reg field

    private static void arithmetic() {
        for (int reg = 0; reg < 8; reg++) {
            int kind = reg;
            if (kind == 2 || kind == 3) {
                comparisons(kind);
                continue;
            }
            memory(0xd8, kind, single((c, u) -> FpuArithmetic.withLoaded(u, kind)));
            memory(0xda, kind, integer32((c, u) -> FpuArithmetic.withLoaded(u, kind)));
            memory(0xdc, kind, doubled((c, u) -> FpuArithmetic.withLoaded(u, kind)));
            memory(0xde, kind, integer16((c, u) -> FpuArithmetic.withLoaded(u, kind)));
            register(0xd8, kind, onStack((u, i) -> FpuArithmetic.toTop(u, kind, i)));
            // To ST(i), the codes of FSUB and FSUBR are exchanged, and so are those of FDIV and
            // FDIVR.
            int back = kind >= 4 ? kind ^ 1 : kind;
            register(0xdc, kind, onStack((u, i) -> FpuArithmetic.toRegister(u, back, i, false)));
            register(0xde, kind, onStack((u, i) -> FpuArithmetic.toRegister(u, back, i, true)));
        }
    }

    private static void comparisons(int kind) {
        int pops = kind == 3 ? 1 : 0;
        memory(0xd8, kind, single((c, u) -> FpuArithmetic.compareLoaded(u, pops)));
        memory(0xda, kind, integer32((c, u) -> FpuArithmetic.compareLoaded(u, pops)));
        memory(0xdc, kind, doubled((c, u) -> FpuArithmetic.compareLoaded(u, pops)));
        memory(0xde, kind, integer16((c, u) -> FpuArithmetic.compareLoaded(u, pops)));
        Action compare = onStack((u, i) -> FpuArithmetic.compare(u, i, false, pops));
        register(0xd8, kind, compare);
        register(0xdc, kind, compare);
    }

    /**
     * What an instruction does with the top of the stack and an operand in the y of the arithmetic.
     */
    @FunctionalInterface
    private interface WithOperand {
        void run(Cpu c, Fpu u);
    }

    /** What an instruction does with ST(i). */
    @FunctionalInterface
    private interface OnStack {
        void run(Fpu u, int i);
    }

    private static Action single(WithOperand w) {
        return (c, o) -> {
            Fpu u = waiting(c);
            int v = c.read32(c.source(o, 4));
            u.note(c, o);
            u.soft.y.load32(v, false);
            w.run(c, u);
        };
    }

    private static Action doubled(WithOperand w) {
        return (c, o) -> {
            Fpu u = waiting(c);
            long v = c.read64(c.source(o, 8));
            u.note(c, o);
            u.soft.y.load64(v, false);
            w.run(c, u);
        };
    }

    private static Action integer16(WithOperand w) {
        return (c, o) -> {
            Fpu u = waiting(c);
            int v = c.read16(c.source(o, 2));
            u.note(c, o);
            u.soft.y.loadInteger((short) v);
            w.run(c, u);
        };
    }

    private static Action integer32(WithOperand w) {
        return (c, o) -> {
            Fpu u = waiting(c);
            int v = c.read32(c.source(o, 4));
            u.note(c, o);
            u.soft.y.loadInteger(v);
            w.run(c, u);
        };
    }

    private static Action integer64(WithOperand w) {
        return (c, o) -> {
            Fpu u = waiting(c);
            long v = c.read64(c.source(o, 8));
            u.note(c, o);
            u.soft.y.loadInteger(v);
            w.run(c, u);
        };
    }

    private static Action onStack(OnStack s) {
        return (c, o) -> {
            Fpu u = waiting(c);
            u.note(c, o);
            s.run(u, o.a());
        };
    }

    // ---- loads and stores

    private static void memory() {
        WithOperand load = (c, u) -> FpuArithmetic.pushLoaded(u);
        memory(0xd9, 0, single(load));
        memory(0xdd, 0, doubled(load));
        memory(0xdb, 0, integer32(load));
        memory(0xdf, 0, integer16(load));
        memory(0xdf, 5, integer64(load));
        memory(0xdb, 5, FpuMemory.FLD80);
        memory(0xdf, 4, FpuMemory.FBLD);
        memory(0xd9, 2, FpuMemory.storeSingle(false));
        memory(0xd9, 3, FpuMemory.storeSingle(true));
        memory(0xdd, 2, FpuMemory.storeDouble(false));
        memory(0xdd, 3, FpuMemory.storeDouble(true));
        memory(0xdb, 7, FpuMemory.FSTP80);
        memory(0xdf, 6, FpuMemory.FBSTP);
        int[][] integers = {{0xdf, 2}, {0xdb, 4}};
        for (int[] i : integers) {
            memory(i[0], 1, truncating(i[1]));
            memory(i[0], 2, FpuMemory.storeInteger(i[1], false, false));
            memory(i[0], 3, FpuMemory.storeInteger(i[1], true, false));
        }
        memory(0xdd, 1, truncating(8));
        memory(0xdf, 7, FpuMemory.storeInteger(8, true, false));
    }

    /** FISTTP, which came with SSE3. */
    private static Action truncating(int size) {
        return SseForms.needs(SseForms.SSE3, FpuMemory.storeInteger(size, true, true));
    }

    // ---- the stack and comparisons of registers

    private static void stack() {
        register(0xd9, 0, onStack(FpuArithmetic::loadRegister));
        Action exchange = onStack(FpuArithmetic::exchange);
        register(0xd9, 1, exchange);
        register(0xdd, 1, exchange);
        register(0xdf, 1, exchange);
        Action storePop = onStack((u, i) -> FpuArithmetic.storeRegister(u, i, true));
        register(0xd9, 3, storePop);
        register(0xdd, 2, onStack((u, i) -> FpuArithmetic.storeRegister(u, i, false)));
        register(0xdd, 3, storePop);
        register(0xdf, 2, storePop);
        register(0xdf, 3, storePop);
        register(0xdd, 0, onStack(FpuArithmetic::free));
        register(
                0xdf,
                0,
                onStack(
                        (u, i) -> {
                            FpuArithmetic.free(u, i);
                            u.pop();
                        }));
        register(0xdd, 4, onStack((u, i) -> FpuArithmetic.compare(u, i, true, 0)));
        register(0xdd, 5, onStack((u, i) -> FpuArithmetic.compare(u, i, true, 1)));
        register(0xda, 5, 1, onStack((u, i) -> FpuArithmetic.compare(u, 1, true, 2)));
        register(0xde, 3, 1, onStack((u, i) -> FpuArithmetic.compare(u, 1, false, 2)));
        register(0xde, 2, onStack((u, i) -> FpuArithmetic.compare(u, i, false, 1)));
        register(0xdb, 5, toFlags(true, false));
        register(0xdb, 6, toFlags(false, false));
        register(0xdf, 5, toFlags(true, true));
        register(0xdf, 6, toFlags(false, true));
        for (int n = 0; n < 4; n++) {
            // B, E, BE, U; and with another opcode their opposites.
            int condition = n == 3 ? 10 : n * 2 + 2;
            register(0xda, n, conditionalMove(condition));
            register(0xdb, n, conditionalMove(condition + 1));
        }
        register(0xd9, 2, 0, onStack((u, i) -> {}));
        register(0xd9, 6, 6, onStack((u, i) -> FpuArithmetic.turn(u, -1)));
        register(0xd9, 6, 7, onStack((u, i) -> FpuArithmetic.turn(u, 1)));
    }

    private static Action toFlags(boolean quiet, boolean pop) {
        return (c, o) -> {
            Fpu u = waiting(c);
            u.note(c, o);
            FpuArithmetic.compareToFlags(c, u, o.a(), quiet, pop);
        };
    }

    private static Action conditionalMove(int condition) {
        return (c, o) -> {
            Fpu u = waiting(c);
            u.note(c, o);
            FpuArithmetic.conditionalMove(u, o.a(), c.condition(condition));
        };
    }

    // ---- control

    private static void control() {
        memory(0xd9, 4, FpuMemory.FLDENV);
        memory(0xd9, 5, FpuMemory.FLDCW);
        memory(0xd9, 6, FpuMemory.FNSTENV);
        memory(0xd9, 7, FpuMemory.FNSTCW);
        memory(0xdd, 4, FpuMemory.FRSTOR);
        memory(0xdd, 6, FpuMemory.FNSAVE);
        memory(0xdd, 7, FpuMemory.FNSTSW);
        register(0xdf, 4, 0, (c, o) -> c.set16(Cpu.RAX, enabled(c).statusWord()));
        register(0xdb, 4, 0, IGNORED);
        register(0xdb, 4, 1, IGNORED);
        register(
                0xdb,
                4,
                2,
                (c, o) -> {
                    Fpu u = enabled(c);
                    u.status &= Fpu.CONDITIONS;
                });
        register(0xdb, 4, 3, (c, o) -> enabled(c).init());
        register(0xdb, 4, 4, IGNORED);
    }

    // ---- constants

    private static void constants() {
        register(0xd9, 5, 0, constant(Float80.ONE, 0x3fff, 0));
        register(0xd9, 5, 1, constant(0xd49a784bcd1b8afeL, 0x4000, 1));
        register(0xd9, 5, 2, constant(0xb8aa3b295c17f0bcL, 0x3fff, -1));
        register(0xd9, 5, 3, constant(0xc90fdaa22168c235L, 0x4000, -1));
        register(0xd9, 5, 4, constant(0x9a209a84fbcff799L, 0x3ffd, -1));
        register(0xd9, 5, 5, constant(0xb17217f7d1cf79acL, 0x3ffe, -1));
        register(0xd9, 5, 6, constant(0, 0, 0));
    }

    /**
     * Pushes a constant, given rounded to nearest; {@code other} is the step to the value on its
     * other side.
     */
    private static Action constant(long m, int e, int other) {
        return onStack(
                (u, i) -> {
                    int rounding = u.rounding();
                    boolean step =
                            other > 0
                                    ? rounding == Float80.UP
                                    : rounding == Float80.DOWN || rounding == Float80.TRUNCATE;
                    FpuArithmetic.push(u, step ? m + other : m, e);
                });
    }

    // ---- functions

    private static void functions() {
        register(0xd9, 4, 0, onStack((u, i) -> FpuArithmetic.negate(u)));
        register(0xd9, 4, 1, onStack((u, i) -> FpuArithmetic.absolute(u)));
        register(0xd9, 4, 4, onStack((u, i) -> FpuArithmetic.test(u)));
        register(0xd9, 4, 5, onStack((u, i) -> FpuArithmetic.examine(u)));
        register(0xd9, 6, 4, onStack((u, i) -> FpuArithmetic.extract(u)));
        register(0xd9, 6, 5, onStack((u, i) -> FpuRemainder.remainder(u, true)));
        register(0xd9, 7, 0, onStack((u, i) -> FpuRemainder.remainder(u, false)));
        register(0xd9, 7, 2, onStack((u, i) -> FpuArithmetic.squareRoot(u)));
        register(0xd9, 7, 4, onStack((u, i) -> FpuArithmetic.roundToInteger(u)));
        register(0xd9, 7, 5, onStack((u, i) -> FpuArithmetic.scale(u)));
        register(0xd9, 6, 0, onStack((u, i) -> FpuTranscendental.exponential(u)));
        register(0xd9, 6, 1, onStack((u, i) -> FpuTranscendental.logarithm(u, false)));
        register(0xd9, 6, 2, onStack((u, i) -> FpuTranscendental.tangent(u)));
        register(0xd9, 6, 3, onStack((u, i) -> FpuTranscendental.arctangent(u)));
        register(0xd9, 7, 1, onStack((u, i) -> FpuTranscendental.logarithm(u, true)));
        register(0xd9, 7, 3, onStack((u, i) -> FpuTranscendental.sineAndCosine(u)));
        register(0xd9, 7, 6, onStack((u, i) -> FpuTranscendental.sine(u)));
        register(0xd9, 7, 7, onStack((u, i) -> FpuTranscendental.cosine(u)));
    }
}
