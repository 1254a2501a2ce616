package lockstep.x86;

import java.lang.classfile.Label;

/** How the instructions of {@link BranchForms} become bytecode. */
final class BranchTemplates {
    private BranchTemplates() {}

    static void install() {
        Templates.put(
                Templates.READ_FLAGS | Templates.BRANCH,
                (w, o) -> {
                    Label yes = w.code.newLabel();
                    w.flags.jumpIf(o.a(), yes);
                    w.go(o.end());
                    w.code.labelBinding(yes);
                    w.jump(o);
                },
                BranchForms.JB,
                BranchForms.JAE,
                BranchForms.JE,
                BranchForms.JNE,
                BranchForms.JCC_64);
        Templates.put(Templates.BRANCH, TraceWriter::jump, BranchForms.JMP_64);
        Templates.put(
                Templates.STACK | Templates.BRANCH,
                (w, o) -> {
                    int inside = w.target(o);
                    if (inside == Block.NOWHERE) {
                        w.pushPointer(o.end() + o.imm());
                        w.check(o);
                    }
                    pushReturn(w, o);
                    moveStack(w);
                    if (inside == Block.NOWHERE) {
                        w.pushPointer(o.end() + o.imm());
                        w.leave();
                    } else {
                        w.goBehindWrite(inside);
                    }
                },
                BranchForms.CALL_64);
        Templates.put(
                Templates.READ_B | Templates.STACK | Templates.BRANCH,
                (w, o) -> {
                    pushOperand(w, o);
                    w.code.lstore(TraceWriter.VALUE);
                    pushReturn(w, o);
                    w.code.lload(TraceWriter.VALUE);
                    w.check(o);
                    moveStack(w);
                    w.code.lload(TraceWriter.VALUE);
                    w.leave();
                },
                BranchForms.CALL_RM);
        Templates.put(
                Templates.READ_B | Templates.BRANCH,
                (w, o) -> {
                    pushOperand(w, o);
                    w.code.dup2();
                    w.check(o);
                    w.leave();
                },
                BranchForms.JMP_RM);
        Templates.put(
                Templates.STACK | Templates.BRANCH,
                (w, o) -> {
                    w.readTop(8);
                    w.code.dup2().lstore(TraceWriter.VALUE);
                    w.check(o);
                    w.get(Cpu.RSP);
                    w.code.loadConstant(8L).ladd();
                    w.set(Cpu.RSP, 8);
                    w.changes(1 << Cpu.RSP);
                    w.code.lload(TraceWriter.VALUE);
                    w.leave();
                },
                BranchForms.RETURN_64);
    }

    private static void pushOperand(TraceWriter w, Op o) {
        if (o.inMemory()) {
            w.readUnsigned(o, 8);
        } else {
            w.get(o.b());
        }
    }

    /** Writes the return address below the guest's stack. */
    private static void pushReturn(TraceWriter w, Op o) {
        w.get(Cpu.RSP);
        w.code.loadConstant(8L).lsub().lstore(TraceWriter.ADDRESS);
        w.code.aload(TraceWriter.C).lload(TraceWriter.ADDRESS);
        w.pushPointer(o.end());
        w.writeAlone(8);
    }

    /** Takes what was written there onto the guest's stack. */
    private static void moveStack(TraceWriter w) {
        w.code.lload(TraceWriter.ADDRESS);
        w.set(Cpu.RSP, 8);
        w.changes(1 << Cpu.RSP);
    }
}
