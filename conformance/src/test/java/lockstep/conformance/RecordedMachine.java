package lockstep.conformance;

import lockstep.api.ColoExitEvent;
import lockstep.api.Event;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.RunState;
import lockstep.colo.checkpoint.ColoSession;
import lockstep.colo.checkpoint.Neighbours;
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
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * A machine without processors, made after a recorded stream: its RAM blocks with their content, and its
 * device sections as bytes that nobody understands. Good for being one half of a pair with the machine
 * that was recorded.
 */
final class RecordedMachine implements MigrationHost, AutoCloseable {
    private static final int PAGE = RamBlock.PAGE;

    /** A block of the recording. */
    static final class Block implements RamBlock {
        private final String name;
        private final MemorySegment memory;
        private long @Nullable [] dirty;

        Block(StreamReader.Block recorded) {
            name = recorded.name();
            byte[] content = recorded.content();
            memory = Arena.ofAuto().allocate(content.length, PAGE);
            MemorySegment.copy(content, 0, memory, ValueLayout.JAVA_BYTE, 0, content.length);
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
    }

    private static final class Section implements StateSection {
        private final StreamReader.Device recorded;

        Section(StreamReader.Device recorded) {
            this.recorded = recorded;
        }

        @Override
        public String name() {
            return recorded.name();
        }

        @Override
        public int instance() {
            return recorded.instance();
        }

        @Override
        public int version() {
            return recorded.version();
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            c.bytes("recorded", recorded.payload());
        }
    }

    private final class Log implements DirtyLog {
        @Override
        public void start() {
            for (Block b : blocks) {
                b.dirty = new long[(int) ((b.maxLength() / PAGE + 63) / 64)];
            }
        }

        @Override
        public void stop() {
            for (Block b : blocks) {
                b.dirty = null;
            }
        }

        @Override
        public boolean recording() {
            return blocks.getFirst().dirty != null;
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

    /** No disks, no net. */
    private static final class Alone implements Neighbours {
        @Override
        public void startReplication(boolean primary) {}

        @Override
        public void checkpointReplication() {}

        @Override
        public void checkReplication() {}

        @Override
        public void stopReplication(boolean failover) {}

        @Override
        public void filtersCheckpoint() {}

        @Override
        public void filtersFailover() {}

        @Override
        public void onMismatch(@Nullable Runnable listener) {}

        @Override
        public void releasePackets() {}
    }

    final List<Block> blocks;
    final ColoSession colo = new ColoSession(new Alone());
    final MigrationService migration;
    private final String type;
    private final MachineLock lock = new MachineLock();
    private final StateRegistry registry = new StateRegistry();
    private final Log log = new Log();
    private final ExecutorService loop =
            Executors.newSingleThreadExecutor(
                    Thread.ofPlatform().daemon().name("recorded machine").factory());
    private final List<String> events = new ArrayList<>();
    private RunState state;
    private boolean autostart = true;

    RecordedMachine(StreamReader recording, RunState state) {
        this.state = state;
        type = recording.machine();
        blocks = recording.blocks().stream().map(Block::new).toList();
        for (StreamReader.Device device : recording.devices()) {
            if (!device.name().equals("globalstate")) {
                registry.register(new Section(device));
            }
        }
        GlobalState global =
                new GlobalState(
                        RunState.known().stream()
                                .map(RunState::wireName)
                                .collect(Collectors.toSet()));
        registry.register(global);
        migration =
                new MigrationService(this, new MigrationSettings(), global, List::of, () -> colo);
    }

    /** Switches capabilities on. */
    RecordedMachine with(MigrationCapability... capabilities) throws QmpException {
        migration.migrateSetCapabilities(
                new MigrateSetCapabilitiesArguments(
                        Arrays.stream(capabilities)
                                .map(c -> new MigrationCapabilityStatus(c, true))
                                .toList()));
        return this;
    }

    /** Waits until an event has happened a number of times. */
    void await(String event, int times) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        synchronized (events) {
            while (events.stream().filter(event::equals).count() < times) {
                long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                if (left <= 0) {
                    throw new AssertionError("waited for " + event + ", saw " + events);
                }
                events.wait(left);
            }
        }
    }

    private void happened(String what) {
        synchronized (events) {
            events.add(what);
            events.notifyAll();
        }
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
        return type;
    }

    @Override
    public List<RamBlock> blocks() {
        return List.copyOf(blocks);
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
        happened("announced");
    }

    @Override
    public void emit(Event event) {
        happened(
                event instanceof ColoExitEvent c
                        ? "COLO_EXIT " + c.reason().wireName()
                        : event.eventName());
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
