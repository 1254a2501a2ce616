package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;

/** What {@code -global} does to the parts of the board, and where their sections stand. */
final class PartsTest {
    private static final List<String> ORDER =
            List.of(
                    "0000:00:00.0/I440FX",
                    "PCIHost",
                    "PCIBUS",
                    "fw_cfg",
                    "mc146818rtc",
                    "0000:00:01.1/ide",
                    "i2c_bus",
                    "0000:00:01.3/piix4_pm",
                    "0000:00:01.0/PIIX3",
                    "0000:00:02.0/vga",
                    "hpet",
                    "pcspk",
                    "fdc",
                    "pckbd",
                    "vmmouse",
                    "port92",
                    "acpi_build");

    @AutoClose private TestMachine machine = new TestMachine(16 << 20);

    @BeforeEach
    void firmware() throws Exception {
        PcSectionsTest.board(machine);
    }

    private void make(String global, String value) throws DeviceException {
        machine.close();
        machine = new TestMachine(16 << 20);
        MachineConfig c = PcSectionsTest.config(16 << 20);
        PcMachine.build(
                        machine.core(),
                        machine.vmm(),
                        new MachineConfig(
                                c.type(),
                                c.ramSize(),
                                c.cpus(),
                                null,
                                null,
                                List.of(),
                                List.of(),
                                List.of(),
                                false,
                                "std",
                                true,
                                Set.of(),
                                Map.of(),
                                Map.of(),
                                null,
                                null,
                                Map.of(global, value)),
                        PcType.OPTIONS.usual())
                .reset();
    }

    private Object shown(String type, String property) {
        ObjectTree tree = machine.vmm().objects();
        return tree.root().children().stream()
                .flatMap(PartsTest::all)
                .filter(n -> n.type().equals(type))
                .flatMap(n -> n.properties().stream())
                .filter(p -> p.name().equals(property))
                .map(p -> String.valueOf(p.reader().get()))
                .findFirst()
                .orElseThrow();
    }

    private static Stream<ObjectTree.Node> all(ObjectTree.Node node) {
        return Stream.concat(Stream.of(node), node.children().stream().flatMap(PartsTest::all));
    }

    @Test
    void aGlobalReachesAPart() throws Exception {
        make("hpet.timers", "5");
        assertEquals("5", shown("hpet", "timers"));
        assertEquals(0x8086_a401, (int) machine.core().memory().read(0xfed0_0000L, 4));
        make("VGA.vgamem_mb", "32");
        assertEquals("32", shown("VGA", "vgamem_mb"));
        make("fw_cfg_io.dma_enabled", "off");
        machine.core().ports().write(0x510, 2, 1);
        assertEquals(1, machine.core().ports().read(0x511, 1), "the features: no DMA");
        make("isa-pcspk.migrate", "off");
        assertFalse(section("pcspk").needed());
        make("PIIX4_PM.smb_io_base", "1");
        assertEquals("45312", shown("PIIX4_PM", "smb_io_base"), "the board says it itself");
    }

    private StateSection section(String name) {
        return Objects.requireNonNull(machine.core().state().find(name, 0));
    }

    @Test
    void whatTheBoardDoesNotOfferIsRefused() {
        refused("hpet.msi", "on", "the board does not offer that");
        refused("i8042.kbd-irq", "5", "the board does not offer that");
        refused("mc146818rtc.nope", "1", "Property 'mc146818rtc.nope' not found");
        refused("mc146818rtc.lost_tick_policy", "delay", "Invalid lost tick policy.");
    }

    private void refused(String global, String value, String why) {
        assertEquals(
                "can't apply global %s=%s: %s".formatted(global, value, why),
                assertThrows(DeviceException.class, () -> make(global, value)).getMessage());
    }

    @Test
    void sectionsComeAsQemuWritesThem() {
        List<String> names =
                machine.core().state().sections().stream()
                        .map(StateSection::name)
                        .filter(n -> ORDER.contains(n))
                        .toList();
        assertEquals(ORDER, names);
    }
}
