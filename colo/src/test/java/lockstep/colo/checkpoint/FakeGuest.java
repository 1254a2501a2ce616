package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.fail;

import lockstep.api.ColoExitEvent;
import lockstep.api.Event;
import lockstep.api.MigrateArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.MigrationEvent;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.migration.GlobalState;
import lockstep.runtime.migration.MigrationHost;
import lockstep.runtime.migration.MigrationService;
import lockstep.runtime.migration.MigrationSettings;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** A process in memory: two RAM blocks, one device with one register, run control, a main loop. */
final class FakeGuest implements MigrationHost, AutoCloseable {
    static final int PAGE = RamBlock.PAGE;

    /** One RAM block on the Java heap's side of things. */
    static final class Block implements RamBlock {
        private final String name;
        private final MemorySegment memory;
        private long @Nullable [] dirty;

        Block(String name, int pages) {
            this.name = name;
            memory = Arena.ofAuto().allocate((long) pages * PAGE, PAGE);
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public MemorySegment memory() {
            return memory;
        }

        @Override
        public long usedLength() {
            return memory.byteSize();
        }

        @Override
        public long maxLength() {
            return memory.byteSize();
        }

        @Override
        public void resize(long usedLength) {
            throw new IllegalArgumentException(name + " has a fixed size");
        }

        @Override
        public void markDirty(long offset, long length) {
            long[] bits = dirty;
            if (bits != null) {
                for (long p = offset / PAGE; p <= (offset + length - 1) / PAGE; p++) {
                    bits[(int) (p / 64)] |= 1L << p % 64;
                }
            }
        }

        /** What a store instruction of the guest does. */
        void store(long offset, long value) {
            memory.set(ValueLayout.JAVA_LONG, offset, value);
            markDirty(offset, 8);
        }

        long load(long offset) {
            return memory.get(ValueLayout.JAVA_LONG, offset);
        }
    }

    private final class Log implements DirtyLog {
        @Override
        public void start() {
            for (Block b : ram) {
                b.dirty = new long[(int) (b.maxLength() / PAGE + 63) / 64];
            }
        }

        @Override
        public void stop() {
            for (Block b : ram) {
                b.dirty = null;
            }
        }

        @Override
        public boolean recording() {
            return ram.getFirst().dirty != null;
        }

        @Override
        public long collect(RamBlock block, long[] bitmap) {
            long[] bits = ((Block) block).dirty;
            long fresh = 0;
            if (bits != null) {
                for (int i = 0; i < bits.length; i++) {
                    fresh += Long.bitCount(bits[i] & ~bitmap[i]);
                    bitmap[i] |= bits[i];
                }
                Arrays.fill(bits, 0);
            }
            return fresh;
        }
    }

    /** Counts what COLO tells its neighbours. */
    static final class Counted implements Neighbours {
        final Map<String, Integer> calls = new HashMap<>();
        @Nullable Runnable mismatch;

        private synchronized void count(String what) {
            calls.merge(what, 1, Integer::sum);
        }

        @Override
        public void startReplication(boolean primary) {
            count("start");
        }

        @Override
        public void checkpointReplication() {
            count("checkpoint");
        }

        @Override
        public void checkReplication() {
            count("check");
        }

        @Override
        public void stopReplication(boolean failover) {
            count("stop");
        }

        @Override
        public void filtersCheckpoint() {
            count("filters");
        }

        @Override
        public void filtersFailover() {
            count("failover");
        }

        @Override
        public synchronized void onMismatch(@Nullable Runnable listener) {
            mismatch = listener;
        }

        @Override
        public void releasePackets() {
            count("release");
        }
    }

    final String name;
    final List<Block> ram = List.of(new Block("pc.ram", 300), new Block("vga.vram", 70));
    final Counted neighbours = new Counted();
    final ColoSession colo = new ColoSession(neighbours);
    final MigrationService migration;
    long register;
    private final MachineLock lock = new MachineLock();
    private final StateRegistry registry = new StateRegistry();
    private final Log log = new Log();
    private final ExecutorService loop;
    private final List<String> events = new ArrayList<>();
    private RunState state;
    private boolean autostart = true;

    FakeGuest(String name, RunState state) {
        this.name = name;
        this.state = state;
        loop =
                Executors.newSingleThreadExecutor(
                        Thread.ofPlatform().daemon().name("loop " + name).factory());
        registry.register(
                new StateSection() {
                    @Override
                    public String name() {
                        return "0000:00:03.0/register";
                    }

                    @Override
                    public int version() {
                        return 2;
                    }

                    @Override
                    public void describe(StateCodec c) throws StateException {
                        register = c.u64("value", register);
                    }
                });
        GlobalState global =
                new GlobalState(
                        RunState.known().stream()
                                .map(RunState::wireName)
                                .collect(java.util.stream.Collectors.toSet()));
        registry.register(global);
        migration =
                new MigrationService(this, new MigrationSettings(), global, List::of, () -> colo);
    }

    /** Switches capabilities on. */
    FakeGuest with(MigrationCapability... capabilities) throws QmpException {
        migration.migrateSetCapabilities(
                new MigrateSetCapabilitiesArguments(
                        Arrays.stream(capabilities)
                                .map(c -> new MigrationCapabilityStatus(c, true))
                                .toList()));
        return this;
    }

    FakeGuest checkpointDelay(long millis) throws QmpException {
        migration.migrateSetParameters(
                MigrateSetParameters.builder().xCheckpointDelay(millis).build());
        return this;
    }

    void migrate(String uri) throws QmpException {
        lock.acquire();
        try {
            migration.migrate(MigrateArguments.builder().uri(uri).build());
        } finally {
            lock.release();
        }
    }

    void lostHeartbeat() throws QmpException {
        lock.acquire();
        try {
            colo.xColoLostHeartbeat();
        } finally {
            lock.release();
        }
    }

    /** Sets the register and the first word of a few pages of each block as a running guest would. */
    void epoch(long value) {
        lock.run(
                () -> {
                    register = value;
                    for (Block b : ram) {
                        for (int page = 0; page < 70; page += 7) {
                            b.store((long) page * PAGE, value);
                        }
                    }
                });
    }

    /** The epoch that register and RAM agree about. */
    long consistentEpoch() {
        for (Block b : ram) {
            for (int page = 0; page < 70; page += 7) {
                long value = b.load((long) page * PAGE);
                if (value != register) {
                    fail(
                            name
                                    + ": page "
                                    + page
                                    + " of "
                                    + b.name()
                                    + " holds epoch "
                                    + value
                                    + ", the register "
                                    + register);
                }
            }
        }
        return register;
    }

    private void happened(String what) {
        synchronized (events) {
            events.add(what);
            events.notifyAll();
        }
    }

    List<String> events() {
        synchronized (events) {
            return List.copyOf(events);
        }
    }

    long count(String event) {
        return events().stream().filter(event::equals).count();
    }

    /** Waits until the list of events satisfies the condition. */
    void await(String what, Predicate<List<String>> condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        synchronized (events) {
            while (!condition.test(events)) {
                long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                if (left <= 0) {
                    fail(name + " waits for " + what + ", saw " + events);
                }
                events.wait(left);
            }
        }
    }

    void await(String event) throws InterruptedException {
        await(event, e -> e.contains(event));
    }

    void awaitCount(String event, long count) throws InterruptedException {
        await(count + " x " + event, e -> e.stream().filter(event::equals).count() >= count);
    }

    @Override
    public MachineLock lock() {
        return lock;
    }

    @Override
    public StateRegistry state() {
        return registry;
    }

    @Override
    public String machineType() {
        return "pc-i440fx-10.2";
    }

    @Override
    public List<RamBlock> blocks() {
        return List.copyOf(ram);
    }

    @Override
    public DirtyLog dirtyLog() {
        return log;
    }

    @Override
    public synchronized RunState runState() {
        return state;
    }

    @Override
    public boolean running() {
        return runState() == RunState.RUNNING;
    }

    @Override
    public void stop(RunState next) {
        boolean was = running();
        runState(next);
        if (was) {
            happened("STOP");
        }
    }

    @Override
    public void start() {
        if (!running()) {
            runState(RunState.RUNNING);
            happened("RESUME");
        }
    }

    @Override
    public synchronized void runState(RunState next) {
        state = next;
    }

    @Override
    public boolean autostart() {
        return autostart;
    }

    @Override
    public void autostart(boolean on) {
        autostart = on;
    }

    @Override
    public void activateDisks() {}

    @Override
    public void inactivateDisks() {}

    @Override
    public void announce() {
        happened("announce");
    }

    @Override
    public void emit(Event event) {
        happened(
                switch (event) {
                    case MigrationEvent m -> "MIGRATION " + m.status().wireName();
                    case ColoExitEvent c ->
                            "COLO_EXIT " + c.mode().wireName() + " " + c.reason().wireName();
                    default -> event.eventName();
                });
    }

    @Override
    public void report(String message) {
        happened("report: " + message);
    }

    @Override
    public void execute(Runnable task) {
        loop.execute(() -> lock.run(task));
    }

    @Override
    public void exit(int code) {
        happened("exit " + code);
    }

    @Override
    public void close() {
        loop.shutdownNow();
    }
}
