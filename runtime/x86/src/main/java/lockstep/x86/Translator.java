package lockstep.x86;

import java.lang.classfile.Attributes;
import java.lang.classfile.ClassFile;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.attribute.CodeAttribute;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.lang.invoke.MethodHandles;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Makes traces of hot blocks, on a thread of its own: a hidden class each, with what {@link TraceWriter} writes. Actions
 * that it calls and their operations are constants of the class, so that the JVM's compiler inlines the one and folds the
 * other. A trace is run from when that compiler has been there: until then the interpreter is quicker. A class goes with
 * the blocks that refer to it.
 */
final class Translator {
    private static final int QUEUE = 1024;

    /** After so many calls the JVM's compiler hears of a method. */
    private static final int CALLS = 512;

    // The compiler has been there when a call takes less than so many nanoseconds; looked for every so many milliseconds.
    private static final int SAMPLE = 64;
    private static final long COMPILED = 15;
    private static final long SOON = 2;
    private static final long LONG_ENOUGH = 1_000_000_000;

    /** Bytes of a method that the JVM still compiles. */
    private static final int MOST_CODE = 8000;

    private static final ClassDesc OP = ClassDesc.of("lockstep.x86.Op");
    private static final ClassDesc ACTION = ClassDesc.of("lockstep.x86.Op$Action");
    private static final ClassDesc TRANSLATOR = ClassDesc.of("lockstep.x86.Translator");
    private static final ClassDesc SELF = ClassDesc.of("lockstep.x86.Translated");
    private static final MethodTypeDesc RUN =
            MethodTypeDesc.of(
                    ConstantDescs.CD_void, TraceWriter.CPU, ConstantDescs.CD_int);

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
        ArrayDeque<Ready> ready = new ArrayDeque<>();
        while (true) {
            try {
                List<Block> blocks =
                        ready.isEmpty() ? queue.take() : queue.poll(SOON, TimeUnit.MILLISECONDS);
                if (blocks != null) {
                    ready.add(prepare(blocks));
                }
                ready.removeIf(Translator::publishedIfCompiled);
            } catch (InterruptedException e) {
                return;
            } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
                // A block that can't be translated is interpreted; nothing is lost but speed.
                continue;
            }
        }
    }

    /** Makes a trace of blocks, or of the first of them where that would be too much code, and shows it to the JVM. */
    private static Ready prepare(List<Block> blocks) throws ReflectiveOperationException {
        List<Block> some = blocks;
        List<Op> called = new ArrayList<>();
        byte[] bytes = write(some, called);
        while (codeLength(bytes) > MOST_CODE && some.size() > 1) {
            for (Block b : some.subList(some.size() / 2, some.size())) {
                b.runs = 0;
                b.translated = false;
            }
            some = some.subList(0, some.size() / 2);
            bytes = write(some, called);
        }
        Trace trace = define(bytes, called);
        for (int i = 0; i < CALLS; i++) {
            trace.run(null, 0);
        }
        return new Ready(some, trace, System.nanoTime());
    }

    private static int codeLength(byte[] bytes) {
        return ClassFile.of().parse(bytes).methods().stream()
                .filter(m -> m.methodName().equalsString("run"))
                .mapToInt(
                        m ->
                                m.findAttribute(Attributes.code())
                                        .map(CodeAttribute::codeLength)
                                        .orElse(0))
                .sum();
    }

    /** Has a trace run once the JVM's compiler has been there, as a call shows; or after long enough. */
    private static boolean publishedIfCompiled(Ready r) {
        long start = System.nanoTime();
        for (int i = 0; i < SAMPLE; i++) {
            r.trace.run(null, 0);
        }
        long end = System.nanoTime();
        if (end - start > SAMPLE * COMPILED && end - r.time < LONG_ENOUGH) {
            return false;
        }
        publish(r.blocks, r.trace);
        return true;
    }

    /** A trace that the JVM's compiler has heard of, and when. */
    private record Ready(List<Block> blocks, Trace trace, long time) {}

    /** Has blocks run as a trace of them. */
    static void publish(List<Block> blocks, Trace trace) {
        for (int i = 0; i < blocks.size(); i++) {
            Block b = blocks.get(i);
            if (b.trace == null && TracePlan.isEntry(blocks, i)) {
                b.entry = i;
                b.trace = trace;
            }
        }
    }

    /** For classes that are being initialised: the operation {@code i}. */
    static Op constant(int i) {
        return constants[i];
    }

    /** Makes the trace of these blocks. */
    static Trace translate(List<Block> blocks) throws ReflectiveOperationException {
        List<Op> called = new ArrayList<>();
        return define(write(blocks, called), called);
    }

    private static Trace define(byte[] bytes, List<Op> called)
            throws ReflectiveOperationException {
        synchronized (Translator.class) {
            constants = called.toArray(new Op[0]);
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

    private static byte[] write(List<Block> blocks, List<Op> called) {
        return ClassFile.of()
                .build(
                        SELF,
                        c -> {
                            c.withSuperclass(TraceWriter.TRACE);
                            c.withFlags(ClassFile.ACC_FINAL);
                            c.withMethodBody(
                                    ConstantDescs.INIT_NAME,
                                    ConstantDescs.MTD_void,
                                    0,
                                    code ->
                                            code.aload(0)
                                                    .invokespecial(
                                                            TraceWriter.TRACE,
                                                            ConstantDescs.INIT_NAME,
                                                            ConstantDescs.MTD_void)
                                                    .return_());
                            c.withMethodBody(
                                    "run",
                                    RUN,
                                    0,
                                    code -> {
                                        called.clear();
                                        new TraceWriter(code, SELF, blocks, called).write();
                                    });
                            int constant =
                                    ClassFile.ACC_PRIVATE
                                            | ClassFile.ACC_STATIC
                                            | ClassFile.ACC_FINAL;
                            for (int i = 0; i < called.size(); i++) {
                                c.withField("o" + i, OP, constant);
                                c.withField("a" + i, ACTION, constant);
                            }
                            c.withMethodBody(
                                    ConstantDescs.CLASS_INIT_NAME,
                                    ConstantDescs.MTD_void,
                                    ClassFile.ACC_STATIC,
                                    code -> writeConstants(code, called.size()));
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
}
