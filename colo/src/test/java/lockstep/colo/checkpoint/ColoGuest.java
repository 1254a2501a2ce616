package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.fail;

import lockstep.api.MigrateArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.machine.RunListener;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.migration.MigrationService;
import lockstep.runtime.spi.NetworkAnnouncer;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.testmachine.Journal;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** A process in memory that can be one half of a pair: two RAM blocks, and one device with one register. */
final class ColoGuest implements AutoCloseable {
    private static final int PAGE = RamBlock.PAGE;

    /** How often COLO told its neighbours what. */
    final Map<String, Integer> told = new ConcurrentHashMap<>();

    final List<RamBlock> ram;
    final ColoSession colo;
    final MigrationService migration;
    long register;

    /** What its neighbours fail to do. */
    volatile String fails = "";

    private volatile @Nullable Runnable mismatch;
    private final String name;
    private final TestMachine machine = new TestMachine("pc-i440fx-10.2", 300 * PAGE, 0);

    ColoGuest(String name, RunState state) {
        this.name = name;
        machine.core().newBlock("vga.vram", 70 * PAGE, 70 * PAGE);
        ram = machine.core().blocks();
        machine.state()
                .register(
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
        machine.state()
                .register(
                        new StateSection() {
                            @Override
                            public String name() {
                                return "0000:00:04.0/picky";
                            }

                            @Override
                            public int version() {
                                return 1;
                            }

                            @Override
                            public void describe(StateCodec c) throws StateException {
                                if (c.u64("check", ~register) != ~register) {
                                    throw new StateException("the register is not what it was");
                                }
                            }
                        });
        colo = new ColoSession(Fake.of(Neighbours.class, this::tell));
        machine.vmm()
                .publish(
                        NetworkAnnouncer.class,
                        (initial, max, rounds, step) -> journal().add("announce"));
        migration = machine.vmm().migration(colo);
        machine.vmm().run().set(state);
        machine.vmm().mainLoop().start(lock()::run);
    }

    private @Nullable Object tell(String what, Object[] arguments) throws IOException {
        told.merge(what, 1, Integer::sum);
        if (what.equals(fails)) {
            throw new IOException(what + " fails");
        }
        if (what.equals("onMismatch")) {
            mismatch = (Runnable) arguments[0];
        }
        return switch (what) {
            case "comparisons" -> List.of();
            case "packetsApart" -> true;
            case "releasePackets" -> {
                journal().add("checkpoint");
                yield 0L;
            }
            default -> null;
        };
    }

    MachineLock lock() {
        return machine.vmm().lock();
    }

    Journal journal() {
        return machine.journal();
    }

    boolean running() {
        return machine.vmm().run().running();
    }

    /** Its disk hangs: what the guest began does not end, however long it is waited for. */
    void hangDisk() {
        machine.vmm()
                .run()
                .addListener(
                        new RunListener() {
                            @Override
                            public void changed(boolean running, RunState state) {}

                            @Override
                            public boolean stopped(RunState state, long patience) {
                                return false;
                            }
                        });
    }

    /** What COLO wants to be called when packets differ. */
    @Nullable Runnable mismatch() {
        return mismatch;
    }

    /** Switches capabilities on. */
    ColoGuest with(MigrationCapability... capabilities) throws QmpException {
        migration.migrateSetCapabilities(
                new MigrateSetCapabilitiesArguments(
                        Arrays.stream(capabilities)
                                .map(c -> new MigrationCapabilityStatus(c, true))
                                .toList()));
        return this;
    }

    ColoGuest checkpointDelay(long millis) throws QmpException {
        migration.migrateSetParameters(
                MigrateSetParameters.builder().xCheckpointDelay(millis).build());
        return this;
    }

    ColoGuest coloTimeout(long millis) throws QmpException {
        migration.migrateSetParameters(MigrateSetParameters.builder().xColoTimeout(millis).build());
        return this;
    }

    void migrate(String uri) throws QmpException {
        lock().acquire();
        try {
            migration.migrate(MigrateArguments.builder().uri(uri).build());
        } finally {
            lock().release();
        }
    }

    void lostHeartbeat() throws QmpException {
        lock().acquire();
        try {
            colo.xColoLostHeartbeat();
        } finally {
            lock().release();
        }
    }

    /** What a store instruction of the guest does. */
    static void store(RamBlock block, long offset, long value) {
        block.memory().set(ValueLayout.JAVA_LONG, offset, value);
        block.markDirty(offset, 8);
    }

    /** Sets the register and the first word of 70 pages of each block as a running guest would. */
    void epoch(long value) {
        lock().run(
                        () -> {
                            register = value;
                            for (RamBlock b : ram) {
                                for (int page = 0; page < 70; page++) {
                                    store(b, (long) page * PAGE, value);
                                }
                            }
                        });
    }

    /** The epoch that register and RAM agree about. */
    long consistentEpoch() {
        for (RamBlock b : ram) {
            for (int page = 0; page < 70; page++) {
                long value = b.memory().get(ValueLayout.JAVA_LONG, (long) page * PAGE);
                if (value != register) {
                    fail(
                            "%s: page %d of %s holds epoch %d, the register %d"
                                    .formatted(name, page, b.name(), value, register));
                }
            }
        }
        return register;
    }

    /** Ends the loop. The memory stays: threads of a connection that broke may be about to look at it. */
    @Override
    public void close() {
        machine.vmm().mainLoop().close();
    }
}
