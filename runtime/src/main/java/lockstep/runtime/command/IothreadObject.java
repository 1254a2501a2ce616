package lockstep.runtime.command;

import lockstep.api.IOThreadInfo;
import lockstep.api.IothreadProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Signals;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.object.Iothread;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.CompletableFuture;

/** {@code -object iothread}: an event loop on a thread of its own, without the machine lock. */
final class IothreadObject implements Iothread {
    private static final long DEFAULT_POLL_NS = 32768;
    private static final long DEFAULT_POOL_MAX = 64;

    /** What every object with an event loop has. */
    private static final QomType<IothreadObject> LOOP =
            QomType.<IothreadObject>abstraction("event-loop-base")
                    .with(
                            "aio-max-batch",
                            QomKind.INT,
                            null,
                            o -> o.aioMaxBatch,
                            IothreadObject::setAioMaxBatch)
                    .with(
                            "thread-pool-min",
                            QomKind.INT,
                            null,
                            o -> o.poolMin,
                            IothreadObject::setPoolMin)
                    .with(
                            "thread-pool-max",
                            QomKind.INT,
                            null,
                            o -> o.poolMax,
                            IothreadObject::setPoolMax);

    static final QomType<IothreadObject> TYPE =
            QomType.of("iothread", LOOP)
                    .with(
                            "poll-max-ns",
                            QomKind.INT,
                            null,
                            o -> o.pollMaxNs,
                            (o, v) -> o.pollMaxNs = inRange("poll-max-ns", v))
                    .with(
                            "poll-grow",
                            QomKind.INT,
                            null,
                            o -> o.pollGrow,
                            (o, v) -> o.pollGrow = inRange("poll-grow", v))
                    .with(
                            "poll-shrink",
                            QomKind.INT,
                            null,
                            o -> o.pollShrink,
                            (o, v) -> o.pollShrink = inRange("poll-shrink", v));

    private final EpollLoop loop;
    private long pollMaxNs;
    private long pollGrow;
    private long pollShrink;
    private long aioMaxBatch;
    private long poolMin;
    private long poolMax;
    private final int threadId;
    private int users;

    private IothreadObject(EpollLoop loop, IothreadProperties p) {
        this.loop = loop;
        pollMaxNs = number(p.pollMaxNs(), DEFAULT_POLL_NS);
        pollGrow = number(p.pollGrow(), 0);
        pollShrink = number(p.pollShrink(), 0);
        aioMaxBatch = number(p.aioMaxBatch(), 0);
        poolMin = number(p.threadPoolMin(), 0);
        poolMax = number(p.threadPoolMax(), DEFAULT_POOL_MAX);
        CompletableFuture<Integer> id = new CompletableFuture<>();
        loop.execute(() -> id.complete(Signals.currentThread()));
        threadId = id.join();
    }

    /** Makes one of {@code -object} options. */
    static IothreadObject create(ObjectOptions.Iothread options, Vmm vmm, VmClocks clocks)
            throws QmpException {
        IothreadProperties settings = options.data();
        check(settings);
        try {
            EpollLoop loop =
                    new EpollLoop(
                            "IO " + options.id(),
                            clocks,
                            null,
                            (name, failure) ->
                                    vmm.report("internal error in '" + name + "': " + failure));
            loop.start();
            return new IothreadObject(loop, settings);
        } catch (LinuxException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public EventLoop loop() {
        return loop;
    }

    @Override
    public void acquire() {
        users++;
    }

    @Override
    public void release() {
        users--;
    }

    @Override
    public boolean removable() {
        return users == 0;
    }

    private static void check(IothreadProperties p) throws QmpException {
        inRange("poll-max-ns", number(p.pollMaxNs(), 0));
        inRange("poll-grow", number(p.pollGrow(), 0));
        inRange("poll-shrink", number(p.pollShrink(), 0));
        inRange("aio-max-batch", number(p.aioMaxBatch(), 0));
        checkPool(
                inRange("thread-pool-min", number(p.threadPoolMin(), 0)),
                inRange("thread-pool-max", number(p.threadPoolMax(), DEFAULT_POOL_MAX)));
    }

    private static long inRange(String name, long value) throws QmpException {
        if (value < 0) {
            throw new QmpException(name + " value must be in range [0, " + Long.MAX_VALUE + "]");
        }
        return value;
    }

    /** Both count threads. */
    private static void checkPool(long min, long max) throws QmpException {
        if (max == 0 || min > max || max > Integer.MAX_VALUE) {
            throw new QmpException("bad thread-pool-min/thread-pool-max values");
        }
    }

    private void setPoolMin(long value) throws QmpException {
        checkPool(inRange("thread-pool-min", value), poolMax);
        poolMin = value;
    }

    private void setPoolMax(long value) throws QmpException {
        checkPool(poolMin, inRange("thread-pool-max", value));
        poolMax = value;
    }

    private void setAioMaxBatch(long value) throws QmpException {
        aioMaxBatch = inRange("aio-max-batch", value);
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    private static Long number(@Nullable Long given, long fallback) {
        return given == null ? fallback : given;
    }

    @Override
    public void close() {
        loop.close();
    }

    /** What query-iothreads tells. */
    IOThreadInfo describe(String id) {
        return IOThreadInfo.builder()
                .id(id)
                .threadId(threadId)
                .pollMaxNs(pollMaxNs)
                .pollGrow(pollGrow)
                .pollShrink(pollShrink)
                .aioMaxBatch(aioMaxBatch)
                .build();
    }

    /** What {@code info iothreads} prints. */
    void describe(String id, StringBuilder out) {
        out.append(id).append(":\n");
        out.append("  thread_id=").append(threadId).append('\n');
        out.append("  poll-max-ns=").append(pollMaxNs).append('\n');
        out.append("  poll-grow=").append(pollGrow).append('\n');
        out.append("  poll-shrink=").append(pollShrink).append('\n');
        out.append("  aio-max-batch=").append(aioMaxBatch).append('\n');
    }
}
