package lockstep.devices.acpi;

import static lockstep.devices.aml.Aml.acquire;
import static lockstep.devices.aml.Aml.all;
import static lockstep.devices.aml.Aml.and;
import static lockstep.devices.aml.Aml.argument0;
import static lockstep.devices.aml.Aml.argument1;
import static lockstep.devices.aml.Aml.argument2;
import static lockstep.devices.aml.Aml.argument3;
import static lockstep.devices.aml.Aml.buffer;
import static lockstep.devices.aml.Aml.call;
import static lockstep.devices.aml.Aml.device;
import static lockstep.devices.aml.Aml.dwordFields;
import static lockstep.devices.aml.Aml.element;
import static lockstep.devices.aml.Aml.equal;
import static lockstep.devices.aml.Aml.integer;
import static lockstep.devices.aml.Aml.less;
import static lockstep.devices.aml.Aml.list;
import static lockstep.devices.aml.Aml.local0;
import static lockstep.devices.aml.Aml.local1;
import static lockstep.devices.aml.Aml.method;
import static lockstep.devices.aml.Aml.mutex;
import static lockstep.devices.aml.Aml.name;
import static lockstep.devices.aml.Aml.not;
import static lockstep.devices.aml.Aml.path;
import static lockstep.devices.aml.Aml.region;
import static lockstep.devices.aml.Aml.release;
import static lockstep.devices.aml.Aml.returns;
import static lockstep.devices.aml.Aml.scope;
import static lockstep.devices.aml.Aml.shiftLeft;
import static lockstep.devices.aml.Aml.store;
import static lockstep.devices.aml.Aml.string;
import static lockstep.devices.aml.Aml.tell;
import static lockstep.devices.aml.Aml.uuid;
import static lockstep.devices.aml.Aml.when;

import lockstep.devices.piix4.PowerManagement;

import java.util.function.IntPredicate;

/**
 * How a guest hears of PCI functions that come and go, and ejects them: ACPI 6.5 sections 5.6.6 and 6.3. The general
 * purpose event 1 looks at the registers that {@link PowerManagement#HOTPLUG_BASE} has, and notifies the slots.
 */
final class PciHotplugAml {
    private static final int PORTS = 1;

    /** A method that makes named objects, or waits, must not run twice at a time. */
    private static final int SERIALIZED = 0x08;

    private static final int SLOTS = 32;
    private static final int DEVICE_CHECK = 1;
    private static final int EJECT_REQUEST = 3;
    private static final String LOCK = "\\_SB.PCI0.BLCK";

    private PciHotplugAml() {}

    /** Of the functions by which an operating system asks for a device's name: PCI firmware specification 3.3, 4.6.7. */
    private static final String NAMING = "E5C937D0-3553-4D7A-9117-EA4D19C3434D";

    /** The functions of that set that a device with a number has: asking for them, and the number. */
    private static final int NAMING_FUNCTIONS = 0x81;

    private static final int NAMING_NUMBER = 7;

    private static String slotName(int slot) {
        return "S%02X_".formatted(slot << 3);
    }

    /**
     * Slots, registers and methods.
     *
     * @param ejectable whether a slot is empty, or what is in it may be taken out
     */
    static byte[] terms(IntPredicate ejectable) {
        byte[] slots = new byte[0];
        byte[] told = new byte[0];
        // Slots 0 and 1 have the bridges, which are described elsewhere.
        for (int slot = 2; slot < SLOTS; slot++) {
            byte[] address =
                    all(
                            name("_ADR", integer((long) slot << 16)),
                            method(
                                    "_DSM",
                                    SERIALIZED | 4,
                                    returns(
                                            call(
                                                    "PDSM",
                                                    argument0(),
                                                    argument1(),
                                                    argument2(),
                                                    integer(slot)))));
            if (!ejectable.test(slot)) {
                slots = all(slots, device(slotName(slot), address));
                continue;
            }
            slots =
                    all(
                            slots,
                            device(
                                    slotName(slot),
                                    address,
                                    name("_SUN", integer(slot)),
                                    method("_EJ0", 1, call("PCEJ", path("BSEL"), path("_SUN")))));
            told =
                    all(
                            told,
                            when(
                                    and(argument0(), integer(1L << slot), integer(0)),
                                    tell(path(slotName(slot)), argument1())));
        }
        return all(
                scope(
                        "\\_SB.PCI0",
                        name("BSEL", integer(0)),
                        registers("PCST", 0x00, "PCIU", "PCID"),
                        registers("SEJ_", 0x08, "B0EJ"),
                        registers("BNMR", 0x10, "BNUM", "PIDX"),
                        mutex("BLCK"),
                        method(
                                "PCEJ",
                                2,
                                acquire(path("BLCK")),
                                store(argument0(), path("BNUM")),
                                shiftLeft(integer(1), argument1(), path("B0EJ")),
                                release(path("BLCK")),
                                returns(integer(0))),
                        naming(),
                        slots,
                        method("DVNT", 2, told),
                        method(
                                "PCNT",
                                0,
                                store(path("BSEL"), path("BNUM")),
                                call("DVNT", path("PCIU"), integer(DEVICE_CHECK)),
                                call("DVNT", path("PCID"), integer(EJECT_REQUEST)))),
                scope(
                        "\\_GPE",
                        name("_HID", string("ACPI0006")),
                        method(
                                "_E01",
                                0,
                                acquire(path(LOCK)),
                                call("\\_SB.PCI0.PCNT"),
                                release(path(LOCK)))));
    }

    /** What {@code _DSM} of a slot comes to: its UUID, revision, function and the slot. */
    private static byte[] naming() {
        byte[] nothing = returns(buffer(new byte[1]));
        return method(
                "PDSM",
                SERIALIZED | 4,
                when(not(equal(argument0(), uuid(NAMING))), nothing),
                when(less(argument1(), integer(2)), nothing),
                acquire(path("BLCK")),
                store(path("BSEL"), path("BNUM")),
                shiftLeft(integer(1), argument3(), path("PIDX")),
                store(path("PIDX"), local0()),
                release(path("BLCK")),
                when(equal(local0(), integer(0)), nothing),
                when(
                        equal(argument2(), integer(0)),
                        returns(buffer(new byte[] {(byte) NAMING_FUNCTIONS}))),
                when(
                        equal(argument2(), integer(NAMING_NUMBER)),
                        store(list(integer(0), string("")), local1()),
                        store(local0(), element(local1(), 0)),
                        returns(local1())),
                nothing);
    }

    private static byte[] registers(String region, int offset, String... names) {
        return all(
                region(region, PORTS, PowerManagement.HOTPLUG_BASE + offset, 4L * names.length),
                dwordFields(region, names));
    }
}
