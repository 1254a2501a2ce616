package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.spi.DeviceException;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.Map;

/** The cards edu and pci-testdev; what they answer was recorded from QEMU 7.2. */
final class SmallCardsTest {
    private static final long EDU = 0xe000_0000L;
    private static final long TESTDEV = 0xe100_0000L;
    private static final int PORTS = 0xd000;
    private static final int IRQ = 11;
    private static final int BUS_MASTER = 4;

    @AutoClose private Bench pc;

    @BeforeEach
    void plug() throws Exception {
        pc = new Bench();
        DeviceManager devices = FullBoard.devices(pc.core());
        devices.plug(Map.of("driver", "edu", "addr", "5", "dma_mask", "0xffff"));
        devices.plug(Map.of("driver", "pci-testdev", "addr", "6", "membar", "1M"));
        assertThrows(
                DeviceException.class,
                () -> devices.plug(Map.of("driver", "pci-testdev", "membar", "3000")));
        for (int wire = 0; wire < 4; wire++) {
            pc.configure(1, 0, 0x60 + wire, 1, IRQ);
        }
        pc.configure(5, 0, 0x10, 4, (int) EDU);
        pc.configure(5, 0, 4, 2, 2);
        pc.configure(6, 0, 0x10, 4, (int) TESTDEV);
        pc.configure(6, 0, 0x14, 4, PORTS);
        pc.configure(6, 0, 4, 2, 3);
    }

    private long in(int register) {
        return pc.peek(EDU + register) & 0xffff_ffffL;
    }

    private void out(int register, long value) {
        pc.poke(EDU + register, (int) value);
    }

    @Test
    void eduIsThere() {
        assertEquals(0x11e81234, pc.config(5, 0, 0));
        assertEquals(0x00ff0010, pc.config(5, 0, 8));
        assertEquals(0x010000ed, in(0));
        assertEquals(0, pc.core().memory().read(EDU, 2));
        assertEquals(-1, pc.core().memory().read(EDU, 8));
        assertEquals(0xffff_ffffL, in(0x50));
        assertEquals(0xffff_ffffL, in(0x40000));
        out(4, 0x12345678);
        assertEquals(0xedcba987L, in(4));
    }

    @Test
    void eduComputesAndInterrupts() {
        out(0x20, 0xff);
        assertEquals(0x80, in(0x20));
        out(8, 5);
        assertEquals(0x81, in(0x20), "at work");
        out(8, 7);
        pc.advance(1);
        assertEquals(120, in(8));
        assertTrue(pc.irq(IRQ));
        assertEquals(1, in(0x24));
        out(0x64, 1);
        assertFalse(pc.irq(IRQ));
        out(8, 0xffff_ffffL);
        pc.advance(1);
        assertEquals(0, in(8));
    }

    @Test
    void eduRaisesWhatItIsTold() {
        out(0x60, 6);
        assertEquals(0x18, pc.config(5, 0, 4) >>> 16 & 0xff, "capabilities, and the pin is up");
        out(0x64, 2);
        assertEquals(4, in(0x24));
        assertTrue(pc.irq(IRQ));
        out(0x64, 4);
        assertFalse(pc.irq(IRQ));
    }

    @Test
    void eduSendsMessages() {
        assertEquals(0x00800005, pc.config(5, 0, 0x40));
        for (int at = 0x40; at < 0x50; at += 4) {
            pc.configure(5, 0, at, 4, -1);
        }
        assertEquals(0x00f10005, pc.config(5, 0, 0x40));
        assertEquals(0xfffffffc, pc.config(5, 0, 0x44));
        assertEquals(0xffffffff, pc.config(5, 0, 0x48));
        assertEquals(0xffffffff, pc.config(5, 0, 0x4c));
        pc.configure(5, 0, 0x44, 4, 0xfee01000);
        pc.configure(5, 0, 0x48, 4, 0);
        pc.configure(5, 0, 0x4c, 4, 0x4041);
        out(0x60, 1);
        assertFalse(pc.asked("message fee01000 4041"), "no bus master");
        pc.configure(5, 0, 4, 2, 2 | BUS_MASTER);
        out(0x60, 1);
        assertTrue(pc.asked("message fee01000 4041"));
        assertFalse(pc.irq(IRQ));
    }

    private void copy(long source, long destination, long count, long command) {
        out(0x80, source);
        pc.core().memory().write(EDU + 0x88, 8, destination);
        out(0x90, count);
        out(0x98, command);
        pc.advance(100 * Bench.MS);
    }

    @Test
    void eduCopiesBothWays() {
        pc.configure(5, 0, 4, 2, 2 | BUS_MASTER);
        pc.core().memory().write(0x1000, 8, 0x1122334455667788L);
        copy(0x1000, 0x40010, 8, 1);
        assertEquals(0, in(0x98));
        copy(0x40010, 0x12000, 4, 1 | 2 | 4);
        assertEquals(0x55667788, pc.core().memory().read(0x2000, 8), "the mask cuts the address");
        assertEquals(0x100, in(0x24));
        copy(0x40ffe, 0x3000, 4, 1 | 2);
        copy(0x40000, 0x3000, 0xffff_ffffL, 1 | 2);
        copy(0x3fff0, 0x3000, 4, 1 | 2);
        assertEquals(0, pc.peek(0x3000), "a copy stays within the buffer");
    }

    private String header(int test, boolean memory) {
        if (memory) {
            pc.core().memory().write(TESTDEV, 1, test);
        } else {
            pc.out(PORTS, test);
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 48; i++) {
            long b = memory ? pc.core().memory().read(TESTDEV + i, 1) : pc.in(PORTS + i);
            text.append(i < 16 ? "%02x".formatted(b) : b == 0 ? "" : "" + (char) b);
        }
        return text.toString();
    }

    @Test
    void testdevCounts() {
        assertEquals(0x00051b36, pc.config(6, 0, 0));
        assertEquals(0x0000000c, pc.config(6, 0, 0x18));
        pc.configure(6, 0, 0x18, 4, -1);
        pc.configure(6, 0, 0x1c, 4, -1);
        assertEquals(0xfff0000c, pc.config(6, 0, 0x18));
        assertEquals(0xffffffff, pc.config(6, 0, 0x1c));
        assertEquals("0".repeat(32), header(3, true));
        assertEquals("0301000083000000fa00000000000000portio-no-eventfd", header(0, false));
        assertEquals("0501000085000000fa00000000000000portio-datamatch-eventfd", header(2, false));
        String[] names = {"mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd"};
        String[] starts = {
            "0001000000080000fa00000000000000",
            "0101000001080000ce00000000000000",
            "0201000002080000fa00000000000000"
        };
        int[] counts = {2, 0, 1};
        for (int test = 0; test < 3; test++) {
            assertEquals(starts[test] + names[test], header(test, true));
            pc.core().memory().write(TESTDEV + 2048 + test, 1, 0xfa);
            pc.core().memory().write(TESTDEV + 2048 + test, 1, 0xce);
            pc.core().memory().write(TESTDEV + 2048 + test, 4, 0xfa);
            assertEquals(counts[test], pc.peek(TESTDEV + 12), names[test]);
        }
    }
}
