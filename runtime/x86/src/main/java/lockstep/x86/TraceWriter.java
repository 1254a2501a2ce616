package lockstep.x86;

import lockstep.x86.Templates.Template;

import org.jspecify.annotations.Nullable;

import java.lang.classfile.CodeBuilder;
import java.lang.classfile.Label;
import java.lang.classfile.instruction.SwitchCase;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes the method of a {@link Trace}. In 64-bit mode the guest's general registers are locals of it, read on the way
 * in and written back on each way out; {@link FlagWriter} has the flags. Instructions that {@link Templates} knows become
 * bytecode over these locals, all others a call of their action, around which the registers are where actions expect
 * them. In the other modes all are called.
 *
 * <p>At every point where an instruction may fault, the locals hold what the guest's registers held before it; the
 * method's exception handler writes them back and notes which instruction it was. A handler of its own guards calls of
 * actions, behind which the registers themselves are right.
 */
final class TraceWriter {
    static final ClassDesc CPU = ClassDesc.of("lockstep.x86.Cpu");
    static final ClassDesc TRACE = ClassDesc.of("lockstep.x86.Trace");
    private static final ClassDesc OP = ClassDesc.of("lockstep.x86.Op");
    private static final ClassDesc ACTION = ClassDesc.of("lockstep.x86.Op$Action");
    private static final ClassDesc FAULT = ClassDesc.of("lockstep.x86.GuestFault");
    private static final ClassDesc LONGS = ConstantDescs.CD_long.arrayType();

    // Locals: the method's parameters, then what follows.
    static final int C = 1;
    private static final int ENTRY = 2;

    /** The instruction pointer at the first block's start. */
    private static final int START = 3;

    /** Scratch within an instruction: the address of what is written back, and a value. */
    static final int ADDRESS = 5;

    static final int VALUE = 7;

    /** Where the way out leads. */
    private static final int NEXT = 9;

    /** What {@link FlagWriter} keeps: two words, and how they are meant. */
    static final int FLAG_A = 11;

    static final int FLAG_B = 13;
    static final int FLAG_KIND = 15;

    /** Where the instruction is that may fault: from START, or in a call from the block's start. */
    private static final int AT = 16;

    private static final int REGS = 17;
    private static final int GENERAL = 18;

    final CodeBuilder code;
    final FlagWriter flags;
    private final ClassDesc self;
    private final List<Block> blocks;
    private final TracePlan plan;

    /** The operations that are called, in the order of their constants. */
    private final List<Op> called;

    private final Label[] starts;
    private final Label out;

    /** For faults of actions that are called with the registers in the processor. */
    private final Label callHandler;

    /** By block: how the flags are kept on the only way that leads there from inside. */
    private final FlagWriter.@Nullable State[] flagsAtStart;

    /** The way out for {@link #NEXT}. */
    private final Label exit;

    // ---- of the instruction that is being written
    private int number;
    private Block block;
    private int position;
    private int dirty;
    private boolean begun;

    TraceWriter(CodeBuilder code, ClassDesc self, List<Block> blocks, List<Op> called) {
        this.code = code;
        this.self = self;
        this.blocks = blocks;
        this.called = called;
        block = blocks.getFirst();
        plan = new TracePlan(blocks);
        flags = new FlagWriter(this);
        starts = new Label[blocks.size()];
        for (int i = 0; i < starts.length; i++) {
            starts[i] = code.newLabel();
        }
        out = code.newLabel();
        exit = code.newLabel();
        callHandler = code.newLabel();
        flagsAtStart = new FlagWriter.State[starts.length];
    }

    // ---- the method

    void write() {
        Label from = code.newLabel();
        Label to = code.newLabel();
        code.aload(C).ifnull(out);
        code.aload(C).getfield(CPU, "regs", LONGS).astore(REGS);
        code.aload(C).getfield(CPU, "rip", ConstantDescs.CD_long).lstore(START);
        code.lconst_0().lstore(FLAG_A).lconst_0().lstore(FLAG_B);
        code.iconst_m1().istore(FLAG_KIND).iconst_0().istore(AT);
        fetch(plan.used());
        code.labelBinding(from);
        enter();
        for (number = 0; number < starts.length; number++) {
            code.labelBinding(starts[number]);
            writeBlock();
        }
        code.labelBinding(to);
        code.labelBinding(exit);
        putBack(plan.changed());
        settle();
        code.aload(C).lload(NEXT).putfield(CPU, "rip", ConstantDescs.CD_long);
        code.labelBinding(out).return_();
        code.labelBinding(callHandler);
        code.aload(C).iload(AT);
        invokeTrace("faulted", ConstantDescs.CD_void, CPU, ConstantDescs.CD_int);
        code.athrow();
        Label handler = code.newBoundLabel();
        code.exceptionCatch(from, to, handler, FAULT);
        putBack(plan.changed());
        settle();
        code.aload(C).lload(START).iload(AT).i2l().ladd();
        code.putfield(CPU, "faultAt", ConstantDescs.CD_long).athrow();
    }

    /** Goes to the block that is entered, and makes START what it is when the first one is. */
    private void enter() {
        List<SwitchCase> cases = new ArrayList<>();
        for (int i = 1; i < starts.length; i++) {
            if (TracePlan.isEntry(blocks, i)) {
                cases.add(SwitchCase.of(i, code.newLabel()));
            }
        }
        if (cases.isEmpty()) {
            return;
        }
        code.iload(ENTRY).tableswitch(1, starts.length - 1, starts[0], cases);
        for (SwitchCase each : cases) {
            code.labelBinding(each.target());
            code.lload(START).loadConstant((long) plan.delta(blocks.get(each.caseValue()))).lsub();
            code.lstore(START).goto_(starts[each.caseValue()]);
        }
    }

    private void writeBlock() {
        block = blocks.get(number);
        dirty = plan.dirtyAtStart[number];
        begun = false;
        boolean entry = TracePlan.isEntry(blocks, number);
        FlagWriter.@Nullable State inherited = flagsAtStart[number];
        flags.state =
                entry && plan.ways[number] == 0
                        ? FlagWriter.IN_PROCESSOR
                        : !entry && plan.ways[number] == 1 && inherited != null
                                ? inherited
                                : FlagWriter.UNKNOWN;
        if (!plan.wide) {
            begin();
        }
        int last = block.ops.length - 1;
        for (position = 0; position < last; position++) {
            operation();
        }
        Template t = plan.template(block.ops[last]);
        if (t == null) {
            call(block.ops[last]);
            leaveAsCalled();
            return;
        }
        operation();
        if (!t.branches()) {
            go(block.length);
        }
    }

    private void operation() {
        Op o = block.ops[position];
        Template t = plan.template(o);
        if (t == null) {
            call(o);
            if (o.writes()) {
                code.aload(C).loadConstant(o.end());
                invokeTrace("changed", ConstantDescs.CD_boolean, CPU, ConstantDescs.CD_int);
                code.ifne(out);
            }
            fetch(plan.used());
            dirty = 0;
            return;
        }
        if (t.faults(o)) {
            mayFault(o);
        }
        Templates.Emission emission = t.emission();
        if (emission == null) {
            call(o, t.reads(o), t.writes(o));
        } else {
            emission.write(this, o);
        }
        dirty |= t.writes(o);
    }

    /** Whether the flags that the running instruction leaves are overwritten before anybody can see them. */
    boolean flagsDead() {
        for (int i = position + 1; i < block.ops.length; i++) {
            Op o = block.ops[i];
            Template t = plan.template(o);
            if (t == null || t.readsFlags(o) || t.faults(o)) {
                return false;
            }
            if (t.writesFlags()) {
                return true;
            }
        }
        return false;
    }

    // ---- ways on and out

    /** Puts the instruction pointer at a distance from the block's start on the stack. */
    void pushPointer(long distance) {
        code.lload(START).loadConstant(plan.delta(block) + distance).ladd();
    }

    /** Goes on at a distance from the block's start, which is an address that 64-bit mode has. */
    void go(int distance) {
        int next = plan.find(block.offset + distance);
        if (next < 0) {
            leave(distance);
            return;
        }
        if (next <= number) {
            Label on = code.newLabel();
            code.aload(C);
            invokeTrace("asked", ConstantDescs.CD_boolean, CPU);
            code.ifeq(on);
            leave(distance);
            code.labelBinding(on);
        }
        flagsAtStart[next] = flags.state;
        code.goto_(starts[next]);
    }

    /** Goes where a direct jump leads, or fails as it does. */
    void jump(Op o) {
        if (target(o) != Block.NOWHERE) {
            go(block.taken);
            return;
        }
        pushPointer(o.end() + o.imm());
        code.dup2();
        check(o);
        leave();
    }

    private void leave(int distance) {
        pushPointer(distance);
        leave();
    }

    /** Leaves for the instruction pointer that is on the stack. */
    void leave() {
        code.lstore(NEXT);
        code.goto_(exit);
    }

    /** After a write: leaves behind the instruction if code changed. */
    private void lookBehindWrite(Op o) {
        Label on = code.newLabel();
        code.aload(C).getfield(CPU, "blockEnd", ConstantDescs.CD_int).ifne(on);
        leave(o.end());
        code.labelBinding(on);
    }

    /** Behind a call that ended a block: the processor knows where to go on. */
    private void leaveAsCalled() {
        List<Integer> next = plan.nextOf(block);
        if (!next.isEmpty()) {
            code.aload(C);
            invokeTrace("stop", ConstantDescs.CD_boolean, CPU);
            code.ifne(out);
            fetch(plan.used());
            for (int n : next) {
                code.aload(C);
                invokeTrace("distance", ConstantDescs.CD_int, CPU);
                code.loadConstant(blocks.get(n).offset - block.offset).if_icmpeq(starts[n]);
                flagsAtStart[n] = FlagWriter.IN_PROCESSOR;
            }
        }
        code.goto_(out);
    }

    // ---- calls

    /** Calls an action that may do anything; the registers are in the processor then. */
    private void call(Op o) {
        putBack(dirty);
        flags.settle();
        begin();
        code.loadConstant(o.offset()).istore(AT);
        Label from = code.newBoundLabel();
        invokeAction(o);
        Label to = code.newBoundLabel();
        code.exceptionCatch(from, to, callHandler, FAULT);
    }

    /** Calls an action that reads and writes no registers but these, and none before it may fault. */
    void call(Op o, int reads, int writes) {
        putBack(dirty & reads);
        flags.settle();
        if (o.base() == Cpu.BLOCK) {
            begin();
        }
        invokeAction(o);
        fetch(writes);
        if (o.writes()) {
            lookBehindWrite(o);
        }
    }

    private void invokeAction(Op o) {
        String n = Integer.toString(called.size());
        called.add(o);
        code.getstatic(self, "a" + n, ACTION).aload(C).getstatic(self, "o" + n, OP);
        code.invokeinterface(
                ACTION, "run", MethodTypeDesc.of(ConstantDescs.CD_void, CPU, OP));
    }

    /** Puts in the processor, once in a block, what actions want to know about the block. */
    private void begin() {
        if (begun) {
            return;
        }
        begun = true;
        code.aload(C);
        if (plan.wide) {
            pushPointer(0);
            code.loadConstant(block.length);
            invokeTrace(
                    "begin",
                    ConstantDescs.CD_void,
                    CPU,
                    ConstantDescs.CD_long,
                    ConstantDescs.CD_int);
        } else {
            code.loadConstant(block.length);
            invokeTrace("beginLegacy", ConstantDescs.CD_void, CPU, ConstantDescs.CD_int);
        }
    }

    void invokeTrace(String name, ClassDesc result, ClassDesc... parameters) {
        code.invokestatic(TRACE, name, MethodTypeDesc.of(result, parameters));
    }

    /** Puts the flags into the processor, however they are kept. */
    void settle() {
        code.aload(C).iload(FLAG_KIND).lload(FLAG_A).lload(FLAG_B);
        invokeTrace(
                "settle",
                ConstantDescs.CD_void,
                CPU,
                ConstantDescs.CD_int,
                ConstantDescs.CD_long,
                ConstantDescs.CD_long);
    }

    // ---- for the templates: registers

    private static int local(int r) {
        return GENERAL + 2 * r;
    }

    private void fetch(int registers) {
        for (int r = 0; r < 16; r++) {
            if ((registers & 1 << r) != 0) {
                code.aload(REGS).loadConstant(r).laload().lstore(local(r));
            }
        }
    }

    private void putBack(int registers) {
        for (int r = 0; r < 16; r++) {
            if ((registers & 1 << r) != 0) {
                code.aload(REGS).loadConstant(r).lload(local(r)).lastore();
            }
        }
    }

    /** Puts a register on the stack; above its size the value may be anything. */
    void get(int r) {
        if ((r & 0x20) != 0) {
            code.lload(local(r & 3)).bipush(8).lushr();
        } else {
            code.lload(local(r));
        }
    }

    void getSigned(int r, int size) {
        get(r);
        extendSigned(size);
    }

    void getUnsigned(int r, int size) {
        get(r);
        extendUnsigned(size);
    }

    void extendSigned(int size) {
        switch (size) {
            case 1 -> code.l2i().i2b().i2l();
            case 2 -> code.l2i().i2s().i2l();
            case 4 -> code.l2i().i2l();
            default -> {}
        }
    }

    void extendUnsigned(int size) {
        if (size != 8) {
            code.loadConstant((1L << size * 8) - 1).land();
        }
    }

    /** Takes the stack's value into a register; what is above the size does not count. */
    void set(int r, int size) {
        if (size >= 4) {
            extendUnsigned(size);
            code.lstore(local(r));
            return;
        }
        long mask = (1L << size * 8) - 1;
        code.loadConstant(mask).land();
        int to = r;
        if ((r & 0x20) != 0) {
            to = r & 3;
            mask <<= 8;
            code.bipush(8).lshl();
        }
        code.lload(local(to)).loadConstant(~mask).land().lor().lstore(local(to));
    }

    // ---- for the templates: memory

    /** Notes where the guest is, for what may fault. */
    private void mayFault(Op o) {
        code.loadConstant(plan.delta(block) + o.offset()).istore(AT);
    }

    /** Puts the offset of a memory operand on the stack. */
    void pushOffset(Op o) {
        boolean any = false;
        if (o.base() == Cpu.BLOCK) {
            pushPointer(0);
            any = true;
        } else if (o.base() != Cpu.ZERO) {
            get(o.base());
            any = true;
        }
        if (o.index() != Cpu.ZERO) {
            get(o.index());
            if (o.scale() != 0) {
                code.loadConstant(o.scale()).lshl();
            }
            if (any) {
                code.ladd();
            }
            any = true;
        }
        if (!any) {
            code.loadConstant(o.disp());
        } else if (o.disp() != 0) {
            code.loadConstant(o.disp()).ladd();
        }
        if (o.address() == Op.A32_LONG) {
            extendUnsigned(4);
        }
    }

    /** Puts the linear address of a memory operand on the stack. */
    void pushAddress(Op o) {
        pushOffset(o);
        if (o.segment() != Cpu.NONE) {
            code.aload(C).getfield(CPU, "base", LONGS).loadConstant(o.segment()).laload().ladd();
        }
    }

    /** Puts the memory operand on the stack, sign-extended. */
    void read(Op o, int size) {
        code.aload(C);
        pushAddress(o);
        access("read", size);
        extendSigned(Math.min(size, 2) == size ? size : 8);
    }

    /** Puts what is on top of the guest's stack on the stack; above the size it may be anything. */
    void readTop(int size) {
        code.aload(C);
        get(Cpu.RSP);
        access("read", size);
    }

    /** Likewise, zero-extended. */
    void readUnsigned(Op o, int size) {
        code.aload(C);
        pushAddress(o);
        access("read", size);
        if (size == 4) {
            extendUnsigned(4);
        }
    }

    /** Reads the operand that is written back by {@link #writeBack}: fails as a write would. */
    void readToChange(Op o, int size) {
        pushAddress(o);
        code.lstore(ADDRESS).aload(C).lload(ADDRESS);
        access("readToChange", size);
        extendSigned(Math.min(size, 2) == size ? size : 8);
    }

    /** Writes {@link #VALUE} where {@link #readToChange} read. */
    void writeBack(Op o, int size) {
        code.aload(C).lload(ADDRESS).lload(VALUE);
        if (size < 8) {
            code.l2i();
        }
        write(o, size);
    }

    /** An access to memory: processor and address are on the stack, what was read is, as a long. */
    void access(String how, int size) {
        ClassDesc value = size == 8 ? ConstantDescs.CD_long : ConstantDescs.CD_int;
        code.invokevirtual(
                CPU, how + size * 8, MethodTypeDesc.of(value, ConstantDescs.CD_long));
        if (size < 8) {
            code.i2l();
        }
    }

    /** Writes what is on the stack: processor, address, value (an int of sizes below 8). */
    void write(Op o, int size) {
        writeAlone(size);
        lookBehindWrite(o);
    }

    /** Likewise, and does not look whether code changed: {@link #wrote} does. */
    void writeAlone(int size) {
        ClassDesc value = size == 8 ? ConstantDescs.CD_long : ConstantDescs.CD_int;
        code.invokevirtual(
                CPU,
                "write" + size * 8,
                MethodTypeDesc.of(ConstantDescs.CD_void, ConstantDescs.CD_long, value));
    }

    /** The instruction that wrote memory also changed these registers, and is complete. */
    void wrote(Op o, int registers) {
        dirty |= registers;
        lookBehindWrite(o);
    }

    /** A call wrote its return address: goes where it leads, but leaves if code changed. */
    void goBehindWrite(int distance) {
        Label on = code.newLabel();
        code.aload(C).getfield(CPU, "blockEnd", ConstantDescs.CD_int).ifne(on);
        leave(distance);
        code.labelBinding(on);
        go(distance);
    }

    /** Where a direct jump leads, from the block's start, if that is in here; else {@link Block#NOWHERE}. */
    int target(Op o) {
        long distance = o.end() + o.imm();
        return distance == block.taken && plan.find(block.offset + block.taken) >= 0
                ? block.taken
                : Block.NOWHERE;
    }

    /** Fails where the address on the stack is none that 64-bit mode has. */
    void check(Op o) {
        mayFault(o);
        code.aload(C).dup_x2().pop();
        invokeTrace("check", ConstantDescs.CD_void, CPU, ConstantDescs.CD_long);
    }

    /** These registers differ from those in the processor from now on. */
    void changes(int registers) {
        dirty |= registers;
    }
}
