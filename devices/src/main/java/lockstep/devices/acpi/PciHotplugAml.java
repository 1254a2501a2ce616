package lockstep.devices.acpi;

import static lockstep.devices.aml.Aml.acquire;
import static lockstep.devices.aml.Aml.all;
import static lockstep.devices.aml.Aml.and;
import static lockstep.devices.aml.Aml.argument0;
import static lockstep.devices.aml.Aml.argument1;
import static lockstep.devices.aml.Aml.call;
import static lockstep.devices.aml.Aml.device;
import static lockstep.devices.aml.Aml.dwordFields;
import static lockstep.devices.aml.Aml.integer;
import static lockstep.devices.aml.Aml.method;
import static lockstep.devices.aml.Aml.mutex;
import static lockstep.devices.aml.Aml.name;
import static lockstep.devices.aml.Aml.path;
import static lockstep.devices.aml.Aml.region;
import static lockstep.devices.aml.Aml.release;
import static lockstep.devices.aml.Aml.returns;
import static lockstep.devices.aml.Aml.scope;
import static lockstep.devices.aml.Aml.shiftLeft;
import static lockstep.devices.aml.Aml.store;
import static lockstep.devices.aml.Aml.string;
import static lockstep.devices.aml.Aml.tell;
import static lockstep.devices.aml.Aml.when;

import lockstep.devices.piix4.PowerManagement;

import java.util.function.IntPredicate;

/**
 * How a guest hears of PCI functions that come and go, and ejects them: ACPI 6.5 sections 5.6.6 and 6.3. The general
 * purpose event 1 looks at the registers that {@link PowerManagement#HOTPLUG_BASE} has, and notifies the slots.
 */
final class PciHotplugAml {
    private static final int PORTS = 1;
    private static final int SLOTS = 32;
    private static final int DEVICE_CHECK = 1;
    private static final int EJECT_REQUEST = 3;
    private static final String LOCK = "\\_SB.PCI0.BLCK";

    private PciHotplugAml() {}

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
            byte[] address = name("_ADR", integer((long) slot << 16));
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
                        registers("BNMR", 0x10, "BNUM"),
                        mutex("BLCK"),
                        method(
                                "PCEJ",
                                2,
                                acquire(path("BLCK")),
                                store(argument0(), path("BNUM")),
                                shiftLeft(integer(1), argument1(), path("B0EJ")),
                                release(path("BLCK")),
                                returns(integer(0))),
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

    private static byte[] registers(String region, int offset, String... names) {
        return all(
                region(region, PORTS, PowerManagement.HOTPLUG_BASE + offset, 4L * names.length),
                dwordFields(region, names));
    }
}
