package lockstep.x86;

import java.lang.classfile.CodeBuilder;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;

/**
 * How the instructions of {@link ArithmeticForms}, {@link BitForms} and {@link FlagForms} become bytecode. Each reads its memory operand first, and only then
 * touches the words of the flags: a fault finds those of the instruction before.
 */
final class ArithmeticTemplates {
    private static final ClassDesc ALU = ClassDesc.of("lockstep.x86.Alu");

    /** Where an operand is. */
    private enum Place {
        A,
        B,
        MEMORY,
        IMMEDIATE;

        /** Its bits among the uses of a template. */
        int read() {
            return this == A ? Templates.READ_A : this == B ? Templates.READ_B : 0;
        }

        int write() {
            return this == A ? Templates.WRITE_A : this == B ? Templates.WRITE_B : 0;
        }
    }

    private ArithmeticTemplates() {}

    static void install() {
        operation(Place.A, Place.B, ArithmeticForms.REG_REG);
        operation(Place.A, Place.MEMORY, ArithmeticForms.REG_MEM);
        operation(Place.MEMORY, Place.A, ArithmeticForms.MEM_REG);
        operation(Place.B, Place.IMMEDIATE, ArithmeticForms.REG_IMM);
        operation(Place.MEMORY, Place.IMMEDIATE, ArithmeticForms.MEM_IMM);
        comparison(Place.A, Place.B, false, ArithmeticForms.CMP_REG_REG);
        comparison(Place.A, Place.MEMORY, false, ArithmeticForms.CMP_REG_MEM);
        comparison(Place.MEMORY, Place.A, false, ArithmeticForms.CMP_MEM_REG);
        comparison(Place.B, Place.IMMEDIATE, false, ArithmeticForms.CMP_REG_IMM);
        comparison(Place.MEMORY, Place.IMMEDIATE, false, ArithmeticForms.CMP_MEM_IMM);
        comparison(Place.A, Place.B, true, ArithmeticForms.TEST_REG_REG);
        comparison(Place.MEMORY, Place.A, true, ArithmeticForms.TEST_MEM_REG);
        comparison(Place.B, Place.IMMEDIATE, true, ArithmeticForms.TEST_REG_IMM);
        comparison(Place.MEMORY, Place.IMMEDIATE, true, ArithmeticForms.TEST_MEM_IMM);
        single(Place.B, ArithmeticForms.STEP_REG, ArithmeticForms.NOT_REG, ArithmeticForms.NEG_REG);
        single(
                Place.MEMORY,
                ArithmeticForms.STEP_MEM,
                ArithmeticForms.NOT_MEM,
                ArithmeticForms.NEG_MEM);
        shifts();
        multiplications();
        bits();
        Templates.call(
                0,
                FlagForms.COMPLEMENT_CARRY,
                FlagForms.CLEAR_CARRY,
                FlagForms.SET_CARRY,
                FlagForms.CLEAR_DIRECTION,
                FlagForms.SET_DIRECTION,
                FlagForms.CLEAR_INTERRUPT);
        Templates.call(Templates.STACK, FlagForms.PUSH_FLAGS);
    }

    // ---- operands

    /** Reads a memory operand into {@link TraceWriter#VALUE}; nothing may fault behind it. */
    private static void prepare(TraceWriter w, Op o, Place p, boolean toChange) {
        if (p != Place.MEMORY) {
            return;
        }
        if (toChange) {
            w.readToChange(o, o.size());
        } else {
            w.read(o, o.size());
        }
        w.code.lstore(TraceWriter.VALUE);
    }

    /** Puts an operand on the stack, sign-extended if that counts. */
    private static void push(TraceWriter w, Op o, Place p, boolean exact) {
        switch (p) {
            case MEMORY -> w.code.lload(TraceWriter.VALUE);
            case IMMEDIATE -> w.code.loadConstant(Alu.signExtend(o.imm(), o.size()));
            default -> {
                w.get(p == Place.A ? o.a() : o.b());
                if (exact) {
                    w.extendSigned(o.size());
                }
            }
        }
    }

    /** Takes the result from the stack. */
    private static void take(TraceWriter w, Op o, Place p) {
        if (p == Place.MEMORY) {
            w.code.lstore(TraceWriter.VALUE);
            w.writeBack(o, o.size());
        } else {
            w.set(p == Place.A ? o.a() : o.b(), o.size());
        }
    }

    // ---- the eight operations

    private static void operation(Place to, Place from, Op.Action... actions) {
        Templates.put(
                to.read()
                        | to.write()
                        | from.read()
                        | Templates.WRITE_FLAGS
                        | Templates.OPERATION,
                (w, o) -> {
                    prepare(w, o, to, true);
                    prepare(w, o, from, false);
                    compute(w, o, to, from);
                    take(w, o, to);
                },
                actions);
    }

    private static void compute(TraceWriter w, Op o, Place to, Place from) {
        CodeBuilder code = w.code;
        boolean seen = !w.flagsDead();
        int kind = o.repeat();
        switch (kind) {
            case Alu.ADC, Alu.SBB -> {
                w.flags.settle();
                code.aload(TraceWriter.C).loadConstant(kind).loadConstant(o.size());
                push(w, o, to, false);
                push(w, o, from, false);
                callAlu(
                        w,
                        "op",
                        ConstantDescs.CD_int,
                        ConstantDescs.CD_int,
                        ConstantDescs.CD_long,
                        ConstantDescs.CD_long);
            }
            case Alu.ADD, Alu.SUB -> {
                push(w, o, to, seen);
                keep(w, seen, TraceWriter.FLAG_A);
                push(w, o, from, seen);
                keep(w, seen, TraceWriter.FLAG_B);
                if (kind == Alu.ADD) {
                    code.ladd();
                } else {
                    code.lsub();
                }
                if (seen) {
                    w.flags.are(kind == Alu.ADD ? Trace.SUM : Trace.DIFFERENCE, o.size());
                }
            }
            default -> {
                push(w, o, to, seen);
                push(w, o, from, seen);
                switch (kind) {
                    case Alu.OR -> code.lor();
                    case Alu.AND -> code.land();
                    default -> code.lxor();
                }
                keep(w, seen, TraceWriter.FLAG_B);
                if (seen) {
                    w.flags.are(Trace.LOGIC, o.size());
                }
            }
        }
    }

    private static void keep(TraceWriter w, boolean seen, int local) {
        if (seen) {
            w.code.dup2().lstore(local);
        }
    }

    /** CMP and TEST. */
    private static void comparison(Place first, Place second, boolean test, Op.Action... actions) {
        Templates.put(
                first.read() | second.read() | Templates.WRITE_FLAGS,
                (w, o) -> {
                    prepare(w, o, first, false);
                    prepare(w, o, second, false);
                    if (w.flagsDead()) {
                        return;
                    }
                    push(w, o, first, true);
                    if (!test) {
                        w.code.lstore(TraceWriter.FLAG_A);
                    }
                    push(w, o, second, true);
                    if (test) {
                        w.code.land();
                    }
                    w.code.lstore(TraceWriter.FLAG_B);
                    w.flags.are(test ? Trace.LOGIC : Trace.DIFFERENCE, o.size());
                },
                actions);
    }

    // ---- one operand

    private static void single(Place p, Op.Action step, Op.Action not, Op.Action negate) {
        // INC and DEC read CF, which stays.
        Templates.put(
                p.read() | p.write() | Templates.READ_FLAGS | Templates.WRITE_FLAGS,
                (w, o) -> {
                    prepare(w, o, p, true);
                    boolean seen = !w.flagsDead();
                    if (seen) {
                        w.flags.pushCarry();
                        w.code.lstore(TraceWriter.FLAG_A);
                    }
                    push(w, o, p, seen);
                    w.code.lconst_1();
                    if (o.repeat() == Alu.ADD) {
                        w.code.ladd();
                    } else {
                        w.code.lsub();
                    }
                    if (seen) {
                        w.extendSigned(o.size());
                        w.code.dup2().lstore(TraceWriter.FLAG_B);
                        w.flags.are(
                                o.repeat() == Alu.ADD ? Trace.STEP_UP : Trace.STEP_DOWN,
                                o.size());
                    }
                    take(w, o, p);
                },
                step);
        Templates.put(
                p.read() | p.write(),
                (w, o) -> {
                    prepare(w, o, p, true);
                    push(w, o, p, false);
                    w.code.loadConstant(-1L).lxor();
                    take(w, o, p);
                },
                not);
        Templates.put(
                p.read() | p.write() | Templates.WRITE_FLAGS,
                (w, o) -> {
                    prepare(w, o, p, true);
                    push(w, o, p, true);
                    if (!w.flagsDead()) {
                        w.code.dup2().lstore(TraceWriter.FLAG_B);
                        w.code.lconst_0().lstore(TraceWriter.FLAG_A);
                        w.flags.are(Trace.DIFFERENCE, o.size());
                    }
                    w.code.lneg();
                    take(w, o, p);
                },
                negate);
    }

    // ---- shifts

    private static void shifts() {
        // Flags stay where the count is 0, and rotations change some of them alone.
        int uses = Templates.READ_FLAGS;
        Templates.put(
                uses | Templates.WRITE_B,
                (w, o) -> shift(w, o, Place.B, false),
                ArithmeticForms.SHIFT_REG,
                ArithmeticForms.SHL_32,
                ArithmeticForms.SHL_64,
                ArithmeticForms.SHR_32,
                ArithmeticForms.SHR_64);
        Templates.put(
                uses, (w, o) -> shift(w, o, Place.MEMORY, false), ArithmeticForms.SHIFT_MEM);
        Templates.put(
                uses | Templates.WRITE_B | Templates.READ_CX,
                (w, o) -> shift(w, o, Place.B, true),
                ArithmeticForms.SHIFT_REG_CL);
        Templates.put(
                uses | Templates.READ_CX,
                (w, o) -> shift(w, o, Place.MEMORY, true),
                ArithmeticForms.SHIFT_MEM_CL);
    }

    private static void shift(TraceWriter w, Op o, Place p, boolean byRegister) {
        prepare(w, o, p, true);
        int kind = o.a();
        int bits = o.size() * 8;
        int n = (int) o.imm() & (bits == 64 ? 63 : 31);
        boolean shift = kind >= Alu.SHL;
        if (!byRegister && n == 0) {
            push(w, o, p, false);
        } else if (shift && w.flagsDead() && (byRegister ? bits >= 32 : n < bits)) {
            shifted(w, o, p, byRegister ? -1 : n);
        } else if (kind <= Alu.ROR && bits >= 32 && w.flagsDead()) {
            rotated(w, o, p, byRegister ? -1 : n);
        } else if (shift && !byRegister && n < bits) {
            carries(w, o, p, n);
            shifted(w, o, p, n);
            w.extendSigned(o.size());
            w.code.dup2().lstore(TraceWriter.FLAG_B);
            w.flags.are(Trace.PLAIN, o.size());
        } else {
            w.flags.settle();
            w.code.aload(TraceWriter.C).loadConstant(kind).loadConstant(o.size());
            push(w, o, p, false);
            w.extendUnsigned(o.size());
            if (byRegister) {
                w.get(Cpu.RCX);
                w.code.l2i().loadConstant(0xff).iand();
            } else {
                w.code.loadConstant(n);
            }
            callAlu(
                    w,
                    "shift",
                    ConstantDescs.CD_int,
                    ConstantDescs.CD_int,
                    ConstantDescs.CD_long,
                    ConstantDescs.CD_int);
        }
        take(w, o, p);
    }

    /** Puts a rotated operand of 32 or 64 bits on the stack; a count of -1 is that in CL. */
    private static void rotated(TraceWriter w, Op o, Place p, int n) {
        boolean wide = o.size() == 8;
        ClassDesc type = wide ? ConstantDescs.CD_long : ConstantDescs.CD_int;
        push(w, o, p, false);
        if (!wide) {
            w.code.l2i();
        }
        pushCount(w, o, n);
        w.code.invokestatic(
                ClassDesc.of(wide ? "java.lang.Long" : "java.lang.Integer"),
                o.a() == Alu.ROL ? "rotateLeft" : "rotateRight",
                MethodTypeDesc.of(type, type, ConstantDescs.CD_int));
        if (!wide) {
            w.code.i2l();
        }
    }

    private static void pushCount(TraceWriter w, Op o, int n) {
        if (n >= 0) {
            w.code.loadConstant(n);
        } else {
            w.get(Cpu.RCX);
            w.code.l2i().loadConstant(o.size() == 8 ? 63 : 31).iand();
        }
    }

    /** Puts a shifted operand on the stack; a count of -1 is that in CL, for 32 and 64 bits. */
    private static void shifted(TraceWriter w, Op o, Place p, int n) {
        int kind = o.a();
        push(w, o, p, false);
        switch (kind) {
            case Alu.SHR -> w.extendUnsigned(o.size());
            case Alu.SAR -> w.extendSigned(o.size());
            default -> {}
        }
        pushCount(w, o, n);
        switch (kind) {
            case Alu.SHR -> w.code.lushr();
            case Alu.SAR -> w.code.lshr();
            default -> w.code.lshl();
        }
    }

    /** Keeps the carries of a shift by a count from 1 to below the size. */
    private static void carries(TraceWriter w, Op o, Place p, int n) {
        int above = 64 - o.size() * 8;
        push(w, o, p, false);
        switch (o.a()) {
            case Alu.SHL -> {
                // The last bit out, and below it the result's sign.
                w.code.loadConstant(n - 1 + above).lshl();
            }
            case Alu.SHR -> {
                // The last bit out twice; after a shift by one OF is the sign that was.
                if (n == 1) {
                    w.code.dup2().bipush(63).lshl().iconst_1().lshr().dup2_x2().pop2();
                    w.code.loadConstant(above).lshl().iconst_1().lushr().lxor();
                } else {
                    w.code.loadConstant(64 - n).lshl().iconst_1().lshr();
                }
            }
            default -> w.code.loadConstant(64 - n).lshl().iconst_1().lshr();
        }
        w.code.loadConstant(Cpu.TOP).land().lstore(TraceWriter.FLAG_A);
    }

    // ---- multiplication, and what is called

    private static void multiplications() {
        Templates.put(
                Templates.WRITE_A | Templates.READ_B | Templates.WRITE_FLAGS,
                (w, o) -> multiply(w, o, true),
                ArithmeticForms.MULTIPLY_3);
        Templates.put(
                Templates.WRITE_A | Templates.READ_B | Templates.WRITE_FLAGS,
                (w, o) -> multiply(w, o, false),
                ArithmeticForms.MULTIPLY_REG,
                ArithmeticForms.MULTIPLY_MEM);
        Templates.call(
                Templates.READ_B | Templates.AX | Templates.DX,
                ArithmeticForms.MULTIPLY,
                ArithmeticForms.MULTIPLY_SIGNED,
                ArithmeticForms.DIVIDE,
                ArithmeticForms.DIVIDE_SIGNED);
    }

    private static void multiply(TraceWriter w, Op o, boolean immediate) {
        Place rm = o.inMemory() ? Place.MEMORY : Place.B;
        prepare(w, o, rm, false);
        boolean seen = !w.flagsDead();
        if (seen) {
            w.code.aload(TraceWriter.C).loadConstant(o.size());
        }
        push(w, o, rm, true);
        push(w, o, immediate ? Place.IMMEDIATE : Place.A, true);
        if (seen) {
            callAlu(
                    w,
                    "signedProduct",
                    ConstantDescs.CD_int,
                    ConstantDescs.CD_long,
                    ConstantDescs.CD_long);
        } else {
            w.code.lmul();
        }
        w.set(o.a(), o.size());
    }

    /** Calls a method that leaves flags in the processor. */
    private static void callAlu(TraceWriter w, String name, ClassDesc... parameters) {
        ClassDesc[] all = new ClassDesc[parameters.length + 1];
        all[0] = TraceWriter.CPU;
        System.arraycopy(parameters, 0, all, 1, parameters.length);
        w.code.invokestatic(ALU, name, MethodTypeDesc.of(ConstantDescs.CD_long, all));
        w.flags.areInProcessor();
    }

    private static void bits() {
        Templates.call(Templates.READ_A | Templates.WRITE_B, BitForms.TEST_REG);
        Templates.call(Templates.WRITE_B, BitForms.TEST_IMM);
        Templates.call(Templates.READ_A, BitForms.TEST_MEM);
        Templates.call(
                0,
                AtomicForms.MEM_IMM,
                AtomicForms.STEP_MEM,
                AtomicForms.NOT_MEM,
                AtomicForms.NEG_MEM,
                AtomicForms.TEST_IMM);
        Templates.call(Templates.READ_A, AtomicForms.MEM_REG, AtomicForms.TEST_MEM);
        Templates.call(Templates.READ_A | Templates.AX, AtomicForms.COMPARE_EXCHANGE_MEM);
        Templates.call(Templates.WRITE_A, AtomicForms.ADD_MEM, AtomicForms.EXCHANGE_MEM);
        Templates.call(
                Templates.READ_B | Templates.WRITE_A,
                BitForms.SCAN_FORWARD,
                BitForms.SCAN_REVERSE,
                BitForms.COUNT_TRAILING,
                BitForms.COUNT_LEADING,
                BitForms.COUNT_BITS);
        Templates.call(
                Templates.READ_A | Templates.WRITE_B | Templates.AX,
                BitForms.COMPARE_EXCHANGE_REG,
                BitForms.COMPARE_EXCHANGE_MEM);
        Templates.call(
                Templates.WRITE_A | Templates.WRITE_B, BitForms.ADD_REG, BitForms.ADD_MEM);
    }
}
