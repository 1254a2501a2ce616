package lockstep.conformance;

import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.RunState;
import lockstep.colo.checkpoint.ColoSession;
import lockstep.colo.checkpoint.Neighbours;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.MachineLock;
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

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Iterator;

/**
 * A guest made after a recorded stream: its RAM blocks with their content, and its device sections as bytes that nobody
 * understands. Good for being one half of a pair with the machine that was recorded.
 */
final class RecordedGuest implements AutoCloseable {
    final ColoSession colo =
            new ColoSession(Fake.of(Neighbours.class, (method, arguments) -> tell(method)));
    final MigrationService migration;
    private final TestMachine machine;

    RecordedGuest(StreamReader recording, RunState state) {
        Iterator<StreamReader.Block> blocks = recording.blocks().iterator();
        StreamReader.Block ram = blocks.next();
        machine = new TestMachine(recording.machine(), ram.content().length, 0);
        fill(machine.core().ram(), ram);
        while (blocks.hasNext()) {
            StreamReader.Block block = blocks.next();
            long length = block.content().length;
            fill(machine.core().newBlock(block.name(), length, length), block);
        }
        for (StreamReader.Device device : recording.devices()) {
            if (!device.name().equals("globalstate")) {
                machine.state().register(new Section(device));
            }
        }
        machine.vmm()
                .publish(
                        NetworkAnnouncer.class,
                        (initial, max, rounds, step) -> machine.journal().add("announce"));
        migration = machine.vmm().migration(colo);
        machine.vmm().run().set(state);
        machine.vmm().mainLoop().start(lock()::run);
    }

    private static void fill(RamBlock block, StreamReader.Block recorded) {
        block.memory().copyFrom(MemorySegment.ofArray(recorded.content()));
    }

    /** A section of the recording. */
    private record Section(StreamReader.Device recorded) implements StateSection {
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

    private @Nullable Object tell(String method) {
        return switch (method) {
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

    /** The block that is the guest's RAM. */
    RamBlock ram() {
        return machine.core().ram();
    }

    Journal journal() {
        return machine.journal();
    }

    RunState runState() {
        return machine.vmm().run().state();
    }

    /** Switches capabilities on. */
    RecordedGuest with(MigrationCapability... capabilities) throws QmpException {
        migration.migrateSetCapabilities(
                new MigrateSetCapabilitiesArguments(
                        Arrays.stream(capabilities)
                                .map(c -> new MigrationCapabilityStatus(c, true))
                                .toList()));
        return this;
    }

    /** Ends the loop. The memory stays: threads of a connection that broke may be about to look at it. */
    @Override
    public void close() {
        machine.vmm().mainLoop().close();
    }
}
