package lockstep.tools.img;

import lockstep.api.BlockdevAioOptions;
import lockstep.block.BlockBackend;
import lockstep.block.Completion;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;

/** {@code bench}: how long so many requests take, so many of them at once. */
final class Bench {
    private final Session session;

    Bench(Session session) {
        this.session = session;
    }

    /** What to send. */
    private record Plan(
            boolean write,
            long count,
            int depth,
            long size,
            long step,
            long offset,
            long flushEvery,
            boolean drain) {}

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "c= d= f= i= n o= q s= S= t= w U|--force-share --flush-interval= --pattern="
                                + " --no-drain --image-opts");
        Plan plan = plan(options);
        long pattern = number(options, "--pattern", "Invalid pattern byte specified", 0, 255, 0);
        CacheMode cache = CacheMode.of("Invalid cache mode", options.get("t"), CacheMode.WRITEBACK);
        session.images().engine(engine(options));
        String filename = options.onlyFile();
        if (!plan.write && plan.flushEvery != 0) {
            throw new ToolException("--flush-interval is only available in write tests");
        }
        if (plan.flushEvery != 0 && plan.flushEvery < plan.depth) {
            throw new ToolException("Flush interval can't be smaller than depth");
        }
        Images.Way way = Images.Way.reading(options).cached(cache);
        BlockNode node;
        try {
            node = session.images().node(filename, plan.write ? way.writing() : way);
        } catch (BlockException e) {
            throw ToolException.of("Could not open '" + filename + "': ", e);
        }
        BlockBackend backend = session.images().backends().add("");
        try {
            backend.insert(node);
            backend.setPermissions(
                    Permission.CONSISTENT_READ | (plan.write ? Permission.WRITE : 0),
                    Permission.ALL & ~Permission.WRITE);
            backend.setWritethrough(cache.writethrough());
            measure(options, backend, plan, (byte) pattern);
        } finally {
            session.images().graph().release(node);
            backend.close();
        }
        return 0;
    }

    private static @Nullable BlockdevAioOptions engine(Options options) throws ToolException {
        String engine = options.has("n") ? "native" : options.get("i");
        return switch (engine) {
            case null -> null;
            case "threads" -> BlockdevAioOptions.THREADS;
            case "native" -> BlockdevAioOptions.NATIVE;
            case "io_uring" -> BlockdevAioOptions.IO_URING;
            default -> throw new ToolException("Invalid aio option: " + engine);
        };
    }

    private static Plan plan(Options options) throws ToolException {
        long size = bytes(options, "s", "buffer size", 1, Integer.MAX_VALUE, 4096);
        return new Plan(
                options.has("w"),
                number(
                        options,
                        "c",
                        "Invalid request count specified",
                        0,
                        Integer.MAX_VALUE,
                        75000),
                (int) number(options, "d", "Invalid queue depth specified", 1, 1 << 16, 64),
                size,
                bytes(options, "S", "step_size", 0, Integer.MAX_VALUE, size),
                bytes(options, "o", "offset", 0, Long.MAX_VALUE, 0),
                number(
                        options,
                        "--flush-interval",
                        "Invalid flush interval specified",
                        0,
                        Integer.MAX_VALUE,
                        0),
                !options.has("--no-drain"));
    }

    private static long number(
            Options options, String name, String refusal, long least, long most, long fallback)
            throws ToolException {
        String text = options.get(name);
        return text == null ? fallback : Numbers.integer(refusal, text, least, most);
    }

    private static long bytes(
            Options options, String name, String what, long least, long most, long fallback)
            throws ToolException {
        String text = options.get(name);
        return text == null ? fallback : Numbers.size(what, text, least, most);
    }

    private void measure(Options options, BlockBackend backend, Plan plan, byte pattern)
            throws ToolException {
        long length = backend.length();
        if (plan.size > length) {
            throw new ToolException("The image is smaller than one request");
        }
        session.say(
                options,
                "Sending "
                        + plan.count
                        + (plan.write ? " write" : " read")
                        + " requests, "
                        + plan.size
                        + " bytes each, "
                        + plan.depth
                        + " in parallel (starting at offset "
                        + plan.offset
                        + ", step size "
                        + plan.step
                        + ")");
        if (plan.flushEvery != 0) {
            session.say(options, "Sending flush every " + plan.flushEvery + " requests");
        }
        long start = System.nanoTime();
        int errno = onLoop(new Run(backend, plan, length, pattern));
        double seconds = (System.nanoTime() - start) / 1e9;
        if (errno != 0) {
            throw new ToolException("Failed request: " + Errno.text(errno));
        }
        session.say(options, String.format(Locale.ROOT, "Run completed in %.3f seconds.", seconds));
    }

    /** All of a run, on a loop as a machine's: it takes results from the kernel where that has a queue. */
    private static int onLoop(Run run) throws ToolException {
        try (EpollLoop loop = new EpollLoop("bench", new VmClocks(), null, run)) {
            run.backend.completeOn(loop);
            loop.start();
            loop.execute(run::begin);
            return run.result.join();
        } catch (LinuxException e) {
            throw new ToolException(String.valueOf(e.getMessage()));
        } finally {
            run.backend.completeOn(null);
        }
    }

    /** One run, on its loop. */
    private static final class Run implements EpollLoop.Failures {
        private final BlockBackend backend;
        private final Plan plan;
        private final long length;
        private final Pieces[] pieces;
        private final Completion[] sent;
        private final CompletableFuture<Integer> result = new CompletableFuture<>();
        private long toSend;
        private long position;
        private int under;
        private long sinceFlush;
        private boolean flushing;
        private int errno;

        Run(BlockBackend backend, Plan plan, long length, byte pattern) {
            this.backend = backend;
            this.plan = plan;
            this.length = length;
            this.toSend = plan.count;
            this.position = plan.offset;
            pieces = new Pieces[plan.depth];
            sent = new Completion[plan.depth];
            MemorySegment all = Arena.ofAuto().allocate(plan.depth * plan.size, 4096);
            all.fill(pattern);
            for (int i = 0; i < plan.depth; i++) {
                int buffer = i;
                pieces[i] = Pieces.of(all.asSlice(i * plan.size, plan.size));
                sent[i] = errno -> sent(buffer, errno);
            }
        }

        void begin() {
            for (int i = 0; i < plan.depth; i++) {
                send(i);
            }
            endIfOver();
        }

        private void endIfOver() {
            if (under == 0) {
                result.complete(errno);
            }
        }

        @Override
        public void failed(String loop, Throwable failure) {
            result.completeExceptionally(failure);
        }

        /** Sends the next request with a buffer that is free. */
        private void send(int buffer) {
            if (toSend == 0 || errno != 0 || flushing && plan.drain) {
                return;
            }
            if (position > length - plan.size) {
                position = position % length > length - plan.size ? 0 : position % length;
            }
            long at = position;
            position += plan.step;
            toSend--;
            under++;
            if (plan.write) {
                backend.write(at, pieces[buffer], sent[buffer]);
            } else {
                backend.read(at, pieces[buffer], sent[buffer]);
            }
        }

        private void sent(int buffer, int errno) {
            over(errno);
            sinceFlush++;
            if (plan.flushEvery != 0 && sinceFlush >= plan.flushEvery && !flushing) {
                flushing = true;
            }
            if (flushing && (!plan.drain || under == 0)) {
                flushing = plan.drain;
                sinceFlush = 0;
                under++;
                backend.flush(this::flushed);
                if (plan.drain) {
                    return;
                }
            }
            send(buffer);
            endIfOver();
        }

        private void flushed(int errno) {
            over(errno);
            if (plan.drain) {
                flushing = false;
                for (int i = 0; i < plan.depth; i++) {
                    send(i);
                }
            }
            endIfOver();
        }

        private void over(int failure) {
            under--;
            errno = errno == 0 ? failure : errno;
        }
    }
}
