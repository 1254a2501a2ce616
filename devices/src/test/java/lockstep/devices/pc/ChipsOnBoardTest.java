package lockstep.devices.pc;

import static lockstep.devices.pc.Bench.MS;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** What firmware and drivers do with the board's chips, through their ports. */
final class ChipsOnBoardTest {
    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = new Bench();
    }

    private int cmos(int cell) {
        pc.out(0x70, cell);
        return pc.in(0x71);
    }

    private void cmos(int cell, int value) {
        pc.out(0x70, cell);
        pc.out(0x71, value);
    }

    @Test
    void barsAreSizedMappedAndMoved() {
        pc.configure(2, 0, 0x18, 4, -1);
        assertEquals(0xfffff000, pc.config(2, 0, 0x18), "BAR2 is 4 KiB of memory");
        pc.configure(2, 0, 0x18, 4, 0xfebf0000);
        assertEquals(0, pc.peek(0xfebf0600L), "memory decoding is off");
        pc.configure(2, 0, 0x04, 2, 2);
        assertEquals(8, pc.peek(0xfebf0600L), "extended registers: their size");
        pc.configure(2, 0, 0x18, 4, 0xfebe0000);
        assertEquals(0, pc.peek(0xfebf0600L), "moved away");
        assertEquals(8, pc.peek(0xfebe0600L), "to there");
    }

    @Test
    void absentFunctionsReadAllOnes() {
        assertEquals(-1, pc.config(9, 0, 0));
        assertEquals(0x12378086, pc.config(0, 0, 0));
    }

    @Test
    void shadowRamHidesTheFirmware() {
        int rom = pc.peek(0xffff0);
        assertEquals(rom, pc.peek(0xfffffff0L), "both windows show the firmware");
        pc.poke(0xffff0, 0x12345678);
        assertEquals(rom, pc.peek(0xffff0), "ROM");
        pc.configure(0, 0, 0x59, 1, 0x30);
        pc.poke(0xffff0, 0x12345678);
        assertEquals(0x12345678, pc.peek(0xffff0), "RAM");
        pc.configure(0, 0, 0x59, 1, 0x10);
        pc.poke(0xffff0, 0);
        assertEquals(0x12345678, pc.peek(0xffff0), "read-only RAM");
        pc.reset();
        assertEquals(0x12345678, pc.peek(0xffff0), "a reset leaves it");
    }

    @Test
    void resetControlAsksForAReset() {
        pc.out(0xcf9, 0x02);
        assertFalse(pc.asked("requestReset"));
        assertEquals(0x02, pc.in(0xcf9));
        pc.out(0xcf9, 0x06);
        assertTrue(pc.asked("requestReset"));
    }

    @Test
    void clockCountsAndInterruptsEverySecond() {
        cmos(0x0b, 0x82);
        cmos(0x00, 0x58);
        cmos(0x02, 0x59);
        cmos(0x04, 0x23);
        cmos(0x07, 0x31);
        cmos(0x08, 0x12);
        cmos(0x09, 0x99);
        cmos(0x32, 0x19);
        cmos(0x0b, 0x12);
        pc.advance(2_500 * MS);
        assertEquals(0x00, cmos(0x00));
        assertEquals(0x2000, cmos(0x32) << 8 | cmos(0x09), "century carried");
        assertTrue(pc.irq(8), "update-ended interrupt");
        assertEquals(0x90, cmos(0x0c) & 0x90);
        assertFalse(pc.irq(8), "reading C acknowledges");
    }

    @Test
    void clockGivesPeriodicInterrupts() {
        cmos(0x0a, 0x26);
        cmos(0x0b, 0x42);
        pc.advance(MS);
        assertTrue(pc.irq(8), "1024 Hz");
        assertEquals(0xc0, cmos(0x0c) & 0xc0);
    }

    @Test
    void pmTimerRunsAndOverflows() {
        pc.configure(1, 3, 0x40, 4, 0x600 | 1);
        pc.configure(1, 3, 0x80, 1, 1);
        int start = pc.in(0x608, 4);
        pc.advance(1000 * MS);
        assertEquals(3_579_545, pc.in(0x608, 4) - start, 1);
        pc.outSized(0x600, 2, 1);
        pc.outSized(0x602, 2, 1);
        assertFalse(pc.irq(9));
        pc.advance(2_500 * MS);
        assertTrue(pc.irq(9), "SCI at the top bit's change");
        pc.outSized(0x600, 2, 1);
        assertFalse(pc.irq(9));
        pc.outSized(0x604, 2, 0x2000);
        assertTrue(pc.asked("requestShutdown"), "SLP_TYP 0 with SLP_EN");
    }

    @Test
    void keyboardAndMouseIntroduceThemselves() {
        pc.out(0x64, 0xaa);
        assertEquals(0x55, pc.in(0x60));
        pc.out(0x64, 0x60);
        pc.out(0x60, 0x03);
        pc.out(0x60, 0xff);
        assertTrue(pc.irq(1));
        assertEquals(0xfa, pc.in(0x60));
        assertEquals(0xaa, pc.in(0x60));
        assertFalse(pc.irq(1));
        pc.out(0x64, 0xd4);
        pc.out(0x60, 0xf2);
        assertTrue(pc.irq(12));
        assertEquals(0x21, pc.in(0x64) & 0x21, "a byte of the mouse");
        assertEquals(0xfa, pc.in(0x60));
        assertEquals(0x00, pc.in(0x60));
    }

    @Test
    void hpetInterruptsPeriodically() {
        long base = 0xfed00000L;
        assertEquals(10_000_000, pc.peek(base + 4), "10 ns in femtoseconds");
        pc.poke(base + 0x100, 0x4c | 2 << 9);
        pc.poke(base + 0x108, 100_000);
        pc.poke(base + 0x108, 100_000);
        pc.poke(base + 0x100, 0x0e | 2 << 9);
        pc.poke(base + 0x10, 1);
        pc.advance(MS + 1000);
        assertTrue(pc.irq(2), "level interrupt after a millisecond");
        pc.poke(base + 0x20, 1);
        assertFalse(pc.irq(2));
        pc.advance(MS);
        assertTrue(pc.irq(2), "and after the next");
        pc.out(0x43, 0x34);
        pc.out(0x40, 0xff, 0xff);
        int ticks = pc.rises(0);
        pc.advance(100 * MS);
        assertTrue(pc.rises(0) > ticks, "the 8254");
        pc.poke(base + 0x10, 2);
        ticks = pc.rises(0);
        pc.advance(100 * MS);
        assertEquals(ticks, pc.rises(0), "legacy replacement");
    }

    @Test
    void firmwareConfigurationByDma() {
        ByteBuffer request = ByteBuffer.allocate(16);
        request.putInt(0x19 << 16 | 0x08 | 0x02).putInt(4 + 64).putLong(0x2000);
        pc.core().dma().write(0x1000, request.array(), 0, 16);
        pc.outSized(0x514, 4, 0);
        pc.outSized(0x518, 4, Integer.reverseBytes(0x1000));
        assertEquals(0, pc.core().dma().readInt(0x1000), "done");
        assertTrue(Integer.reverseBytes(pc.core().dma().readInt(0x2000)) > 5, "number of files");
        byte[] name = new byte[13];
        pc.core().dma().read(0x2000 + 4 + 8, name, 0, name.length);
        assertEquals("bios-geometry", new String(name, StandardCharsets.US_ASCII));

        pc.outSized(0x510, 2, 0);
        ByteArrayOutputStream signature = new ByteArrayOutputStream();
        for (int i = 0; i < 4; i++) {
            signature.write(pc.in(0x511));
        }
        assertEquals("QEMU", signature.toString(StandardCharsets.US_ASCII));
        assertEquals(0, pc.in(0x511), "beyond the end");
    }
}
