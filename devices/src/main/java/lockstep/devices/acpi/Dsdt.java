package lockstep.devices.acpi;

import static lockstep.devices.aml.Aml.all;
import static lockstep.devices.aml.Aml.and;
import static lockstep.devices.aml.Aml.argument0;
import static lockstep.devices.aml.Aml.busNumbers;
import static lockstep.devices.aml.Aml.byteFields;
import static lockstep.devices.aml.Aml.device;
import static lockstep.devices.aml.Aml.dwordField;
import static lockstep.devices.aml.Aml.eisaId;
import static lockstep.devices.aml.Aml.integer;
import static lockstep.devices.aml.Aml.interrupts;
import static lockstep.devices.aml.Aml.list;
import static lockstep.devices.aml.Aml.local0;
import static lockstep.devices.aml.Aml.memoryWindow;
import static lockstep.devices.aml.Aml.method;
import static lockstep.devices.aml.Aml.name;
import static lockstep.devices.aml.Aml.or;
import static lockstep.devices.aml.Aml.path;
import static lockstep.devices.aml.Aml.portWindow;
import static lockstep.devices.aml.Aml.ports;
import static lockstep.devices.aml.Aml.region;
import static lockstep.devices.aml.Aml.resources;
import static lockstep.devices.aml.Aml.returns;
import static lockstep.devices.aml.Aml.scope;
import static lockstep.devices.aml.Aml.store;
import static lockstep.devices.aml.Aml.string;
import static lockstep.devices.aml.Aml.when;

import lockstep.devices.pci.PciBus;
import lockstep.devices.piix4.PmRegisters;
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
                scope(
                        "\\_SB",
                        processors(board.cpus()),
                        pciRoot(board),
                        links(),
                        board.terms().system()),
                sleepState("_S5", 0),
                board.sleep().s3() ? sleepState("_S3", PmRegisters.SLEEP_S3) : new byte[0],
                board.sleep().s4() < 0 ? new byte[0] : sleepState("_S4", board.sleep().s4()),
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
        return device(
                "ISA",
                name("_ADR", integer(0x0001_0000)),
                region("PIRR", CONFIG_SPACE, 0x60, 4),
                byteFields("PIRR", "PRQ0", "PRQ1", "PRQ2", "PRQ3"),
                board.terms().isa());
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
}
