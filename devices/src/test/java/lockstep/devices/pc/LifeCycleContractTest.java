package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import lockstep.api.PcMachineOptions;
import lockstep.block.BlockLayer;
import lockstep.devices.board.PcBoard;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.pc.Parts.Part;
import lockstep.devices.usb.UsbBuses;
import lockstep.qmp.JsonObject;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.ByteArrayInputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;

/** What every device owes the machine, users' devices and the parts of the board, from being made to being unplugged. */
final class LifeCycleContractTest {
    private static final String ID = "d";

    /** Registers that a guest may write anything to, and nothing runs away. */
    private static final int[] PORTS = {
        0xe9, 0x172, 0x173, 0x174, 0x175, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x378, 0x37a, 0x3f9, 0x3fb,
        0x3ff, 0x3c4, 0x3c5, 0x3d4, 0x3d5
    };

    private static final int EJECT = 0xae08;
    private static final int DOWN = 0xae04;

    /** A device of which the contract is asked. */
    private interface Subject {
        /** A board with all that it needs. */
        Board board() throws Exception;
    }

    /** One that users can add. */
    private record Pluggable(DeviceType<?> type) implements Subject {
        @Override
        public Board board() throws Exception {
            return new Board(type);
        }

        @Override
        public String toString() {
            return type.name();
        }
    }

    /**
     * A row of the table of a PC's parts.
     *
     * @param chips what the accelerator calls its chips
     */
    private record Row(String type, int number, ChipNames chips) implements Subject {
        /** The names of another accelerator's, with a clock. */
        private static final ChipNames OTHERS =
                new ChipNames("o-i8259", "o-pit", "o-ioapic", "o-apic", "o-clock");

        static List<Row> all() throws Exception {
            List<Row> rows = new ArrayList<>();
            for (ChipNames names : List.of(ChipNames.SOFTWARE, OTHERS)) {
                try (TestMachine core = new TestMachine(16 << 20)) {
                    FullBoard.devices(core);
                    List<Part> table = table(new Miser(names).machine(core.core()), core);
                    for (int i = 0; i < table.size(); i++) {
                        String type = table.get(i).type().name();
                        if (names.equals(ChipNames.SOFTWARE) || type.startsWith("o-")) {
                            rows.add(new Row(type, i, names));
                        }
                    }
                }
            }
            return rows;
        }

        /** A PC with everything that its table can have. */
        static List<Part> table(CoreMachine machine, TestMachine core) throws DeviceException {
            PcMachineOptions usb =
                    PcType.OPTIONS.complete(PcMachineOptions.builder().usb(true).build());
            List<Part> table =
                    new ArrayList<>(
                            PcTable.of(machine, config(core), usb, new DeviceScope(machine)));
            table.add(Part.of(IdeDrives.DISK, "bus=ide.0", "unit=0", "drive=" + FullBoard.DISK));
            table.add(Part.of(E1000Devices.TYPE, "romfile=", "bootindex=7"));
            return table;
        }

        static MachineConfig config(TestMachine core) {
            return config(core, Map.of());
        }

        static MachineConfig config(TestMachine core, Map<String, String> globals) {
            MachineConfig c = PcSectionsTest.config(core.core().ramSize());
            return new MachineConfig(
                    c.type(),
                    c.ramSize(),
                    c.cpus(),
                    null,
                    null,
                    List.of(),
                    List.of(core.vmm().paper("c0")),
                    List.of(core.vmm().paper("c1")),
                    false,
                    "std",
                    true,
                    Set.of(),
                    Map.of(),
                    Map.of(),
                    null,
                    null,
                    globals);
        }

        @Override
        public Board board() throws Exception {
            return new Board(this);
        }

        @Override
        public String toString() {
            return type + ", row " + number;
        }
    }

    static List<DeviceType<?>> hot() {
        return PluggableDevices.TYPES.stream()
                .filter(t -> t.plugging() == DeviceType.Plugging.ANY_TIME && t.home().hot())
                .toList();
    }

    static List<Subject> subjects() throws Exception {
        List<Subject> all = new ArrayList<>();
        PluggableDevices.TYPES.forEach(t -> all.add(new Pluggable(t)));
        all.addAll(Row.all());
        return all;
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

    /** Makes the device; what it has taken belongs to the scope. */
    @FunctionalInterface
    private interface Maker {
        DeviceScope make() throws DeviceException;
    }

    /** A board with room for a device. */
    private static final class Board implements AutoCloseable {
        final TestMachine core = new TestMachine(16 << 20);
        final DeviceManager devices;
        final Miser miser;
        private final Maker maker;
        private @Nullable DeviceScope scope;

        /** A whole board, for a device that a user adds. */
        Board(DeviceType<?> type) throws Exception {
            PcSectionsTest.board(core);
            devices = FullBoard.devices(core);
            core.vmm().paper("c0");
            devices.create(Map.of("driver", "piix3-usb-uhci", "id", "uh"));
            miser = new Miser(ChipNames.SOFTWARE);
            CoreMachine machine = miser.machine(core.core());
            maker = () -> realize(type, machine);
        }

        /** A board with the parts of a table that stand before one row, for that row. */
        Board(Row row) throws Exception {
            devices = FullBoard.devices(core);
            miser = new Miser(row.chips());
            CoreMachine machine = miser.machine(core.core());
            List<Part> table = Row.table(machine, core);
            PcMachine board =
                    new PcMachine(machine, core.vmm(), Row.config(core), PcType.OPTIONS.usual());
            board.begin();
            board.parts().make(table.subList(0, row.number()));
            core.reset();
            maker = () -> board.parts().make(table.get(row.number()));
        }

        private <O extends Record> DeviceScope realize(DeviceType<O> type, Machine machine)
                throws DeviceException {
            JsonObject given = new JsonObject();
            needs(type).forEach(given::put);
            DeviceScope own = new DeviceScope(machine);
            type.realize(
                    new DeviceRequest<>(
                            type,
                            ID,
                            "/machine/peripheral/" + ID,
                            Objects.requireNonNull(type.home().placement().bus(core.core())),
                            false,
                            type.options(given, false, Map.of())),
                    own,
                    core.vmm().objects());
            return own;
        }

        void make() throws DeviceException {
            scope = maker.make();
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
            PcBoard board = PcBoard.of(core.core());
            if (board.pci().function(1 << 3 | 1) instanceof Piix3Ide ide) {
                for (int i = 0; i < 4; i++) {
                    all.put("drive " + i, ide.free(i >> 1, i & 1));
                }
            }
            all.put("isa terms", board.acpi().isa().length);
            all.put("system terms", board.acpi().system().length);
            all.put("boot order", board.bootOrder().paths());
            all.put("geometries", board.bootOrder().geometries());
            all.put("south bridge", board.pci().southBridge());
            for (int i = 0; i < 16; i++) {
                all.put("irq " + i, board.isa().irq(i).getClass());
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

    /** The message names what differs. */
    private static void assertSame(
            Map<String, Object> before, Map<String, Object> after, String when) {
        before.forEach((what, was) -> assertEquals(was, after.get(what), () -> when + ": " + what));
        assertEquals(before.keySet(), after.keySet());
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
    @MethodSource("subjects")
    void unpluggingGivesEverythingBack(Subject subject) throws Exception {
        try (Board board = subject.board()) {
            Map<String, Object> before = board.taken();
            for (int round = 0; round < 3; round++) {
                board.make();
                assertNotEquals(before, board.taken(), "it has taken nothing?");
                board.core.reset();
                board.stir(new Random(round));
                board.core.advance(Bench.MS);
                board.unplug();
                board.core.ports().write(0xcf8, 4, 0);
                assertSame(before, board.taken(), "");
                board.unplug();
                assertSame(before, board.taken(), "");
                board.core.reset();
                board.core.advance(Bench.S);
            }
        }
    }

    /** Each thing that it takes is refused once. */
    @ParameterizedTest
    @MethodSource("subjects")
    void whatFailsHalfwayLeavesNothing(Subject subject) throws Exception {
        try (Board board = subject.board()) {
            Map<String, Object> before = board.taken();
            refuseEach(board.miser, board::make, board::taken);
            board.unplug();
            assertSame(before, board.taken(), "");
            board.make();
        }
    }

    /** Each thing that any part takes is refused once: what was made before it is given back. */
    @Test
    void aMachineIsMadeWhollyOrNotAtAll() throws Exception {
        try (TestMachine core = bare()) {
            Miser miser = new Miser(ChipNames.SOFTWARE);
            CoreMachine machine = miser.machine(core.core());
            Map<String, Object> before = taken(core);
            PcMachine[] made = new PcMachine[1];
            int refusals =
                    refuseEach(
                            miser, () -> made[0] = pc(machine, core, Map.of()), () -> taken(core));
            assertTrue(refusals > 100, "parts take more than " + refusals);
            made[0].reset();
            made[0].dismantle();
            assertSame(before, taken(core), "");
            pc(machine, core, Map.of()).reset();
        }
    }

    /** A row that the board cannot make leaves none of those before it. */
    @ParameterizedTest
    @MethodSource("mistakes")
    void aPartThatCannotBeMadeTakesThoseBeforeItAlong(String global, String value)
            throws Exception {
        try (TestMachine core = bare()) {
            Map<String, Object> before = taken(core);
            assertThrows(DeviceException.class, () -> pc(core.core(), core, Map.of(global, value)));
            assertSame(before, taken(core), "");
        }
    }

    static List<Arguments> mistakes() throws Exception {
        Set<String> notInPc = Set.of("e1000", "ide-hd");
        return Row.all().stream()
                .filter(r -> r.chips().equals(ChipNames.SOFTWARE))
                .map(Row::type)
                .filter(type -> !notInPc.contains(type))
                .distinct()
                .map(type -> arguments(type + ".no-such-property", "1"))
                .toList();
    }

    /** A machine that is to become a PC. */
    private static TestMachine bare() {
        TestMachine core = new TestMachine(16 << 20);
        FullBoard.devices(core);
        core.vmm().objects().add("/machine/unattached", "container", List.of());
        return core;
    }

    private static Map<String, Object> taken(TestMachine core) {
        Map<String, Object> all = new TreeMap<>(core.taken());
        all.put("mapped", core.mapped());
        all.put("chardev", core.vmm().paper("c0").frontendOpen());
        all.put("usb", core.vmm().service(UsbBuses.class).describe());
        int[] backends = new int[1];
        core.vmm().service(BlockLayer.class).backends().forEach(b -> backends[0]++);
        all.put("backends", backends[0]);
        return all;
    }

    private static PcMachine pc(CoreMachine machine, TestMachine core, Map<String, String> globals)
            throws DeviceException {
        PcMachineOptions usb =
                PcType.OPTIONS.complete(PcMachineOptions.builder().usb(true).build());
        return PcMachine.build(machine, core.vmm(), Row.config(core, globals), usb);
    }

    /** Something that makes something. */
    @FunctionalInterface
    private interface Attempt {
        void run() throws DeviceException;
    }

    /** Tries again and again, each time with one thing more; gives how often it was refused something. */
    private static int refuseEach(
            Miser miser, Attempt attempt, Supplier<Map<String, Object>> taken) {
        Map<String, Object> before = taken.get();
        for (int generous = 0; ; generous++) {
            miser.give(generous);
            try {
                attempt.run();
                assertTrue(!miser.refused(), "a refusal was not noticed");
                miser.giveAll();
                return generous;
            } catch (DeviceException | RuntimeException e) {
                assertTrue(miser.refused(), () -> "not what was refused: " + e);
                miser.giveAll();
                assertSame(before, taken.get(), "after refusal " + generous);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("subjects")
    void itsStateIsTheSameElsewhere(Subject subject) throws Exception {
        Random random = new Random(5);
        try (Board here = subject.board();
                Board there = subject.board()) {
            List<String> without =
                    here.core.state().sections().stream().map(LifeCycleContractTest::key).toList();
            here.make();
            there.make();
            here.core.reset();
            there.core.reset();
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
        try (Board board = new Board(type)) {
            Map<String, String> text = new TreeMap<>(needs(type));
            text.put("driver", type.name());
            text.put("id", ID);
            Map<String, Object> before = board.taken();
            for (int round = 0; round < 3; round++) {
                board.devices.plug(text);
                assertThrows(DeviceException.class, () -> board.devices.plug(text));
                board.devices.remove(ID);
                board.core.ports().write(EJECT, 4, board.core.ports().read(DOWN, 4) & 0xffff_ffffL);
                assertSame(before, board.taken(), "");
            }
        }
    }

    /** Refuses one thing of all that is taken of a machine. */
    private static final class Miser {
        private final ChipNames chips;
        private int left = -1;
        private boolean refused;

        /** Refuses nothing yet. */
        Miser(ChipNames chips) {
            this.chips = chips;
        }

        /** Refuses something, after that many that it gives. */
        void give(int generous) {
            left = generous;
            refused = false;
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
                                    case "chipNames" -> {
                                        return chips;
                                    }
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
