package lockstep.devices.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.aml.Aml;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/** What the tables say of PCI hot plug; the bytes were read back with ACPICA's disassembler. */
final class PciHotplugAmlTest {
    private static final String TERMS =
            new String(PciHotplugAml.terms(slot -> slot != 2), StandardCharsets.ISO_8859_1);

    private static int count(String name) {
        return TERMS.split(name, -1).length - 1;
    }

    @Test
    void everySlotThatCanBeEmptyIsEjectedAndNotified() {
        assertEquals(29, count("_EJ0"), "slots 3 to 31");
        assertEquals(30, count("_ADR"));
        assertEquals(1, count("S10_"), "the slot of the VGA is only named");
        assertEquals(2, count("S18_"), "named and notified");
        assertEquals(2, count("SF8_"));
        assertEquals(1, count("_E01"));
    }

    @Test
    void registersHaveFourBytesWithZeroAround() {
        String fields = HexFormat.of().formatHex(Aml.dwordFields("PCST", "PCIU", "PCID"));
        assertEquals("5b8110504353544350434955205043494420", fields);
        assertTrue(TERMS.contains("BNMR"));
    }
}
