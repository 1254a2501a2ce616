package lockstep.devices.fdc;

import static lockstep.devices.aml.Aml.buffer;
import static lockstep.devices.aml.Aml.device;
import static lockstep.devices.aml.Aml.integer;
import static lockstep.devices.aml.Aml.isaDma;
import static lockstep.devices.aml.Aml.isaIrq;
import static lockstep.devices.aml.Aml.list;
import static lockstep.devices.aml.Aml.name;
import static lockstep.devices.aml.Aml.ports;

import lockstep.api.FdcDriveType;
import lockstep.devices.aml.Aml;

import java.util.Arrays;
import java.util.List;

/** What the controller says of itself and its drives by ACPI: version 6.5, section 9.9. */
final class FloppyTerms {
    /** How many drives the tables can speak of, behind which comes a tape drive. */
    private static final int DRIVES_IN_TABLES = 4;

    private static final int NO_TAPE = 2;

    /** The BIOS's parameters of a drive, which are the same for all: ACPI 6.5 section 9.9.2. */
    private static final int[] BIOS_PARAMETERS = {
        0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08
    };

    private FloppyTerms() {}

    /** The controller at its ports, and its drives. */
    static byte[] of(int base, int irq, int dma, List<FdcDriveType> kinds) {
        byte[] there = new byte[(DRIVES_IN_TABLES + 1) * Integer.BYTES];
        there[DRIVES_IN_TABLES * Integer.BYTES] = NO_TAPE;
        byte[] drives = new byte[0];
        for (int n = 0; n < kinds.size(); n++) {
            FdcDriveType kind = kinds.get(n);
            Geometry most = Geometry.limits(kind);
            if (most != null) {
                there[n * Integer.BYTES] = 1;
                drives = Aml.all(drives, driveTerms(n, FloppyController.biosType(kind), most));
            }
        }
        return device(
                "FDC0",
                name("_HID", Aml.eisaId("PNP0700")),
                name("_STA", integer(0x0f)),
                name(
                        "_CRS",
                        Aml.resources(
                                ports(base + 2, base + 2, 0, 4),
                                ports(base + 7, base + 7, 0, 1),
                                isaIrq(irq),
                                isaDma(dma))),
                drives,
                name("_FDE", buffer(there)));
    }

    private static byte[] driveTerms(int n, int type, Geometry most) {
        int[] first = {n, type, most.tracks() - 1, most.sectors(), most.sides() - 1};
        byte[][] values = new byte[first.length + BIOS_PARAMETERS.length][];
        Arrays.setAll(
                values,
                i -> integer(i < first.length ? first[i] : BIOS_PARAMETERS[i - first.length]));
        return device(
                "FLP" + (char) ('A' + n), name("_ADR", integer(n)), name("_FDI", list(values)));
    }
}
