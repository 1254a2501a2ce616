package lockstep.colo.compare;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareStats;
import lockstep.net.filter.FrameDecoder;
import lockstep.net.filter.FrameWriter;
import lockstep.net.filter.OutputFrontend;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * The object colo-compare: a comparison with its four character devices, on the loop of an I/O
 * thread. Made and closed under the machine lock; everything between runs on that loop without it.
 */
public final class ColoCompare implements UserObject {
    private static final String[] POLICIES =
            ColoComparePolicy.known().stream()
                    .map(ColoComparePolicy::wireName)
                    .toArray(String[]::new);

    private static final QomKind<ColoCompareStats> STATISTICS =
            new QomKind<>(
                    "ColoCompareStats",
                    (visitor, name) -> ColoCompareStats.read(visitor, name),
                    stats -> JsonOutputVisitor.toJson(stats, ColoCompareStats::write));

    /**
     * QEMU: type "colo-compare". It keeps its devices and its frames' layout; other values of those are
     * only remembered.
     */
    public static final QomType<ColoCompare> TYPE =
            QomType.<ColoCompare>of("colo-compare")
                    .with(
                            "primary_in",
                            QomKind.STRING,
                            null,
                            c -> c.primaryName,
                            (c, v) -> c.primaryName = v)
                    .with(
                            "secondary_in",
                            QomKind.STRING,
                            null,
                            c -> c.secondaryName,
                            (c, v) -> c.secondaryName = v)
                    .with("outdev", QomKind.STRING, null, c -> c.outName, (c, v) -> c.outName = v)
                    .with(
                            "iothread",
                            QomKind.link("iothread"),
                            null,
                            c -> c.iothreadPath,
                            ColoCompare::setIothread)
                    .with(
                            "notify_dev",
                            QomKind.STRING,
                            null,
                            c -> c.notifyName,
                            (c, v) -> c.notifyName = v)
                    .with(
                            "compare_timeout",
                            QomKind.UINT32.as("uint64"),
                            null,
                            c -> c.timeout,
                            (c, v) -> c.timeout = positive("compare_timeout", v))
                    .with(
                            "expired_scan_cycle",
                            QomKind.UINT32,
                            null,
                            c -> c.scanCycle,
                            (c, v) -> c.scanCycle = positive("expired_scan_cycle", v))
                    .with(
                            "max_queue_size",
                            QomKind.UINT32,
                            null,
                            c -> Integer.toUnsignedLong(c.comparisons.maxQueue()),
                            (c, v) -> c.comparisons.maxQueue((int) positive("max_queue_size", v)))
                    .with(
                            "vnet_hdr_support",
                            QomKind.BOOL,
                            null,
                            c -> c.vnetHeader,
                            (c, v) -> c.vnetHeader = v)
                    .with(
                            "policy",
                            QomKind.choice("ColoComparePolicy", POLICIES),
                            null,
                            c -> c.config.policy().wireName(),
                            (c, v) -> c.keepPolicy(v))
                    .with(
                            "settle-time",
                            QomKind.UINT32,
                            null,
                            c -> c.settleTime,
                            (c, v) -> c.settleTime = v)
                    .with("statistics", STATISTICS, null, ColoCompare::statistics, null);

    private static final long MILLISECOND = 1_000_000;
    private static final int MOST_READS = 4096;
    private static final String TO_XEN = "DO_CHECKPOINT";
    private static final String XEN_HELLO = "COLO_USERSPACE_PROXY_INIT";
    private static final String XEN_ANSWER = "COLO_COMPARE_GET_XEN_INIT";
    private static final String XEN_CHECKPOINT = "COLO_CHECKPOINT";

    private final CompareConfig config;
    private final Comparisons comparisons;
    private final EventLoop loop;
    private final Consumer<String> warnings;
    private final Runnable whenClosed;
    private final Links links;
    private final Engine engine;
    private final Chardev.Attachment primary;
    private final Chardev.Attachment secondary;
    private final GatedOutput out;
    private final @Nullable FrameWriter xen;
    private final Input primaryInput;
    private final Input secondaryInput;
    private final MarkedPackets primaryPackets;
    private final MarkedPackets secondaryPackets;
    private final Timer scan;
    private final Timer settle;
    private String iothreadPath;
    private String primaryName;
    private String secondaryName;
    private String outName;
    private String notifyName;
    private boolean vnetHeader;
    private volatile long timeout;
    private volatile long scanCycle;
    private volatile long settleTime;
    private long settlesAt = Long.MAX_VALUE;
    private boolean draining;
    private boolean closed;

    private ColoCompare(Setup s, Chardev.Attachment[] devices) {
        config = s.config;
        comparisons = s.comparisons;
        loop = s.loop;
        warnings = s.warnings;
        whenClosed = s.whenClosed;
        links = s.links;
        LongSupplier nanos = () -> loop.clocks().now(ClockType.REALTIME);
        engine =
                config.policy() == ColoComparePolicy.QEMU
                        ? new QemuEngine(
                                new EngineOutput(),
                                () -> nanos.getAsLong() / MILLISECOND,
                                comparisons::mostQueued)
                        : new StrictEngine(
                                new EngineOutput(),
                                nanos,
                                comparisons::mostQueued,
                                () -> settleTime * MILLISECOND,
                                StrictEngine.MOST_FLOWS);
        primary = devices[0];
        secondary = devices[1];
        out =
                new GatedOutput(
                        new FrameWriter(devices[2], config.vnetHeader()),
                        comparisons::open,
                        warnings);
        xen = devices.length > 3 ? new FrameWriter(devices[3], false) : null;
        iothreadPath = "/objects/" + config.iothread();
        primaryName = config.primaryIn();
        secondaryName = config.secondaryIn();
        outName = config.outdev();
        notifyName = Objects.requireNonNullElse(config.notifyDev(), "");
        vnetHeader = config.vnetHeader();
        timeout = config.compareTimeout();
        scanCycle = config.expiredScanCycle();
        settleTime = config.settleTime();
        long checkpoints = comparisons.checkpoints();
        primaryPackets = new MarkedPackets(engine::primary, true, checkpoints);
        primaryInput =
                new Input(
                        "primary_in",
                        primaryPackets,
                        () -> !primaryPackets.ahead() && roomForPrimary(),
                        () -> {
                            // Behind the mark comes nothing but what it keeps apart, whoever the
                            // peer is.
                            if (!primaryPackets.ahead()) {
                                primaryPackets.forgetMark();
                            }
                        });
        secondaryPackets = new MarkedPackets(engine::secondary, false, checkpoints);
        secondaryInput =
                new Input(
                        "secondary_in",
                        secondaryPackets,
                        () -> draining || engine.takes(false) && !secondaryPackets.waits(),
                        secondaryPackets::reset);
        scan = loop.timer(ClockType.REALTIME, this::scan);
        settle = loop.timer(ClockType.REALTIME, this::settle);
    }

    /**
     * What a comparison is made from.
     *
     * @param chardevs finds a character device, null when there is none
     * @param loop the I/O thread's loop
     * @param warnings messages for the user
     * @param whenClosed told when the comparison no longer needs its loop
     * @param links finds other I/O threads
     */
    public record Setup(
            CompareConfig config,
            Comparisons comparisons,
            Function<String, @Nullable Chardev> chardevs,
            EventLoop loop,
            Consumer<String> warnings,
            Runnable whenClosed,
            Links links) {}

    /** Finds the I/O thread that a user names. */
    @FunctionalInterface
    public interface Links {
        /** Its whole path. Throws if it is not there. */
        String path(String name) throws QmpException;
    }

    /**
     * Takes hold of the devices and starts to compare.
     *
     * @throws CompareException when a device is missing, unfit or in use
     */
    public static ColoCompare open(Setup setup) throws CompareException {
        CompareConfig c = setup.config;
        c.check();
        Deferred primaryIn = new Deferred();
        Deferred secondaryIn = new Deferred();
        Deferred notifyIn = new Deferred();
        String notify = c.notifyDev();
        Chardev.Attachment[] devices = new Chardev.Attachment[notify == null ? 3 : 4];
        int made = 0;
        try {
            devices[made++] = attach(setup, c.primaryIn(), primaryIn);
            devices[made++] = attach(setup, c.secondaryIn(), secondaryIn);
            devices[made++] = attach(setup, c.outdev(), new OutputFrontend());
            if (notify != null) {
                devices[made++] = attach(setup, notify, notifyIn);
            }
        } catch (CompareException e) {
            for (int i = 0; i < made - 1; i++) {
                devices[i].close();
            }
            throw e;
        }
        ColoCompare compare = new ColoCompare(setup, devices);
        compare.start(primaryIn, secondaryIn, notifyIn);
        return compare;
    }

    private static Chardev.Attachment attach(Setup setup, String id, ChardevFrontend frontend)
            throws CompareException {
        Chardev device = setup.chardevs.apply(id);
        if (device == null) {
            throw new CompareException("Device '" + id + "' not found");
        }
        if (!device.reconnectable()) {
            throw new CompareException("chardev \"" + id + "\" is not reconnectable");
        }
        if (!device.movable()) {
            throw new CompareException("chardev \"" + id + "\" cannot switch context");
        }
        try {
            return device.attach(frontend, setup.loop);
        } catch (ChardevException e) {
            throw new CompareException(String.valueOf(e.getMessage()));
        }
    }

    private void start(Deferred primaryIn, Deferred secondaryIn, Deferred notifyIn) {
        Long max = config.maxQueueSize();
        if (max != null) {
            comparisons.maxQueue((int) Math.min(max, Integer.MAX_VALUE));
        }
        comparisons.add(this);
        primaryIn.begin(primaryInput, primary);
        secondaryIn.begin(secondaryInput, secondary);
        FrameWriter x = xen;
        if (x != null) {
            notifyIn.begin(
                    new Input("notify_dev", this::fromXen, () -> true, () -> {}), x.attachment());
        }
        armScan();
    }

    private boolean roomForPrimary() {
        return draining || engine.takes(true) && out.takes();
    }

    /** Whether it takes nothing of what the primary sends. Any thread. */
    boolean holding() {
        return primaryInput.full;
    }

    private void armScan() {
        scan.arm(loop.clocks().now(ClockType.REALTIME) + scanCycle * MILLISECOND);
    }

    private void scan() {
        if (!closed) {
            engine.scan(timeout);
            armScan();
            worked();
        }
    }

    private void settle() {
        if (!closed) {
            settlesAt = Long.MAX_VALUE;
            engine.settle();
            worked();
        }
    }

    /** Behind everything that the engine did: sends what it released, and looks what it wants next. */
    private void worked() {
        if (comparisons.alone()) {
            // A mark may come late, from behind what was not read.
            primaryPackets.forgetMark();
            engine.flush();
        }
        out.send();
        long next = engine.settlesAt();
        if (next < settlesAt) {
            settlesAt = next;
            settle.arm(next);
        }
        out.whenTaken(() -> primaryInput.resume(primary));
        primaryInput.resume(primary);
        secondaryInput.resume(secondary);
    }

    /** Packets that were to be kept may leave now, or the other way round. On the loop. */
    void gateMoved() {
        if (!closed) {
            worked();
        }
    }

    void post(Runnable task) {
        loop.execute(task);
    }

    /** A session begins or ends. On the loop. */
    void session() {
        if (!closed) {
            primaryPackets.checkpoint(0);
            primaryPackets.forgetMark();
            secondaryPackets.checkpoint(0);
            worked();
        }
    }

    /** Has {@code action} run when all is here that the primary sent before that checkpoint. On the loop. */
    void whenPrimaryStands(long number, Runnable action) {
        if (!closed) {
            primaryPackets.whenMarked(number, action);
        }
    }

    /**
     * Releases all that waits and was sent before the checkpoint. On the loop.
     *
     * @return how many of the primary's that were
     */
    long flush() {
        if (closed) {
            return 0;
        }
        drain();
        long waited = engine.statistics().primaryHeld;
        engine.flush();
        worked();
        return waited;
    }

    /** That checkpoint of the session is past. On the loop. */
    void checkpoint(long number) {
        if (!closed) {
            primaryPackets.checkpoint(number);
            secondaryPackets.checkpoint(number);
            worked();
        }
    }

    /**
     * Takes what both guests sent before they stopped, as far as it is here: it belongs to the time before the
     * checkpoint.
     */
    private void drain() {
        draining = true;
        try {
            for (int i = 0; i < MOST_READS && primary.poll(); i++) {}
            for (int i = 0; i < MOST_READS && secondary.poll(); i++) {}
        } finally {
            draining = false;
        }
    }

    /** What it has done so far. Any thread but the loop's. */
    ColoCompareStats statistics() {
        CompletableFuture<ColoCompareStats> shown = new CompletableFuture<>();
        post(() -> shown.complete(shown()));
        return shown.join();
    }

    private ColoCompareStats shown() {
        CompareStatistics now = engine.statistics();
        now.stale = secondaryPackets.stale();
        return now.show(config.id(), config.policy());
    }

    private void fromXen(byte[] data, int length, int vnetHeader) {
        String text = new String(data, 0, length, StandardCharsets.ISO_8859_1);
        switch (text) {
            case XEN_HELLO -> toXen(XEN_ANSWER);
            case XEN_CHECKPOINT -> flush();
            default -> warnings.accept("COLO compare got unsupported instruction");
        }
    }

    private void toXen(String text) {
        FrameWriter x = xen;
        if (x != null) {
            byte[] b = text.getBytes(StandardCharsets.US_ASCII);
            try {
                x.write(b, 0, b.length, 0);
            } catch (IOException e) {
                warnings.accept("Notify Xen COLO-frame failed");
            }
        }
    }

    private final class EngineOutput implements Engine.Output {
        @Override
        public void release(byte[] frame, int length, int vnetHeader) {
            out.release(frame, length, vnetHeader);
        }

        @Override
        public void requestCheckpoint() {
            if (xen != null) {
                toXen(TO_XEN);
            } else {
                comparisons.requestCheckpoint();
            }
        }
    }

    /** One input; goes on reading when another peer connects. */
    private final class Input implements ChardevFrontend {
        private final String name;
        private final FrameDecoder decoder;
        private final BooleanSupplier room;
        private final Runnable another;
        private boolean broken;
        private boolean refused;

        /** Whether there is no room for more. */
        private volatile boolean full;

        Input(String name, FrameDecoder.Sink sink, BooleanSupplier room, Runnable another) {
            this.name = name;
            this.room = room;
            this.another = another;
            this.decoder = new FrameDecoder(config.vnetHeader(), sink);
        }

        @Override
        public int canReceive() {
            boolean ends = broken || closed;
            boolean takes = !ends && room.getAsBoolean();
            full = !ends && !takes;
            // Stays until the device is told: what takes all for a moment, as a drain does, tells
            // it nothing.
            refused |= !takes;
            return takes ? FrameDecoder.MAX_FRAME : 0;
        }

        /** Has the device read again that was told to wait. */
        void resume(Chardev.Attachment device) {
            if (refused && canReceive() > 0) {
                refused = false;
                device.acceptInput();
            }
        }

        @Override
        public void receive(ByteBuffer data) {
            if (broken || closed || !decoder.feed(data)) {
                data.position(data.limit());
                if (!broken && !closed) {
                    broken = true;
                    warnings.accept(FrameDecoder.OVERSIZED);
                    warnings.accept("colo-compare " + name + " error");
                }
            }
            if (!closed) {
                worked();
            }
        }

        @Override
        public void closed() {
            // A frame that the old peer cut in the middle must not eat the new peer's first bytes.
            decoder.reset();
            another.run();
            broken = false;
        }
    }

    /** A front end that takes nothing until the object behind it is complete. */
    private static final class Deferred implements ChardevFrontend {
        private volatile @Nullable Input input;

        void begin(Input behind, Chardev.Attachment device) {
            input = behind;
            device.acceptInput();
        }

        @Override
        public int canReceive() {
            Input i = input;
            return i == null ? 0 : i.canReceive();
        }

        @Override
        public void receive(ByteBuffer data) {
            Input i = input;
            if (i != null) {
                i.receive(data);
            }
        }

        @Override
        public void closed() {
            Input i = input;
            if (i != null) {
                i.closed();
            }
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    /** It stays on the loop that it was made for. */
    private void setIothread(String path) throws QmpException {
        iothreadPath = path.isEmpty() ? "" : links.path(path);
    }

    /** The rules are those that it was made with. */
    private void keepPolicy(String value) throws QmpException {
        if (!value.equals(config.policy().wireName())) {
            throw new QmpException("The policy of a comparison cannot be changed");
        }
    }

    private static long positive(String property, long value) throws QmpException {
        try {
            CompareConfig.positive(property, value);
        } catch (CompareException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
        return value;
    }

    /**
     * Releases what the primary has sent (it would be lost otherwise), then lets go of the devices.
     * Returns when that is done.
     */
    @Override
    public void close() {
        comparisons.remove(this);
        CountDownLatch done = new CountDownLatch(1);
        post(
                () -> {
                    try {
                        shut();
                    } finally {
                        done.countDown();
                    }
                });
        Comparisons.await(done);
        whenClosed.run();
    }

    private void shut() {
        if (closed) {
            return;
        }
        primaryPackets.forgetMark();
        drain();
        engine.flush();
        out.send();
        closed = true;
        scan.cancel();
        settle.cancel();
        primary.close();
        secondary.close();
        out.close();
        FrameWriter x = xen;
        if (x != null) {
            x.attachment().close();
        }
    }
}
