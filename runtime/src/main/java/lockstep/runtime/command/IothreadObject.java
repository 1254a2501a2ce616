package lockstep.runtime.command;

import lockstep.api.IOThreadInfo;
import lockstep.api.IothreadProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.Vmm;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Signals;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.object.Iothread;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.CompletableFuture;

/** {@code -object iothread}: an event loop on a thread of its own, without the machine lock. */
final class IothreadObject implements Iothread {
    private static final long DEFAULT_POLL_NS = 32768;

    private final EpollLoop loop;
    private final IothreadProperties settings;
    private final int threadId;
    private int users;

    private IothreadObject(EpollLoop loop, IothreadProperties settings) {
        this.loop = loop;
        this.settings = settings;
        CompletableFuture<Integer> id = new CompletableFuture<>();
        loop.execute(() -> id.complete(Signals.currentThread()));
        threadId = id.join();
    }

    /** Makes one of {@code -object} options. */
    static IothreadObject create(ObjectOptions options, Vmm vmm, VmClocks clocks)
            throws QmpException {
        IothreadProperties settings =
                options instanceof ObjectOptions.Iothread o
                        ? o.data()
                        : IothreadProperties.builder().build();
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

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of(
                        "poll-max-ns", "int", () -> number(settings.pollMaxNs(), DEFAULT_POLL_NS)),
                QomProperty.of("poll-grow", "int", () -> number(settings.pollGrow(), 0)),
                QomProperty.of("poll-shrink", "int", () -> number(settings.pollShrink(), 0)),
                QomProperty.of("aio-max-batch", "int", () -> number(settings.aioMaxBatch(), 0)));
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
                .pollMaxNs(number(settings.pollMaxNs(), DEFAULT_POLL_NS))
                .pollGrow(number(settings.pollGrow(), 0))
                .pollShrink(number(settings.pollShrink(), 0))
                .aioMaxBatch(number(settings.aioMaxBatch(), 0))
                .build();
    }

    /** What {@code info iothreads} prints. */
    void describe(String id, StringBuilder out) {
        out.append(id).append(":\n");
        for (QomProperty p : properties()) {
            out.append("  ").append(p.name()).append('=').append(p.reader().get()).append('\n');
        }
    }
}
