package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** What firmware and drivers do with the board's chips, through their ports. */
final class ChipsOnBoardTest {
    private static final long MS = 1_000_000;

    @AutoClose private final TestMachine core = new TestMachine(16 << 20);

    @BeforeEach
    void powerOn() throws Exception {
        PcSectionsTest.board(core);
    }

    private int in(int port) {
        return (int) core.ports().read(port, 1);
    }

    private void out(int port, int... values) {
        for (int v : values) {
            core.ports().write(port, 1, v);
        }
    }

    private int cmos(int cell) {
        out(0x70, cell);
        return in(0x71);
    }

    private void cmos(int cell, int value) {
        out(0x70, cell);
        out(0x71, value);
    }

    private void configWrite(int function, int register, int size, int value) {
        core.ports().write(0xcf8, 4, 1L << 31 | function << 8 | register & 0xfc);
        core.ports().write(0xcfc + (register & 3), size, value);
    }

    private int configRead(int function, int register, int size) {
        core.ports().write(0xcf8, 4, 1L << 31 | function << 8 | register & 0xfc);
        return (int) core.ports().read(0xcfc + (register & 3), size);
    }

    @Test
    void barsAreSizedMappedAndMoved() {
        int vga = 2 << 3;
        configWrite(vga, 0x18, 4, -1);
        assertEquals(0xfffff000, configRead(vga, 0x18, 4), "BAR2 is 4 KiB of memory");
        configWrite(vga, 0x18, 4, 0xfebf0000);
        assertEquals(0, core.memory().read(0xfebf0600L, 4), "memory decoding is off");
        configWrite(vga, 0x04, 2, 2);
        assertEquals(8, core.memory().read(0xfebf0600L, 4), "extended registers: their size");
        configWrite(vga, 0x18, 4, 0xfebe0000);
        assertEquals(0, core.memory().read(0xfebf0600L, 4), "moved away");
        assertEquals(8, core.memory().read(0xfebe0600L, 4), "to there");
    }

    @Test
    void absentFunctionsReadAllOnes() {
        assertEquals(-1, configRead(9 << 3, 0, 4));
        assertEquals(0x12378086, configRead(0, 0, 4));
    }

    @Test
    void shadowRamHidesTheFirmware() {
        int rom = (int) core.memory().read(0xffff0, 4);
        assertEquals(
                rom, (int) core.memory().read(0xfffffff0L, 4), "both windows show the firmware");
        core.memory().write(0xffff0, 4, 0x12345678);
        assertEquals(rom, (int) core.memory().read(0xffff0, 4), "ROM");
        configWrite(0, 0x59, 1, 0x30);
        core.memory().write(0xffff0, 4, 0x12345678);
        assertEquals(0x12345678, core.memory().read(0xffff0, 4), "RAM");
        configWrite(0, 0x59, 1, 0x10);
        core.memory().write(0xffff0, 4, 0);
        assertEquals(0x12345678, core.memory().read(0xffff0, 4), "read-only RAM");
        core.reset();
        assertEquals(0x12345678, core.memory().read(0xffff0, 4), "a reset leaves it");
    }

    @Test
    void resetControlAsksForAReset() {
        out(0xcf9, 0x02);
        assertFalse(core.journal().contains("requestReset"));
        assertEquals(0x02, in(0xcf9));
        out(0xcf9, 0x06);
        assertTrue(core.journal().contains("requestReset"));
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
        core.advance(2_500 * MS);
        assertEquals(0x00, cmos(0x00));
        assertEquals(0x2000, cmos(0x32) << 8 | cmos(0x09), "century carried");
        assertTrue(core.wire(8), "update-ended interrupt");
        assertEquals(0x90, cmos(0x0c) & 0x90);
        assertFalse(core.wire(8), "reading C acknowledges");
    }

    @Test
    void clockGivesPeriodicInterrupts() {
        cmos(0x0a, 0x26);
        cmos(0x0b, 0x42);
        core.advance(MS);
        assertTrue(core.wire(8), "1024 Hz");
        assertEquals(0xc0, cmos(0x0c) & 0xc0);
    }

    @Test
    void pmTimerRunsAndOverflows() {
        configWrite(1 << 3 | 3, 0x40, 4, 0x600 | 1);
        configWrite(1 << 3 | 3, 0x80, 1, 1);
        long start = core.ports().read(0x608, 4);
        core.advance(1000 * MS);
        assertEquals(3_579_545, core.ports().read(0x608, 4) - start, 1);
        core.ports().write(0x600, 2, 1);
        core.ports().write(0x602, 2, 1);
        assertFalse(core.wire(9));
        core.advance(2_500 * MS);
        assertTrue(core.wire(9), "SCI at the top bit's change");
        core.ports().write(0x600, 2, 1);
        assertFalse(core.wire(9));
        core.ports().write(0x604, 2, 0x2000);
        assertTrue(core.journal().contains("requestShutdown"), "SLP_TYP 0 with SLP_EN");
    }

    @Test
    void keyboardAndMouseIntroduceThemselves() {
        out(0x64, 0xaa);
        assertEquals(0x55, in(0x60));
        out(0x64, 0x60);
        out(0x60, 0x03);
        out(0x60, 0xff);
        assertTrue(core.wire(1));
        assertEquals(0xfa, in(0x60));
        assertEquals(0xaa, in(0x60));
        assertFalse(core.wire(1));
        out(0x64, 0xd4);
        out(0x60, 0xf2);
        assertTrue(core.wire(12));
        assertEquals(0x21, in(0x64) & 0x21, "a byte of the mouse");
        assertEquals(0xfa, in(0x60));
        assertEquals(0x00, in(0x60));
    }

    @Test
    void hpetInterruptsPeriodically() {
        long base = 0xfed00000L;
        assertEquals(10_000_000, core.memory().read(base + 4, 4), "10 ns in femtoseconds");
        core.memory().write(base + 0x100, 4, 0x4c | 2 << 9);
        core.memory().write(base + 0x108, 4, 100_000);
        core.memory().write(base + 0x108, 4, 100_000);
        core.memory().write(base + 0x100, 4, 0x0e | 2 << 9);
        core.memory().write(base + 0x10, 4, 1);
        core.advance(MS + 1000);
        assertTrue(core.wire(2), "level interrupt after a millisecond");
        core.memory().write(base + 0x20, 4, 1);
        assertFalse(core.wire(2));
        core.advance(MS);
        assertTrue(core.wire(2), "and after the next");
        int ticks = core.rises(0);
        core.advance(100 * MS);
        assertTrue(core.rises(0) > ticks, "the 8254");
        core.memory().write(base + 0x10, 4, 2);
        ticks = core.rises(0);
        core.advance(100 * MS);
        assertEquals(ticks, core.rises(0), "legacy replacement");
    }

    @Test
    void firmwareConfigurationByDma() {
        ByteBuffer request = ByteBuffer.allocate(16);
        request.putInt(0x19 << 16 | 0x08 | 0x02).putInt(4 + 64).putLong(0x2000);
        core.dma().write(0x1000, request.array(), 0, 16);
        core.ports().write(0x514, 4, 0);
        core.ports().write(0x518, 4, Integer.reverseBytes(0x1000));
        assertEquals(0, core.dma().readInt(0x1000), "done");
        assertTrue(Integer.reverseBytes(core.dma().readInt(0x2000)) > 5, "number of files");
        byte[] name = new byte[13];
        core.dma().read(0x2000 + 4 + 8, name, 0, name.length);
        assertEquals("bios-geometry", new String(name, StandardCharsets.US_ASCII));

        core.ports().write(0x510, 2, 0);
        ByteArrayOutputStream signature = new ByteArrayOutputStream();
        for (int i = 0; i < 4; i++) {
            signature.write(in(0x511));
        }
        assertEquals("QEMU", signature.toString(StandardCharsets.US_ASCII));
        assertEquals(0, in(0x511), "beyond the end");
    }
}
