package lockstep.devices.acpi;

import static lockstep.devices.acpi.Aml.all;
import static lockstep.devices.acpi.Aml.and;
import static lockstep.devices.acpi.Aml.argument0;
import static lockstep.devices.acpi.Aml.busNumbers;
import static lockstep.devices.acpi.Aml.byteFields;
import static lockstep.devices.acpi.Aml.device;
import static lockstep.devices.acpi.Aml.dwordField;
import static lockstep.devices.acpi.Aml.eisaId;
import static lockstep.devices.acpi.Aml.fixedMemory;
import static lockstep.devices.acpi.Aml.integer;
import static lockstep.devices.acpi.Aml.interrupts;
import static lockstep.devices.acpi.Aml.isaDma;
import static lockstep.devices.acpi.Aml.isaIrq;
import static lockstep.devices.acpi.Aml.list;
import static lockstep.devices.acpi.Aml.local0;
import static lockstep.devices.acpi.Aml.memoryWindow;
import static lockstep.devices.acpi.Aml.method;
import static lockstep.devices.acpi.Aml.name;
import static lockstep.devices.acpi.Aml.or;
import static lockstep.devices.acpi.Aml.path;
import static lockstep.devices.acpi.Aml.portWindow;
import static lockstep.devices.acpi.Aml.ports;
import static lockstep.devices.acpi.Aml.region;
import static lockstep.devices.acpi.Aml.resources;
import static lockstep.devices.acpi.Aml.returns;
import static lockstep.devices.acpi.Aml.scope;
import static lockstep.devices.acpi.Aml.store;
import static lockstep.devices.acpi.Aml.string;
import static lockstep.devices.acpi.Aml.when;

import lockstep.devices.hpet.Hpet;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.pci.PciBus;
import lockstep.devices.piix4.PowerManagement;

import java.util.ArrayList;
import java.util.List;

/** The board's device description, as the guest's operating system interprets it. */
final class Dsdt {
    private static final int CONFIG_SPACE = 2;

    /** A method that makes named objects must not run twice at a time. */
    private static final int SERIALIZED = 0x08;

    private static final int PRESENT = 0x0f;

    private Dsdt() {}

    /** The definition block's terms. */
    static byte[] terms(AcpiTables.Board board) {
        return all(
                scope("\\_SB", processors(board.cpus()), pciRoot(board), links(), firmwareConfig()),
                scope("\\_SB", hpet(board)),
                sleepState("_S5", 0),
                sleepState("_S4", 2),
                PciHotplugAml.terms(board.ejectable()));
    }

    private static byte[] sleepState(String name, int type) {
        return name("\\" + name, list(integer(type), integer(type), integer(0), integer(0)));
    }

    private static byte[] processors(int cpus) {
        byte[] out = new byte[0];
        for (int i = 0; i < cpus; i++) {
            out =
                    all(
                            out,
                            device(
                                    "C%03X".formatted(i),
                                    name("_HID", string("ACPI0007")),
                                    name("_UID", integer(i)),
                                    name("_STA", integer(PRESENT))));
        }
        return out;
    }

    private static byte[] pciRoot(AcpiTables.Board board) {
        return device(
                "PCI0",
                name("_HID", eisaId("PNP0A03")),
                name("_ADR", integer(0)),
                name("_UID", integer(0)),
                name(
                        "_CRS",
                        resources(
                                busNumbers(0, 255),
                                ports(0xcf8, 0xcf8, 1, 8),
                                portWindow(0, 0xcf7),
                                portWindow(0xd00, PowerManagement.HOTPLUG_BASE - 1),
                                portWindow(
                                        PowerManagement.GPE_BASE + PowerManagement.GPE_LENGTH,
                                        0xffff),
                                memoryWindow(0xa_0000, 0xb_ffff, true),
                                memoryWindow(board.below4G(), 0xfebf_ffffL, false))),
                routing(),
                isaBridge(board),
                device(
                        "PMEM",
                        name("_HID", eisaId("PNP0C02")),
                        name("_UID", string("pm")),
                        name("_STA", integer(PRESENT)),
                        name(
                                "_CRS",
                                resources(
                                        ports(
                                                PowerManagement.HOTPLUG_BASE,
                                                PowerManagement.HOTPLUG_BASE,
                                                1,
                                                0x18),
                                        ports(
                                                PowerManagement.CPU_HOTPLUG_BASE,
                                                PowerManagement.CPU_HOTPLUG_BASE,
                                                1,
                                                0x20),
                                        ports(
                                                PowerManagement.GPE_BASE,
                                                PowerManagement.GPE_BASE,
                                                1,
                                                PowerManagement.GPE_LENGTH)))));
    }

    /** Which link each slot's four pins lead to; the power management function's is wired to the SCI. */
    private static byte[] routing() {
        List<byte[]> entries = new ArrayList<>();
        for (int slot = 0; slot < 32; slot++) {
            for (int pin = 0; pin < 4; pin++) {
                int wire = PciBus.wireOfIntA(slot) + pin & 3;
                String link = slot == 1 && pin == 0 ? "LNKS" : "LNK" + (char) ('A' + wire);
                entries.add(
                        list(
                                integer((long) slot << 16 | 0xffff),
                                integer(pin),
                                path("\\_SB." + link),
                                integer(0)));
            }
        }
        return name("_PRT", list(entries.toArray(byte[][]::new)));
    }

    private static byte[] isaBridge(AcpiTables.Board board) {
        byte[] devices =
                all(
                        isaDevice("RTC", "PNP0B00", ports(0x70, 0x70, 1, 8), isaIrq(8)),
                        isaDevice(
                                "KBD",
                                "PNP0303",
                                ports(0x60, 0x60, 1, 1),
                                ports(0x64, 0x64, 1, 1),
                                isaIrq(1)),
                        isaDevice("MOU", "PNP0F13", isaIrq(12)));
        if (board.floppy()) {
            devices =
                    all(
                            devices,
                            isaDevice(
                                    "FDC0",
                                    "PNP0700",
                                    ports(0x3f2, 0x3f2, 0, 4),
                                    ports(0x3f7, 0x3f7, 0, 1),
                                    isaIrq(6),
                                    isaDma(2)));
        }
        for (IsaBus.Place p : board.ports()) {
            devices = all(devices, port(p));
        }
        return device(
                "ISA",
                name("_ADR", integer(0x0001_0000)),
                region("PIRR", CONFIG_SPACE, 0x60, 4),
                byteFields("PIRR", "PRQ0", "PRQ1", "PRQ2", "PRQ3"),
                devices);
    }

    /** A serial or parallel port at its place. */
    private static byte[] port(IsaBus.Place p) {
        int number = p.index() + 1;
        return switch (p.kind()) {
            case PARALLEL ->
                    isaDevice(
                            "LPT" + number,
                            "PNP0400",
                            name("_UID", integer(number)),
                            ports(p.base(), p.base(), 8, 8),
                            isaIrq(p.irq()));
            case SERIAL ->
                    isaDevice(
                            "COM" + number,
                            "PNP0501",
                            name("_UID", integer(number)),
                            ports(p.base(), p.base(), 0, 8),
                            isaIrq(p.irq()));
        };
    }

    /** A device with present status; terms that start with a name operator go before the resources. */
    private static byte[] isaDevice(String name, String id, byte[]... parts) {
        byte[] terms = new byte[0];
        List<byte[]> resources = new ArrayList<>();
        for (byte[] p : parts) {
            if (p[0] == 0x08) {
                terms = all(terms, p);
            } else {
                resources.add(p);
            }
        }
        return device(
                name,
                name("_HID", eisaId(id)),
                name("_STA", integer(PRESENT)),
                terms,
                name("_CRS", resources(resources.toArray(byte[][]::new))));
    }

    private static byte[] links() {
        byte[] out = new byte[0];
        for (int i = 0; i < 4; i++) {
            out = all(out, link(i));
        }
        byte[] sci = resources(interrupts(PowerManagement.SCI));
        return all(
                out,
                device(
                        "LNKS",
                        name("_HID", eisaId("PNP0C0F")),
                        name("_UID", integer(4)),
                        name("_PRS", sci),
                        name("_CRS", sci),
                        method("_STA", 0, returns(integer(0x0b))),
                        method("_DIS", 0),
                        method("_SRS", 1)));
    }

    /** One PIRQ route register as a link device: ACPI 6.5 section 6.2.13. */
    private static byte[] link(int wire) {
        byte[] register = path("\\_SB.PCI0.ISA.PRQ" + wire);
        byte[] disabled = and(register, integer(0x80), bytesOfNothing());
        return device(
                "LNK" + (char) ('A' + wire),
                name("_HID", eisaId("PNP0C0F")),
                name("_UID", integer(wire)),
                name("_PRS", resources(interrupts(5, 10, 11))),
                method("_STA", 0, when(disabled, returns(integer(0x09))), returns(integer(0x0b))),
                method("_DIS", 0, or(register, integer(0x80), register)),
                method(
                        "_CRS",
                        SERIALIZED,
                        name("PRR0", resources(interrupts(0))),
                        dwordField(path("PRR0"), 5, "PRRI"),
                        store(register, local0()),
                        when(
                                and(local0(), integer(0x80), bytesOfNothing()),
                                store(integer(0), local0())),
                        store(local0(), path("PRRI")),
                        returns(path("PRR0"))),
                method(
                        "_SRS",
                        SERIALIZED | 1,
                        dwordField(argument0(), 5, "PRRI"),
                        store(path("PRRI"), register)));
    }

    /** The null target, for a result that is only looked at. */
    private static byte[] bytesOfNothing() {
        return integer(0);
    }

    private static byte[] firmwareConfig() {
        return device(
                "FWCF",
                name("_HID", string("QEMU0002")),
                name("_STA", integer(0x0b)),
                name("_CRS", resources(ports(0x510, 0x510, 1, 12))));
    }

    private static byte[] hpet(AcpiTables.Board board) {
        if (!board.hpet()) {
            return new byte[0];
        }
        return device(
                "HPET",
                name("_HID", eisaId("PNP0103")),
                name("_UID", integer(0)),
                name("_STA", integer(PRESENT)),
                name("_CRS", resources(fixedMemory(Hpet.BASE, 0x400))));
    }
}
