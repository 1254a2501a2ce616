package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.debugcon.DebugConsole;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.serial.IsaSerial;
import lockstep.qmp.JsonObject;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.Map;

/** Serial, parallel and debug ports that users add; the sentences are those of QEMU 7.2 and 11.1. */
final class IsaPortsTest {
    @AutoClose private final TestMachine core = new TestMachine(16 << 20);

    @BeforeEach
    void powerOn() throws Exception {
        PcSectionsTest.board(core);
    }

    private <O extends Record> Device add(DeviceType<O> type, String... properties)
            throws DeviceException {
        JsonObject values = new JsonObject();
        for (String p : properties) {
            String[] parts = p.split("=", 2);
            values.put(parts[0], parts[1]);
        }
        ObjectTree tree = core.vmm().objects();
        return type.realize(
                new DeviceRequest<>(
                        type,
                        "d",
                        tree.nextUnattached(),
                        "isa.0",
                        false,
                        type.options(values, false, Map.of())),
                new DeviceScope(core.core()),
                tree);
    }

    private Device serial(String... properties) throws DeviceException {
        return add(IsaSerial.TYPE, properties);
    }

    private Device parallel(String... properties) throws DeviceException {
        return add(IsaParallel.TYPE, properties);
    }

    private Device debugcon(String... properties) throws DeviceException {
        return add(DebugConsole.TYPE, properties);
    }

    private interface Refused {
        void make() throws DeviceException;
    }

    private static void refused(String message, Refused refused) {
        assertEquals(message, assertThrows(DeviceException.class, refused::make).getMessage());
    }

    private static Object value(Device device, String property) {
        return device.properties().stream()
                .filter(p -> p.name().equals(property))
                .findFirst()
                .orElseThrow()
                .reader()
                .get();
    }

    @Test
    void serialPortsTakeTheCustomaryPlacesInTurn() throws Exception {
        long[] bases = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
        for (int i = 0; i < bases.length; i++) {
            Device port = serial();
            assertEquals(bases[i], value(port, "iobase"));
            assertEquals(i % 2 == 0 ? 4L : 3L, value(port, "irq"));
            assertNotNull(core.state().find("serial", i));
        }
        refused("Max. supported number of ISA serial ports is 4.", () -> serial());
    }

    @Test
    void aSectionIsNumberedByItsDeviceAndNotByThePort() throws Exception {
        serial("index=2");
        assertNotNull(core.state().find("serial", 0));
        assertNull(core.state().find("serial", 2));
    }

    @Test
    void aPortCanLieAnywhere() throws Exception {
        core.vmm().paper("c0");
        serial("iobase=0x220", "irq=5", "chardev=c0");
        core.ports().write(0x220, 1, 'x');
        assertEquals("x", core.vmm().paper("c0").text());
        core.ports().write(0x221, 1, 2);
        assertTrue(core.wire(5), "its transmitter is empty");
    }

    @Test
    void whatSerialPortsRefuse() throws Exception {
        core.vmm().paper("c0");
        refused("Property 'serial.chardev' can't find value 'zz'", () -> serial("chardev=zz"));
        refused("Max. supported number of ISA serial ports is 4.", () -> serial("index=4"));
        refused("Property 'isa-serial.irq' doesn't take value '16'", () -> serial("irq=16"));
        refused(
                "Property 'isa-serial.iobase' doesn't take value '65535'",
                () -> serial("iobase=0xffff"));
        serial("chardev=c0");
        refused(
                "isa-serial: the ports at 0x3f8 are taken by the ISA serial port at 0x3f8",
                () -> serial("index=0"));
        refused(
                "Property 'serial.chardev' can't take value 'c0': chardev 'c0' is already in use",
                () -> serial("chardev=c0"));
    }

    @Test
    void parallelPortsPrint() throws Exception {
        core.vmm().paper("c0");
        refused("Can't create parallel device, empty char device", () -> parallel());
        refused(
                "Max. supported number of parallel ports is 3.",
                () -> parallel("chardev=c0", "index=3"));
        parallel("chardev=c0", "index=1");
        core.ports().write(0x278, 1, 'p');
        core.ports().write(0x27a, 1, 0x0d);
        assertEquals("p", core.vmm().paper("c0").text());
        assertNotNull(core.state().find("parallel_isa", 0));
    }

    @Test
    void theDebugConsoleSaysThatItIsThere() throws Exception {
        core.vmm().paper("c0");
        refused("Can't create debugcon device, empty char device", () -> debugcon());
        debugcon("chardev=c0", "iobase=0x402", "readback=0x42");
        assertEquals(0x42, core.ports().read(0x402, 1));
        core.ports().write(0x402, 1, '!');
        assertEquals("!", core.vmm().paper("c0").text());
    }
}
