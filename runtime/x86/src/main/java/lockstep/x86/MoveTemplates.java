package lockstep.x86;

import java.lang.classfile.Label;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;

/** How the instructions of {@link MoveForms} and {@link StackForms} become bytecode. */
final class MoveTemplates {
    private static final ClassDesc INTEGER = ClassDesc.of("java.lang.Integer");
    private static final ClassDesc LONG = ClassDesc.of("java.lang.Long");

    private MoveTemplates() {}

    static void install() {
        Templates.put(
                Templates.READ_A | Templates.WRITE_B,
                (w, o) -> {
                    w.get(o.a());
                    w.set(o.b(), o.size());
                },
                MoveForms.REG_TO_RM);
        Templates.put(
                Templates.READ_B | Templates.WRITE_A,
                (w, o) -> {
                    w.get(o.b());
                    w.set(o.a(), o.size());
                },
                MoveForms.RM_TO_REG);
        Templates.put(
                Templates.WRITE_A,
                (w, o) -> {
                    w.read(o, o.size());
                    w.set(o.a(), o.size());
                },
                MoveForms.MEM_TO_REG);
        Templates.put(
                Templates.READ_A,
                (w, o) -> {
                    w.code.aload(TraceWriter.C);
                    w.pushAddress(o);
                    w.get(o.a());
                    if (o.size() < 8) {
                        w.code.l2i();
                    }
                    w.write(o, o.size());
                },
                MoveForms.REG_TO_MEM);
        Templates.put(
                Templates.WRITE_B,
                (w, o) -> {
                    w.code.loadConstant(o.imm());
                    w.set(o.b(), o.size());
                },
                MoveForms.IMM_TO_REG);
        Templates.put(
                0,
                (w, o) -> {
                    w.code.aload(TraceWriter.C);
                    w.pushAddress(o);
                    if (o.size() < 8) {
                        w.code.loadConstant((int) o.imm());
                    } else {
                        w.code.loadConstant(o.imm());
                    }
                    w.write(o, o.size());
                },
                MoveForms.IMM_TO_MEM);
        Templates.put(
                Templates.WRITE_A | Templates.NO_ACCESS,
                (w, o) -> {
                    w.pushOffset(o);
                    w.set(o.a(), o.size());
                },
                MoveForms.LEA);
        Templates.put(Templates.NO_ACCESS, (w, o) -> {}, MoveForms.NOTHING);
        stack();
        conversions();
        exchanges();
    }

    private static void stack() {
        Templates.put(
                Templates.READ_B | Templates.STACK,
                (w, o) -> {
                    w.get(o.b());
                    push(w, o);
                },
                StackForms.PUSH_64,
                StackForms.PUSH_REG);
        Templates.put(
                Templates.STACK,
                (w, o) -> {
                    w.code.loadConstant(o.imm());
                    push(w, o);
                },
                StackForms.PUSH_IMM);
        Templates.put(
                Templates.READ_B | Templates.STACK,
                (w, o) -> {
                    if (o.inMemory()) {
                        w.readUnsigned(o, o.size());
                    } else {
                        w.get(o.b());
                    }
                    push(w, o);
                },
                StackForms.PUSH_RM);
        Templates.put(
                Templates.WRITE_B | Templates.STACK,
                (w, o) -> {
                    w.readTop(o.size());
                    w.code.lstore(TraceWriter.VALUE);
                    w.get(Cpu.RSP);
                    w.code.loadConstant((long) o.size()).ladd();
                    w.set(Cpu.RSP, 8);
                    w.code.lload(TraceWriter.VALUE);
                    w.set(o.b(), o.size());
                },
                StackForms.POP_64,
                StackForms.POP_REG);
        Templates.put(
                Templates.STACK | Templates.BP,
                (w, o) -> {
                    w.code.aload(TraceWriter.C);
                    w.get(Cpu.RBP);
                    w.access("read", o.size());
                    w.get(Cpu.RBP);
                    w.code.loadConstant((long) o.size()).ladd();
                    w.set(Cpu.RSP, 8);
                    w.set(Cpu.RBP, o.size());
                },
                StackForms.LEAVE);
    }

    /** Pushes what is on the stack. */
    private static void push(TraceWriter w, Op o) {
        w.code.lstore(TraceWriter.VALUE);
        w.get(Cpu.RSP);
        w.code.loadConstant((long) o.size()).lsub().lstore(TraceWriter.ADDRESS);
        w.code.aload(TraceWriter.C).lload(TraceWriter.ADDRESS).lload(TraceWriter.VALUE);
        if (o.size() < 8) {
            w.code.l2i();
        }
        w.writeAlone(o.size());
        w.code.lload(TraceWriter.ADDRESS);
        w.set(Cpu.RSP, 8);
        w.wrote(o, 1 << Cpu.RSP);
    }

    private static void conversions() {
        extension(1, false, MoveForms.ZERO_REG8, MoveForms.ZERO_MEM8);
        extension(2, false, MoveForms.ZERO_REG16, MoveForms.ZERO_MEM16);
        extension(1, true, MoveForms.SIGN_REG8, MoveForms.SIGN_MEM8);
        extension(2, true, MoveForms.SIGN_REG16, MoveForms.SIGN_MEM16);
        extension(4, true, MoveForms.SIGN_REG32, MoveForms.SIGN_MEM32);
        Templates.put(
                Templates.AX,
                (w, o) -> {
                    w.getSigned(Cpu.RAX, o.size() / 2);
                    w.set(Cpu.RAX, o.size());
                },
                MoveForms.WIDEN);
        Templates.put(
                Templates.AX | Templates.DX,
                (w, o) -> {
                    w.getSigned(Cpu.RAX, o.size());
                    w.code.bipush(63).lshr();
                    w.set(Cpu.RDX, o.size());
                },
                MoveForms.WIDEN_DOUBLE);
        Templates.put(
                Templates.WRITE_B,
                (w, o) -> {
                    if (o.size() == 2) {
                        w.code.lconst_0();
                    } else if (o.size() == 4) {
                        w.get(o.b());
                        w.code.l2i();
                        w.code.invokestatic(
                                INTEGER,
                                "reverseBytes",
                                MethodTypeDesc.of(ConstantDescs.CD_int, ConstantDescs.CD_int));
                        w.code.i2l();
                    } else {
                        w.get(o.b());
                        w.code.invokestatic(
                                LONG,
                                "reverseBytes",
                                MethodTypeDesc.of(ConstantDescs.CD_long, ConstantDescs.CD_long));
                    }
                    w.set(o.b(), o.size());
                },
                MoveForms.BYTE_SWAP);
    }

    private static void extension(
            int from, boolean signed, Op.Action ofRegister, Op.Action ofMemory) {
        Templates.put(
                Templates.READ_B | Templates.WRITE_A,
                (w, o) -> {
                    if (signed) {
                        w.getSigned(o.b(), from);
                    } else {
                        w.getUnsigned(o.b(), from);
                    }
                    w.set(o.a(), o.size());
                },
                ofRegister);
        Templates.put(
                Templates.WRITE_A,
                (w, o) -> {
                    if (signed) {
                        w.read(o, from);
                    } else {
                        w.readUnsigned(o, from);
                    }
                    w.set(o.a(), o.size());
                },
                ofMemory);
    }

    private static void exchanges() {
        Templates.put(
                Templates.WRITE_A | Templates.WRITE_B,
                (w, o) -> {
                    w.get(o.b());
                    w.code.lstore(TraceWriter.VALUE);
                    w.get(o.a());
                    w.set(o.b(), o.size());
                    w.code.lload(TraceWriter.VALUE);
                    w.set(o.a(), o.size());
                },
                MoveForms.EXCHANGE_REG);
        Templates.put(
                Templates.WRITE_A | Templates.READ_B | Templates.READ_FLAGS,
                (w, o) -> {
                    if (o.inMemory()) {
                        w.read(o, o.size());
                    } else {
                        w.get(o.b());
                    }
                    w.code.lstore(TraceWriter.VALUE);
                    Label no = w.code.newLabel();
                    Label end = w.code.newLabel();
                    w.flags.jumpIf((int) o.imm() ^ 1, no);
                    w.code.lload(TraceWriter.VALUE);
                    w.set(o.a(), o.size());
                    w.code.goto_(end);
                    w.code.labelBinding(no);
                    if (o.size() == 4) {
                        w.get(o.a());
                        w.set(o.a(), 4);
                    }
                    w.code.labelBinding(end);
                },
                MoveForms.CMOV_REG,
                MoveForms.CMOV_MEM);
        Templates.put(
                Templates.WRITE_B | Templates.READ_FLAGS,
                (w, o) -> {
                    pushCondition(w, o);
                    w.set(o.b(), 1);
                },
                MoveForms.SET_REG);
        Templates.put(
                Templates.READ_FLAGS,
                (w, o) -> {
                    pushCondition(w, o);
                    w.code.lstore(TraceWriter.VALUE);
                    w.code.aload(TraceWriter.C);
                    w.pushAddress(o);
                    w.code.lload(TraceWriter.VALUE).l2i();
                    w.write(o, 1);
                },
                MoveForms.SET_MEM);
    }

    private static void pushCondition(TraceWriter w, Op o) {
        Label yes = w.code.newLabel();
        Label end = w.code.newLabel();
        w.flags.jumpIf((int) o.imm(), yes);
        w.code.lconst_0().goto_(end);
        w.code.labelBinding(yes);
        w.code.lconst_1();
        w.code.labelBinding(end);
    }
}
