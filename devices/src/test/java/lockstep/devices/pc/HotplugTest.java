package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.DeviceDeletedEvent;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MigrationState;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Devices that come and go while the machine runs. Registers and sentences are those of QEMU 7.2. */
final class HotplugTest {
    private static final int UP = 0xae00;
    private static final int DOWN = 0xae04;
    private static final int EJECT = 0xae08;
    private static final int REMOVABLE = 0xae0c;
    private static final int BUS = 0xae10;
    private static final int NUMBER = 0xae14;
    private static final int GPE_STATUS = 0xafe0;
    private static final int GPE_ENABLE = 0xafe2;
    private static final int SCI = 9;

    @AutoClose private final TestMachine core = new TestMachine(16 << 20);
    private Set<String> nics = Set.of();
    private DeviceManager devices = new DeviceManager(core.vmm());
    private boolean migrating;

    @BeforeEach
    void powerOn() throws Exception {
        PcSectionsTest.board(core);
        core.vmm().publish(MigrationState.class, () -> migrating);
        devices = FullBoard.devices(core);
        nics = FullBoard.nics(core);
    }

    private static Map<String, String> text(String options) throws Exception {
        return OptionText.parse(options, "driver").toMap();
    }

    private void add(String options) throws Exception {
        devices.plug(text(options));
    }

    private void refused(String message, String options) {
        assertEquals(message, assertThrows(DeviceException.class, () -> add(options)).getMessage());
    }

    private void keeps(String message, String id) {
        assertEquals(
                message, assertThrows(QmpException.class, () -> devices.remove(id)).description());
    }

    private int in(int port) {
        return (int) core.ports().read(port, 4);
    }

    private void out(int port, int value) {
        core.ports().write(port, 4, value & 0xffff_ffffL);
    }

    /** Vendor and device at function 0 of a slot, or all ones. */
    private int identity(int slot) {
        out(0xcf8, 1 << 31 | slot << 11);
        return in(0xcfc);
    }

    private List<String> deleted() {
        List<String> paths =
                core.events().stream()
                        .filter(DeviceDeletedEvent.class::isInstance)
                        .map(e -> ((DeviceDeletedEvent) e).path())
                        .toList();
        core.events().clear();
        return paths;
    }

    @Test
    void theGuestIsToldOfACardAndEjectsIt() throws Exception {
        assertEquals(0xfffffff8, in(REMOVABLE), "bridges and VGA stay");
        core.ports().write(GPE_ENABLE, 1, 2);
        add("e1000,id=n1");
        assertTrue(core.wire(SCI));
        assertEquals(2, core.ports().read(GPE_STATUS, 1));
        assertEquals(0x100e8086, identity(3));
        assertEquals(1 << 3, in(UP));
        assertEquals(0, in(UP), "asked once");
        core.ports().write(GPE_STATUS, 1, 2);
        assertTrue(!core.wire(SCI));

        devices.remove("n1");
        assertTrue(core.wire(SCI));
        assertEquals(1 << 3, in(DOWN));
        assertEquals(0x100e8086, identity(3), "still there");
        assertEquals(List.of(), deleted());
        keeps("Device n1 is already in the process of unplug", "n1");
        keeps(
                "Device /machine/peripheral/n1 is already in the process of unplug",
                "/machine/peripheral/n1");
        refused("Duplicate device ID 'n1'", "e1000,id=n1");

        out(EJECT, 1 << 3);
        assertEquals(0, in(DOWN));
        assertEquals(-1, identity(3));
        assertEquals(List.of("/machine/peripheral/n1"), deleted());
        assertEquals(Set.of(), nics);
        add("e1000,id=n1");
        assertEquals(0x100e8086, identity(3));
    }

    @Test
    void aCardCanHaveANumber() throws Exception {
        add("edu,acpi-index=7");
        out(BUS, 0);
        out(NUMBER, 1 << 3);
        assertEquals(7, in(NUMBER));
        assertEquals(0, in(NUMBER), "told once");
        out(NUMBER, 1 << 4);
        assertEquals(0, in(NUMBER));
        refused("a PCI device with acpi-index = 7 already exist", "pci-testdev,acpi-index=7");
        refused("acpi-index should be less or equal to 16383", "edu,acpi-index=16384");
    }

    @Test
    void aGuestThatDoesNotAnswerCanBeAskedAgain() throws Exception {
        add("e1000,id=n1");
        devices.remove("n1");
        core.advance(5 * Bench.S);
        devices.remove("n1");
        keeps("Device n1 is already in the process of unplug", "n1");
    }

    @Test
    void aResetEjectsWhatWasAskedFor() throws Exception {
        add("e1000,id=n1");
        add("e1000,id=n2");
        add("e1000,id=n3");
        devices.remove("n3");
        devices.remove("n1");
        core.reset();
        assertEquals(List.of("/machine/peripheral/n1", "/machine/peripheral/n3"), deleted());
        assertEquals(0, in(DOWN));
        assertEquals(1 << 4, in(UP), "nobody has looked yet");
    }

    @Test
    void registersTakeFourBytesAndOneBus() throws Exception {
        add("e1000,id=n1");
        devices.remove("n1");
        assertEquals(0, core.ports().read(DOWN, 1));
        assertEquals(0, core.ports().read(DOWN, 2));
        core.ports().write(EJECT, 1, 1 << 3);
        core.ports().write(BUS, 1, 5);
        assertEquals(0, in(BUS));
        out(BUS, 1);
        assertEquals(List.of(0, 0, -1, 1), List.of(in(UP), in(DOWN), in(REMOVABLE), in(BUS)));
        out(EJECT, 1 << 3);
        core.reset();
        assertEquals(1, in(BUS), "kept by a reset");
        out(BUS, 256);
        assertEquals(List.of(0, 0, 0, 0), List.of(in(UP), in(DOWN), in(REMOVABLE), in(BUS)));
    }

    @Test
    void oneSlotAWriteAndNeverABridge() throws Exception {
        add("e1000,id=n1");
        add("e1000,id=n2");
        out(EJECT, 0);
        out(EJECT, 0x07);
        out(EJECT, 0x02);
        out(EJECT, 0x04);
        assertEquals(0x12378086, identity(0));
        assertEquals(0x70008086, identity(1));
        assertEquals(0x11111234, identity(2));
        out(EJECT, 3 << 3);
        assertEquals(-1, identity(3));
        assertEquals(0x100e8086, identity(4));
        assertEquals(List.of("/machine/peripheral/n1"), deleted());
    }

    @Test
    void usbDevicesComeAndGoAtOnce() throws Exception {
        refused("No 'usb-bus' bus found for device 'usb-tablet'", "usb-tablet");
        add("piix3-usb-uhci,id=uh");
        out(0xcf8, 1 << 31 | 3 << 11 | 0x20);
        out(0xcfc, 0xc000);
        out(0xcf8, 1 << 31 | 3 << 11 | 4);
        out(0xcfc, 5);
        assertEquals(0x80, core.ports().read(0xc010, 2));
        add("usb-tablet,id=t");
        assertEquals(0x83, core.ports().read(0xc010, 2));
        refused("Duplicate device ID 't'", "usb-mouse,id=t");
        refused("usb port 1 (bus uh.0) not found (in use?)", "usb-mouse,id=m,port=1");
        core.ports().write(0xc010, 2, 2);
        core.ports().write(0xc010, 2, 4);
        assertEquals(0x85, core.ports().read(0xc010, 2));
        devices.remove("t");
        assertEquals(0x8a, core.ports().read(0xc010, 2));
        assertEquals(List.of("/machine/peripheral/t"), deleted());
        add("usb-kbd,id=k,bus=uh.0");
        add("usb-mouse,id=m");
        refused(
                "tried to attach usb device usb-kbd to a bus with no free ports; hubs are not"
                        + " available",
                "usb-kbd");
        deleted();
        out(EJECT, 1 << 3);
        assertEquals(
                List.of("/machine/peripheral/m", "/machine/peripheral/k", "/machine/peripheral/uh"),
                deleted(),
                "what sits on the bus leaves with it");
        assertEquals(-1, core.ports().read(0xc010, 2) | ~0xffffL);
    }

    @Test
    void whatCannotBePlugged() throws Exception {
        core.vmm().paper("c0");
        devices.create(text("isa-serial,id=s,chardev=c0"));
        devices.create(text("VGA,id=v"));
        add("e1000,id=n1");
        refused("Parameter 'driver' expects a pluggable device type", "VGA,bus=nobus");
        refused("Bus 'ide.1' does not support hotplugging", "ide-cd,id=n1");
        refused("Bus 'isa.0' does not support hotplugging", "isa-serial");
        refused("Device 'ide-cd' can't go on PCI bus", "ide-cd,bus=pci.0");
        refused("Device 'e1000' can't go on IDE bus", "e1000,bus=ide.0");
        refused("Bus 'nobus' not found", "e1000,bus=nobus");
        refused("Bus 'n1' not found", "e1000,bus=n1");
        refused("'nosuch' is not a valid device model name", "nosuch");
        refused(
                "PCI: slot 4 function 0 already occupied by e1000, new func e1000 cannot be"
                        + " exposed to guest.",
                "e1000,addr=4.1");
        refused("Hot-plugged device without ROM bar can't have an option ROM", "e1000,rombar=0");
        migrating = true;
        refused("device_add not allowed while migrating", "e1000,id=n2");
        keeps("device_del not allowed while migrating", "n1");
        migrating = false;
        keeps("Bus 'isa.0' does not support hotplugging", "s");
        keeps("Device 'VGA' does not support hotplugging", "v");
        keeps("/machine/peripheral is not a hotpluggable device", "/machine/peripheral");
        keeps("Bus 'main-system-bus' does not support hotplugging", path("hpet"));
        keeps("Bus 'isa.0' does not support hotplugging", path("mc146818rtc"));
        keeps("Device 'PIIX4_PM' does not support hotplugging", path("PIIX4_PM"));
        refused("Parameter 'driver' expects a pluggable device type", "PIIX4_PM");
        assertEquals(
                ErrorClass.DEVICE_NOT_FOUND,
                assertThrows(QmpException.class, () -> devices.remove("x")).errorClass());
    }

    private String path(String type) {
        return Objects.requireNonNull(core.vmm().objects().find("/machine/unattached"))
                .children()
                .stream()
                .filter(n -> n.type().equals(type))
                .findFirst()
                .orElseThrow()
                .path();
    }

    @Test
    void whatFailsHalfwayLeavesNothing() throws Exception {
        add("piix3-usb-uhci");
        add("e1000,id=n0,bootindex=1");
        core.vmm().paper("c0");
        devices.create(text("isa-serial,chardev=c0"));
        Map<String, Integer> before = core.taken();
        int plugged = nics.size();
        refused("The bootindex 1 has already been used", "e1000,bootindex=1");
        refused("failed to find romfile \"nosuch\"", "e1000,romfile=nosuch");
        refused(
                "PCI: slot 4 function 0 not available for e1000, in use by e1000,id=n0",
                "e1000,addr=4,id=n1");
        refused("Property 'e1000.netdev' can't find value 'x'", "e1000,netdev=x");
        refused("Invalid usb version 3 for usb hid device", "usb-kbd,usb_version=3");
        assertThrows(DeviceException.class, () -> devices.create(text("isa-serial,chardev=c0")));
        assertEquals(before, core.taken());
        assertEquals(plugged, nics.size());
        add("e1000,id=n1,bootindex=2");
        assertEquals(0x100e8086, identity(5));
    }

    @Test
    void aThousandRoundsLeaveNothing() throws Exception {
        add("piix3-usb-uhci,id=uh");
        round(0);
        Map<String, Integer> before = core.taken();
        for (int i = 1; i <= 1000; i++) {
            round(i);
        }
        assertEquals(before, core.taken());
        assertEquals(Set.of(), nics);
        assertEquals(1, devices.all().size());
    }

    private void round(int i) throws Exception {
        add("e1000,id=n,bootindex=1");
        add("usb-tablet,id=t" + i % 3);
        add("piix3-usb-uhci,id=more");
        add("usb-kbd,bus=more.0,id=k");
        devices.remove("t" + i % 3);
        devices.remove("n");
        devices.remove("more");
        int down = in(DOWN);
        out(EJECT, down);
        out(EJECT, down & down - 1);
        assertEquals(4, deleted().size());
    }
}
