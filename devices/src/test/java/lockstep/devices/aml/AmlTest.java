package lockstep.devices.aml;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** Encodings that the ACPI specification spells out in chapter 20. */
final class AmlTest {
    @Test
    void compressedIds() {
        assertArrayEquals(Aml.bytes(0x0c, 0x41, 0xd0, 0x0a, 0x03), Aml.eisaId("PNP0A03"));
    }

    @Test
    void paths() {
        assertArrayEquals(
                Aml.bytes('\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'),
                Aml.path("\\_SB.PCI0"));
    }

    @Test
    void lengthsGrowWithTheBody() {
        assertEquals(2 + 4 + 1, Aml.method("TEST", 0).length);
        byte[] large = Aml.scope("TEST", new byte[100]);
        assertArrayEquals(
                Aml.bytes(0x10, 0x40 | 106 & 0x0f, 106 >> 4), java.util.Arrays.copyOf(large, 3));
    }
}
