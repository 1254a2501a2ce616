package lockstep.x86;

import java.lang.classfile.ClassFile;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.Label;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.lang.invoke.MethodHandles;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Writes hot blocks as bytecode: a hidden class per {@link Trace}, whose method calls the actions of the blocks one
 * after the other with their operations as constants. Actions and operations are what the interpreter uses, so there is
 * one definition of each instruction; the JVM's compiler inlines it and folds what decoding found out. A class goes with
 * the blocks that refer to it.
 */
final class Translator {
    private static final int QUEUE = 64;

    private static final ClassDesc CPU = ClassDesc.of("lockstep.x86.Cpu");
    private static final ClassDesc OP = ClassDesc.of("lockstep.x86.Op");
    private static final ClassDesc ACTION = ClassDesc.of("lockstep.x86.Op$Action");
    private static final ClassDesc TRACE = ClassDesc.of("lockstep.x86.Trace");
    private static final ClassDesc FAULT = ClassDesc.of("lockstep.x86.GuestFault");
    private static final ClassDesc TRANSLATOR = ClassDesc.of("lockstep.x86.Translator");
    private static final ClassDesc SELF = ClassDesc.of("lockstep.x86.Translated");
    private static final MethodTypeDesc RUN = MethodTypeDesc.of(ConstantDescs.CD_void, CPU);
    private static final MethodTypeDesc ACT = MethodTypeDesc.of(ConstantDescs.CD_void, CPU, OP);
    private static final MethodTypeDesc WITH_INT =
            MethodTypeDesc.of(ConstantDescs.CD_void, CPU, ConstantDescs.CD_int);
    private static final MethodTypeDesc ASK =
            MethodTypeDesc.of(ConstantDescs.CD_boolean, CPU);
    private static final MethodTypeDesc ASK_INT =
            MethodTypeDesc.of(ConstantDescs.CD_boolean, CPU, ConstantDescs.CD_int);
    private static final MethodTypeDesc DISTANCE =
            MethodTypeDesc.of(ConstantDescs.CD_int, CPU);

    private static final Translator SHARED = new Translator();

    private final BlockingQueue<List<Block>> queue = new ArrayBlockingQueue<>(QUEUE);

    /** The operations of the class that is being initialised, on the translator's thread. */
    private static Op[] constants = {};

    private Translator() {
        Thread.ofPlatform().name("translator").daemon(true).start(this::work);
    }

    /** The one of this process. */
    static Translator shared() {
        return SHARED;
    }

    /** Has blocks translated some time; the first one is where the trace begins. False when there is too much to do. */
    boolean offer(List<Block> blocks) {
        return queue.offer(blocks);
    }

    private void work() {
        while (true) {
            try {
                List<Block> blocks = queue.take();
                blocks.getFirst().trace = translate(blocks);
            } catch (InterruptedException e) {
                return;
            } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
                // A block that can't be translated is interpreted; nothing is lost but speed.
                continue;
            }
        }
    }

    /** For classes that are being initialised: the operation {@code i}. */
    static Op constant(int i) {
        return constants[i];
    }

    static Trace translate(List<Block> blocks) throws ReflectiveOperationException {
        List<Op> ops = new ArrayList<>();
        blocks.forEach(b -> ops.addAll(List.of(b.ops)));
        byte[] bytes = write(blocks, ops);
        synchronized (Translator.class) {
            constants = ops.toArray(new Op[0]);
            try {
                return (Trace)
                        MethodHandles.lookup()
                                .defineHiddenClass(bytes, true)
                                .lookupClass()
                                .getDeclaredConstructor()
                                .newInstance();
            } finally {
                constants = new Op[0];
            }
        }
    }

    private static byte[] write(List<Block> blocks, List<Op> ops) {
        return ClassFile.of()
                .build(
                        SELF,
                        c -> {
                            c.withSuperclass(TRACE);
                            c.withFlags(ClassFile.ACC_FINAL);
                            int constant =
                                    ClassFile.ACC_PRIVATE
                                            | ClassFile.ACC_STATIC
                                            | ClassFile.ACC_FINAL;
                            for (int i = 0; i < ops.size(); i++) {
                                c.withField("o" + i, OP, constant);
                                c.withField("a" + i, ACTION, constant);
                            }
                            c.withMethodBody(
                                    ConstantDescs.CLASS_INIT_NAME,
                                    ConstantDescs.MTD_void,
                                    ClassFile.ACC_STATIC,
                                    code -> writeConstants(code, ops.size()));
                            c.withMethodBody(
                                    ConstantDescs.INIT_NAME,
                                    ConstantDescs.MTD_void,
                                    0,
                                    code ->
                                            code.aload(0)
                                                    .invokespecial(
                                                            TRACE,
                                                            ConstantDescs.INIT_NAME,
                                                            ConstantDescs.MTD_void)
                                                    .return_());
                            c.withMethodBody(
                                    "run", RUN, 0, code -> new Writer(code, blocks).write());
                        });
    }

    private static void writeConstants(CodeBuilder code, int count) {
        MethodTypeDesc get = MethodTypeDesc.of(OP, ConstantDescs.CD_int);
        MethodTypeDesc action = MethodTypeDesc.of(ACTION);
        for (int i = 0; i < count; i++) {
            code.loadConstant(i)
                    .invokestatic(TRANSLATOR, "constant", get)
                    .dup()
                    .putstatic(SELF, "o" + i, OP)
                    .invokevirtual(OP, "action", action)
                    .putstatic(SELF, "a" + i, ACTION);
        }
        code.return_();
    }

    /** Writes the method. Local 1 is the processor, local 2 where the running instruction is in its block. */
    private static final class Writer {
        private static final int C = 1;
        private static final int AT = 2;

        private final CodeBuilder code;
        private final List<Block> blocks;
        private final Label[] starts;
        private final Label out;
        private int number;

        Writer(CodeBuilder code, List<Block> blocks) {
            this.code = code;
            this.blocks = blocks;
            starts = new Label[blocks.size()];
            for (int i = 0; i < starts.length; i++) {
                starts[i] = code.newLabel();
            }
            out = code.newLabel();
        }

        void write() {
            Label from = code.newLabel();
            Label to = code.newLabel();
            Label handler = code.newLabel();
            code.exceptionCatch(from, to, handler, FAULT);
            code.iconst_0().istore(AT);
            code.labelBinding(from);
            for (int i = 0; i < starts.length; i++) {
                code.labelBinding(starts[i]);
                block(blocks.get(i));
            }
            code.labelBinding(out);
            code.return_();
            code.labelBinding(to);
            code.labelBinding(handler);
            code.aload(C).iload(AT).putfield(CPU, "faultOffset", ConstantDescs.CD_int);
            code.athrow();
        }

        private void block(Block b) {
            boolean wide = (b.mode & 3) == 2;
            code.loadConstant(0).istore(AT);
            code.aload(C).loadConstant(b.length);
            code.invokestatic(TRACE, wide ? "begin" : "beginLegacy", WITH_INT);
            for (Op o : b.ops) {
                operation(o, o == b.ops[b.ops.length - 1]);
            }
            int next = b.falls ? find(b.offset + b.length) : -1;
            int taken = b.taken == Block.NOWHERE ? -1 : find(b.offset + b.taken);
            if (next < 0 && taken < 0) {
                code.goto_(out);
                return;
            }
            code.aload(C).invokestatic(TRACE, "stop", ASK).ifne(out);
            if (taken < 0 && b.taken == Block.NOWHERE) {
                code.goto_(starts[next]);
                return;
            }
            if (next < 0 && !b.falls) {
                code.goto_(starts[taken]);
                return;
            }
            if (taken >= 0) {
                code.aload(C).invokestatic(TRACE, "distance", DISTANCE);
                code.loadConstant(b.taken).if_icmpeq(starts[taken]);
            }
            if (next >= 0) {
                code.aload(C).invokestatic(TRACE, "distance", DISTANCE);
                code.loadConstant(b.length).if_icmpeq(starts[next]);
            }
            code.goto_(out);
        }

        private int find(int offset) {
            for (int i = 0; i < blocks.size(); i++) {
                if (blocks.get(i).offset == offset) {
                    return i;
                }
            }
            return -1;
        }

        private void operation(Op o, boolean last) {
            int n = number++;
            code.loadConstant(o.offset()).istore(AT);
            code.getstatic(SELF, "a" + n, ACTION);
            code.aload(C);
            code.getstatic(SELF, "o" + n, OP);
            code.invokeinterface(ACTION, "run", ACT);
            if (!last && o.writes()) {
                code.aload(C).loadConstant(o.end());
                code.invokestatic(TRACE, "changed", ASK_INT).ifne(out);
            }
        }
    }
}
