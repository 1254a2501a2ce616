package lockstep.devices.vga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import lockstep.devices.Sections;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

class VgaChipTest {
    private static final int SIZE = 16 << 20;
    private final MemorySegment vram = Arena.ofAuto().allocate(SIZE);
    private final VgaChip chip = new VgaChip(vram, SIZE, (at, length) -> {});

    private void indexed(int port, int index, int value) {
        chip.writePort(port, index);
        chip.writePort(port + 1, value);
    }

    private void vbe(int index, int value) {
        chip.writeVbeIndex(index);
        chip.writeVbe(value);
    }

    private int vbe(int index) {
        chip.writeVbeIndex(index);
        return chip.readVbe();
    }

    @Test
    void textModeKeepsCharactersAndAttributesInTwoPlanes() {
        indexed(0x3ce, 5, 0x10);
        indexed(0x3ce, 6, 0x0e);
        indexed(0x3c4, 2, 0x03);
        indexed(0x3c4, 4, 0x02);
        chip.writeWindow(0x18000 + 160, 'A');
        chip.writeWindow(0x18000 + 161, 0x07);
        assertEquals('A', vram.get(ValueLayout.JAVA_BYTE, 160 * 2));
        assertEquals(0x07, vram.get(ValueLayout.JAVA_BYTE, 160 * 2 + 1));
        assertEquals('A', chip.readWindow(0x18000 + 160));
        assertEquals(0xff, chip.readWindow(0));
    }

    @Test
    void planarWritesUseSetResetMaskAndLatches() {
        indexed(0x3ce, 6, 0x05);
        indexed(0x3c4, 2, 0x0f);
        indexed(0x3ce, 1, 0x0f);
        indexed(0x3ce, 0, 0x05);
        indexed(0x3ce, 8, 0xff);
        chip.writeWindow(10, 0);
        assertEquals(0x00ff00ff, vram.get(ValueLayout.JAVA_INT, 40));
        indexed(0x3ce, 8, 0x0f);
        indexed(0x3ce, 0, 0x02);
        chip.readWindow(10);
        chip.writeWindow(10, 0);
        assertEquals(0x00f00ff0, vram.get(ValueLayout.JAVA_INT, 40));
        // Colour compare: where planes 0 and 2 are set and the others are not.
        indexed(0x3ce, 5, 0x08);
        indexed(0x3ce, 2, 0x05);
        indexed(0x3ce, 7, 0x0f);
        assertEquals(0xf0, chip.readWindow(10));
        // Write mode 1 copies what was read.
        indexed(0x3ce, 5, 0x01);
        chip.writeWindow(11, 0xaa);
        assertEquals(0x00f00ff0, vram.get(ValueLayout.JAVA_INT, 44));
    }

    @Test
    void displayExtensionFitsModesIntoMemoryAndBanks() {
        assertEquals(0xb0c5, vbe(0));
        assertEquals(SIZE >> 16, vbe(10));
        vbe(1, 1024);
        vbe(2, 768);
        vbe(3, 32);
        vbe(4, 0x41);
        assertEquals(1024, vbe(6));
        assertEquals(SIZE / 4096, vbe(7));
        vbe(9, 0xffff);
        assertEquals(0, vbe(9));
        vbe(5, 3);
        chip.writeWindow(5, 0x5a);
        assertEquals(0x5a, vram.get(ValueLayout.JAVA_BYTE, (3 << 16) + 5));
        vbe(4, 0x43);
        assertEquals(16000, vbe(1));
    }

    @Test
    void retraceAlternatesAndResetsTheFlipFlop() {
        chip.writePort(0x3c2, 0x67);
        chip.writePort(0x3c0, 0x10);
        int first = chip.readPort(0x3da);
        assertNotEquals(first & 8, chip.readPort(0x3da) & 8);
        assertEquals(0, chip.arFlipFlop);
        assertEquals(0xff, chip.readPort(0x3ba));
    }

    @Test
    void theSectionHas1131Bytes() throws Exception {
        chip.writePort(0x3c8, 7);
        chip.writePort(0x3c9, 1);
        vbe(1, 800);
        byte[] bytes = Sections.save("vga", c -> VgaState.describe(c, chip));
        assertEquals(1131, bytes.length);
        VgaChip copy = new VgaChip(vram, SIZE, (at, length) -> {});
        Sections.load("vga", bytes, c -> VgaState.describe(c, copy));
        assertArrayEquals(bytes, Sections.save("vga", c -> VgaState.describe(c, copy)));
    }

    @Test
    void anythingGoes() {
        java.util.Random random = new java.util.Random(3);
        VgaChip small = new VgaChip(Arena.ofAuto().allocate(1 << 20), 1 << 20, (at, n) -> {});
        for (int i = 0; i < 300_000; i++) {
            switch (random.nextInt(6)) {
                case 0 -> small.writePort(0x3b0 + random.nextInt(48), random.nextInt(256));
                case 1 -> small.readPort(0x3b0 + random.nextInt(48));
                case 2 -> small.writeVbeIndex(random.nextInt(12));
                case 3 -> small.writeVbe(random.nextInt(0x10000));
                case 4 -> small.writeWindow(random.nextInt(0x20000), random.nextInt(256));
                default -> small.readWindow(random.nextInt(0x20000));
            }
        }
    }
}
