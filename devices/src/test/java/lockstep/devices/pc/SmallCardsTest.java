package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.testmachine.TestMachine;

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

    @AutoClose private final TestMachine core = new TestMachine(16 << 20);

    @BeforeEach
    void plug() throws Exception {
        PcSectionsTest.board(core);
        DeviceManager devices = FullBoard.devices(core);
        devices.plug(Map.of("driver", "edu", "addr", "5", "dma_mask", "0xffff"));
        devices.plug(Map.of("driver", "pci-testdev", "addr", "6", "membar", "1M"));
        assertThrows(
                DeviceException.class,
                () -> devices.plug(Map.of("driver", "pci-testdev", "membar", "3000")));
        for (int wire = 0; wire < 4; wire++) {
            configure(1, 0x60 + wire, 1, IRQ);
        }
        configure(5, 0x10, 4, (int) EDU);
        configure(5, 4, 2, 2);
        configure(6, 0x10, 4, (int) TESTDEV);
        configure(6, 0x14, 4, PORTS);
        configure(6, 4, 2, 3);
    }

    private void configure(int slot, int register, int size, int value) {
        core.ports().write(0xcf8, 4, 1L << 31 | slot << 11 | register & 0xfc);
        core.ports().write(0xcfc + (register & 3), size, value & 0xffff_ffffL);
    }

    private int config(int slot, int register) {
        core.ports().write(0xcf8, 4, 1L << 31 | slot << 11 | register);
        return (int) core.ports().read(0xcfc, 4);
    }

    private long in(int register) {
        return core.memory().read(EDU + register, 4) & 0xffff_ffffL;
    }

    private void out(int register, long value) {
        core.memory().write(EDU + register, 4, value);
    }

    @Test
    void eduIsThere() {
        assertEquals(0x11e81234, config(5, 0));
        assertEquals(0x00ff0010, config(5, 8));
        assertEquals(0x010000ed, in(0));
        assertEquals(0, core.memory().read(EDU, 2));
        assertEquals(-1, core.memory().read(EDU, 8));
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
        core.advance(1);
        assertEquals(120, in(8));
        assertTrue(core.wire(IRQ));
        assertEquals(1, in(0x24));
        out(0x64, 1);
        assertFalse(core.wire(IRQ));
        out(8, 0xffff_ffffL);
        core.advance(1);
        assertEquals(0, in(8));
    }

    @Test
    void eduRaisesWhatItIsTold() {
        out(0x60, 6);
        assertEquals(0x18, config(5, 4) >>> 16 & 0xff, "capabilities, and the pin is up");
        out(0x64, 2);
        assertEquals(4, in(0x24));
        assertTrue(core.wire(IRQ));
        out(0x64, 4);
        assertFalse(core.wire(IRQ));
    }

    @Test
    void eduSendsMessages() {
        assertEquals(0x00800005, config(5, 0x40));
        for (int at = 0x40; at < 0x50; at += 4) {
            configure(5, at, 4, -1);
        }
        assertEquals(0x00f10005, config(5, 0x40));
        assertEquals(0xfffffffc, config(5, 0x44));
        assertEquals(0xffffffff, config(5, 0x48));
        assertEquals(0xffffffff, config(5, 0x4c));
        configure(5, 0x44, 4, 0xfee01000);
        configure(5, 0x48, 4, 0);
        configure(5, 0x4c, 4, 0x4041);
        out(0x60, 1);
        assertFalse(core.journal().contains("message fee01000 4041"), "no bus master");
        configure(5, 4, 2, 2 | BUS_MASTER);
        out(0x60, 1);
        assertTrue(core.journal().contains("message fee01000 4041"));
        assertFalse(core.wire(IRQ));
    }

    private void copy(long source, long destination, long count, long command) {
        out(0x80, source);
        core.memory().write(EDU + 0x88, 8, destination);
        out(0x90, count);
        out(0x98, command);
        core.advance(100 * Bench.MS);
    }

    @Test
    void eduCopiesBothWays() {
        configure(5, 4, 2, 2 | BUS_MASTER);
        core.memory().write(0x1000, 8, 0x1122334455667788L);
        copy(0x1000, 0x40010, 8, 1);
        assertEquals(0, in(0x98));
        copy(0x40010, 0x12000, 4, 1 | 2 | 4);
        assertEquals(0x55667788, core.memory().read(0x2000, 8), "the mask cuts the address");
        assertEquals(0x100, in(0x24));
        copy(0x40ffe, 0x3000, 4, 1 | 2);
        copy(0x40000, 0x3000, 0xffff_ffffL, 1 | 2);
        copy(0x3fff0, 0x3000, 4, 1 | 2);
        assertEquals(0, core.memory().read(0x3000, 4), "a copy stays within the buffer");
    }

    private String header(int test, boolean memory) {
        if (memory) {
            core.memory().write(TESTDEV, 1, test);
        } else {
            core.ports().write(PORTS, 1, test);
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 48; i++) {
            long b = memory ? core.memory().read(TESTDEV + i, 1) : core.ports().read(PORTS + i, 1);
            text.append(i < 16 ? "%02x".formatted(b) : b == 0 ? "" : "" + (char) b);
        }
        return text.toString();
    }

    @Test
    void testdevCounts() {
        assertEquals(0x00051b36, config(6, 0));
        assertEquals(0x0000000c, config(6, 0x18));
        configure(6, 0x18, 4, -1);
        configure(6, 0x1c, 4, -1);
        assertEquals(0xfff0000c, config(6, 0x18));
        assertEquals(0xffffffff, config(6, 0x1c));
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
            core.memory().write(TESTDEV + 2048 + test, 1, 0xfa);
            core.memory().write(TESTDEV + 2048 + test, 1, 0xce);
            core.memory().write(TESTDEV + 2048 + test, 4, 0xfa);
            assertEquals(counts[test], core.memory().read(TESTDEV + 12, 4), names[test]);
        }
    }
}
