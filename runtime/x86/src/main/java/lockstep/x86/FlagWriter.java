package lockstep.x86;

import java.lang.classfile.CodeBuilder;
import java.lang.classfile.Label;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;

/**
 * The arithmetic flags of a {@link Trace} that is being written: kept as what they follow from, two operands or a
 * result, in locals beside the kind, and computed where they are looked at. Mostly the kind is known when that is
 * written, and a comparison with a conditional jump becomes just that.
 */
final class FlagWriter {
    /**
     * How the flags are kept.
     *
     * @param kind one of the kinds of {@link Trace}, or -2 where only the trace knows when it runs
     * @param size operand size in bytes
     */
    record State(int kind, int size) {}

    static final State IN_PROCESSOR = new State(Trace.SETTLED, 8);
    static final State UNKNOWN = new State(-2, 8);

    private static final ClassDesc LONG = ClassDesc.of("java.lang.Long");
    private static final int BELOW = 1;
    private static final int EQUAL = 2;
    private static final int BELOW_OR_EQUAL = 3;
    private static final int SIGN = 4;
    private static final int LESS = 6;
    private static final int LESS_OR_EQUAL = 7;

    private final TraceWriter w;
    private final CodeBuilder code;

    /** What is known where the writing is. */
    State state = IN_PROCESSOR;

    FlagWriter(TraceWriter w) {
        this.w = w;
        code = w.code;
    }

    /** The words are in their locals now, of this kind. */
    void are(int kind, int size) {
        state = new State(kind, size);
        code.loadConstant(kind | 64 - size * 8 << 8).istore(TraceWriter.FLAG_KIND);
    }

    /** Something put them into the processor. */
    void areInProcessor() {
        if (state != IN_PROCESSOR) {
            code.iconst_m1().istore(TraceWriter.FLAG_KIND);
            state = IN_PROCESSOR;
        }
    }

    /** Puts them into the processor. */
    void settle() {
        if (state != IN_PROCESSOR) {
            w.settle();
            areInProcessor();
        }
    }

    /** Puts on the stack a long whose sign is CF. */
    void pushCarry() {
        switch (state.kind) {
            case Trace.PLAIN, Trace.STEP_UP, Trace.STEP_DOWN -> code.lload(TraceWriter.FLAG_A);
            case Trace.LOGIC -> code.lconst_0();
            case Trace.DIFFERENCE -> {
                code.lload(TraceWriter.FLAG_A).lload(TraceWriter.FLAG_B);
                compareUnsigned();
                code.i2l();
            }
            case Trace.SUM -> {
                pushSum();
                code.lload(TraceWriter.FLAG_A);
                compareUnsigned();
                code.i2l();
            }
            default -> {
                settle();
                code.aload(TraceWriter.C).getfield(TraceWriter.CPU, "carries", ConstantDescs.CD_long);
            }
        }
    }

    private void pushSum() {
        code.lload(TraceWriter.FLAG_A).lload(TraceWriter.FLAG_B).ladd();
        w.extendSigned(state.size);
    }

    private void compareUnsigned() {
        code.invokestatic(
                LONG,
                "compareUnsigned",
                MethodTypeDesc.of(
                        ConstantDescs.CD_int, ConstantDescs.CD_long, ConstantDescs.CD_long));
    }

    /** Goes to a label where condition {@code n} of Jcc holds, else on. */
    void jumpIf(int n, Label to) {
        boolean not = (n & 1) != 0;
        int condition = n >> 1;
        switch (state.kind) {
            case Trace.DIFFERENCE -> {
                if (ofDifference(condition, not, to)) {
                    return;
                }
            }
            case Trace.LOGIC -> {
                if (ofLogic(condition, not, to)) {
                    return;
                }
            }
            case Trace.SUM -> {
                if (condition == EQUAL || condition == SIGN) {
                    pushSum();
                    jumpByResult(condition, not, to);
                    return;
                }
            }
            case Trace.PLAIN, Trace.STEP_UP, Trace.STEP_DOWN -> {
                // The correction of the sign in the first word is for flags that were loaded, which are settled.
                if (condition == EQUAL || condition == SIGN) {
                    code.lload(TraceWriter.FLAG_B);
                    jumpByResult(condition, not, to);
                    return;
                }
            }
            default -> {}
        }
        if (condition == BELOW) {
            pushCarry();
            code.lconst_0().lcmp();
            jump(not, to, code::iflt, code::ifge);
            return;
        }
        settle();
        code.aload(TraceWriter.C);
        if (condition == EQUAL) {
            code.getfield(TraceWriter.CPU, "result", ConstantDescs.CD_long).lconst_0().lcmp();
            jump(not, to, code::ifeq, code::ifne);
            return;
        }
        code.loadConstant(n)
                .invokevirtual(
                        TraceWriter.CPU,
                        "condition",
                        MethodTypeDesc.of(ConstantDescs.CD_boolean, ConstantDescs.CD_int))
                .ifne(to);
    }

    private boolean ofDifference(int condition, boolean not, Label to) {
        switch (condition) {
            case BELOW, BELOW_OR_EQUAL -> {
                code.lload(TraceWriter.FLAG_A).lload(TraceWriter.FLAG_B);
                compareUnsigned();
            }
            case EQUAL, LESS, LESS_OR_EQUAL ->
                    code.lload(TraceWriter.FLAG_A).lload(TraceWriter.FLAG_B).lcmp();
            case SIGN -> {
                code.lload(TraceWriter.FLAG_A).lload(TraceWriter.FLAG_B).lsub();
                w.extendSigned(state.size);
                code.lconst_0().lcmp();
            }
            default -> {
                return false;
            }
        }
        jumpByComparison(condition, not, to);
        return true;
    }

    private boolean ofLogic(int condition, boolean not, Label to) {
        switch (condition) {
            case EQUAL, SIGN, LESS, LESS_OR_EQUAL, BELOW_OR_EQUAL -> {
                code.lload(TraceWriter.FLAG_B);
                // Without a carry, below or equal is equal.
                jumpByResult(condition == BELOW_OR_EQUAL ? EQUAL : condition, not, to);
                return true;
            }
            default -> {
                return false;
            }
        }
    }

    private void jumpByResult(int condition, boolean not, Label to) {
        code.lconst_0().lcmp();
        jumpByComparison(condition, not, to);
    }

    /** By an int that says how the first operand, or the result, compares. */
    private void jumpByComparison(int condition, boolean not, Label to) {
        switch (condition) {
            case EQUAL -> jump(not, to, code::ifeq, code::ifne);
            case BELOW_OR_EQUAL, LESS_OR_EQUAL -> jump(not, to, code::ifle, code::ifgt);
            default -> jump(not, to, code::iflt, code::ifge);
        }
    }

    /** An instruction of bytecode that jumps. */
    private interface Jump {
        CodeBuilder to(Label label);
    }

    private static void jump(boolean not, Label to, Jump yes, Jump no) {
        (not ? no : yes).to(to);
    }
}
