package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.BlockLayer;
import lockstep.devices.board.PcBoard;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.usb.UsbBuses;
import lockstep.qmp.JsonObject;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.ByteArrayInputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;

/** What every device that users can add owes the machine, from being made to being unplugged. */
final class LifeCycleContractTest {
    private static final String ID = "d";

    /** Registers that a guest may write anything to, and nothing runs away. */
    private static final int[] PORTS = {
        0xe9, 0x172, 0x173, 0x174, 0x175, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x378, 0x37a, 0x3f9, 0x3fb,
        0x3ff, 0x3c4, 0x3c5, 0x3d4, 0x3d5
    };

    private static final int EJECT = 0xae08;
    private static final int DOWN = 0xae04;

    static List<DeviceType<?>> types() {
        return PluggableDevices.TYPES;
    }

    static List<DeviceType<?>> hot() {
        return types().stream()
                .filter(t -> t.plugging() == DeviceType.Plugging.ANY_TIME && t.home().hot())
                .toList();
    }

    /** What the device cannot do without. */
    private static Map<String, String> needs(DeviceType<?> type) {
        return switch (type.name()) {
            case "ide-hd" -> Map.of("drive", FullBoard.DISK);
            case "isa-debugcon", "isa-serial", "isa-parallel" -> Map.of("chardev", "c0");
            case "e1000" -> Map.of("romfile", "", "bootindex", "7");
            case "VGA" -> Map.of("romfile", "");
            default -> Map.of();
        };
    }

    /** A board with room for a device of any type. */
    private static final class Board implements AutoCloseable {
        final TestMachine core = new TestMachine(16 << 20);
        final DeviceManager devices;
        private @Nullable DeviceScope scope;

        Board() throws Exception {
            PcSectionsTest.board(core);
            devices = FullBoard.devices(core);
            core.vmm().paper("c0");
            devices.create(Map.of("driver", "piix3-usb-uhci", "id", "uh"));
        }

        Device make(DeviceType<?> type) throws DeviceException {
            return make(type, core.core());
        }

        /** Makes it of what {@code machine} gives. */
        private <O extends Record> Device make(DeviceType<O> type, Machine machine)
                throws DeviceException {
            JsonObject given = new JsonObject();
            needs(type).forEach(given::put);
            DeviceScope own = new DeviceScope(machine);
            scope = own;
            return type.create(
                    new DeviceRequest<>(
                            type,
                            ID,
                            "/machine/peripheral/" + ID,
                            Objects.requireNonNull(type.home().placement().bus(core.core())),
                            false,
                            type.options(given, false, Map.of())),
                    own);
        }

        void unplug() {
            Objects.requireNonNull(scope).close();
        }

        /** All that a device can have taken, so that two boards can be compared. */
        Map<String, Object> taken() {
            Map<String, Object> all = new TreeMap<>(core.taken());
            all.put("mapped", core.mapped());
            all.put(
                    "names",
                    core.state().sections().stream().map(LifeCycleContractTest::key).toList());
            all.put("nics", Set.copyOf(FullBoard.nics(core)));
            all.put("usb", core.vmm().service(UsbBuses.class).describe());
            all.put("chardev", core.vmm().paper("c0").frontendOpen());
            int[] backends = new int[1];
            core.vmm().service(BlockLayer.class).backends().forEach(b -> backends[0]++);
            all.put("backends", backends[0]);
            Piix3Ide ide =
                    assertInstanceOf(
                            Piix3Ide.class, PcBoard.of(core.core()).pci().function(1 << 3 | 1));
            for (int i = 0; i < 4; i++) {
                all.put("drive " + i, ide.free(i >> 1, i & 1));
            }
            for (int slot = 0; slot < 32; slot++) {
                core.ports().write(0xcf8, 4, 1L << 31 | slot << 11);
                all.put("slot " + slot, core.ports().read(0xcfc, 4));
            }
            return all;
        }

        /** A guest that writes here and there. */
        void stir(Random random) {
            for (int i = 0; i < 300; i++) {
                core.ports().write(PORTS[random.nextInt(PORTS.length)], 1, random.nextInt(256));
                for (int slot = 3; slot < 5; slot++) {
                    core.ports().write(0xcf8, 4, 1L << 31 | slot << 11 | 4 * random.nextInt(64));
                    core.ports().write(0xcfc, 4, random.nextInt() & 0xffff_ffffL);
                }
            }
        }

        @Override
        public void close() {
            core.close();
        }
    }

    private static String key(StateSection section) {
        return section.name() + " " + section.instance();
    }

    private static byte[] save(StateSection section) throws StateException {
        section.beforeSave();
        StateOutput out = new StateOutput(1 << 12);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    private static void load(StateSection section, byte[] content) throws StateException {
        new LoadingCodec(new StateInput(new ByteArrayInputStream(content)))
                .content(section, section.version());
    }

    @ParameterizedTest
    @MethodSource("types")
    void unpluggingGivesEverythingBack(DeviceType<?> type) throws Exception {
        try (Board board = new Board()) {
            Map<String, Object> before = board.taken();
            for (int round = 0; round < 3; round++) {
                board.make(type);
                assertNotEquals(before, board.taken(), "it has taken nothing?");
                board.core.reset();
                board.stir(new Random(round));
                board.core.advance(Bench.MS);
                board.unplug();
                board.core.ports().write(0xcf8, 4, 0);
                assertEquals(before, board.taken());
                board.unplug();
                assertEquals(before, board.taken());
                board.core.reset();
                board.core.advance(Bench.S);
            }
        }
    }

    /** Each thing that it takes is refused once. */
    @ParameterizedTest
    @MethodSource("types")
    void whatFailsHalfwayLeavesNothing(DeviceType<?> type) throws Exception {
        try (Board board = new Board()) {
            Map<String, Object> before = board.taken();
            int refused = 0;
            while (true) {
                Miser miser = new Miser(refused);
                try {
                    board.make(type, miser.machine(board.core.core()));
                } catch (DeviceException | RuntimeException e) {
                    assertTrue(miser.refused(), () -> "not what was refused: " + e);
                    refused++;
                    board.unplug();
                    assertEquals(before, board.taken(), "after refusal " + refused);
                    continue;
                }
                assertTrue(!miser.refused(), "a refusal was not noticed");
                miser.giveAll();
                break;
            }
            board.unplug();
            assertEquals(before, board.taken());
            board.make(type);
        }
    }

    @ParameterizedTest
    @MethodSource("types")
    void itsStateIsTheSameElsewhere(DeviceType<?> type) throws Exception {
        Random random = new Random(5);
        try (Board here = new Board();
                Board there = new Board()) {
            List<String> without =
                    here.core.state().sections().stream().map(LifeCycleContractTest::key).toList();
            here.make(type);
            there.make(type);
            here.stir(random);
            for (StateSection section : there.core.state().sections()) {
                StateSection ours =
                        Objects.requireNonNull(
                                here.core.state().find(section.name(), section.instance()));
                byte[] content;
                try {
                    content = save(ours);
                } catch (StateException e) {
                    // It says that it cannot travel.
                    assertThrows(StateException.class, () -> save(section));
                    continue;
                }
                load(section, content);
                assertArrayEquals(content, save(section), section.name());
                boolean own = !without.contains(key(section)) || section.name().endsWith("/ide");
                int refused = 0;
                for (int i = 0; own && i < 60 && content.length > 0; i++) {
                    byte[] bad = Arrays.copyOf(content, random.nextInt(content.length));
                    byte[] before = save(section);
                    String mapped = there.core.mapped();
                    try {
                        load(section, bad);
                        load(section, content);
                    } catch (StateException e) {
                        refused++;
                        assertArrayEquals(before, save(section), section.name());
                        assertEquals(mapped, there.core.mapped(), section.name());
                    }
                }
                assertEquals(own && content.length > 0, refused > 0, section.name());
            }
        }
    }

    /** As users do it, with the same name each time. */
    @ParameterizedTest
    @MethodSource("hot")
    void itComesAndGoes(DeviceType<?> type) throws Exception {
        try (Board board = new Board()) {
            Map<String, String> text = new TreeMap<>(needs(type));
            text.put("driver", type.name());
            text.put("id", ID);
            Map<String, Object> before = board.taken();
            for (int round = 0; round < 3; round++) {
                board.devices.plug(text);
                assertThrows(DeviceException.class, () -> board.devices.plug(text));
                board.devices.remove(ID);
                board.core.ports().write(EJECT, 4, board.core.ports().read(DOWN, 4) & 0xffff_ffffL);
                assertEquals(before, board.taken());
            }
        }
    }

    /** Refuses one thing of all that is taken of a machine. */
    private static final class Miser {
        private int left;
        private boolean refused;

        /** After that many that it gives. */
        Miser(int generous) {
            left = generous;
        }

        boolean refused() {
            return refused;
        }

        /** Refuses nothing any more. */
        void giveAll() {
            left = -1;
        }

        CoreMachine machine(CoreMachine real) {
            return over(CoreMachine.class, real);
        }

        private <T> T over(Class<T> type, T real) {
            return type.cast(
                    Proxy.newProxyInstance(
                            type.getClassLoader(),
                            new Class<?>[] {type},
                            (self, method, arguments) -> {
                                switch (method.getName()) {
                                    case "onReset",
                                            "newBlock",
                                            "mapIo",
                                            "mapRam",
                                            "timer",
                                            "state" ->
                                            take(method.getName());
                                    default -> {}
                                }
                                Object result;
                                try {
                                    result = method.invoke(real, arguments);
                                } catch (InvocationTargetException e) {
                                    throw e.getCause();
                                }
                                return switch (result) {
                                    case AddressSpace space -> over(AddressSpace.class, space);
                                    case EventLoop loop -> over(EventLoop.class, loop);
                                    case null, default -> result;
                                };
                            }));
        }

        /** Sections are added to, and taken out of, what {@code state} gives; nothing is taken out before. */
        private void take(String what) {
            if (left >= 0 && left-- == 0) {
                refused = true;
                throw new GuestMemoryException("no more: " + what);
            }
        }
    }
}
