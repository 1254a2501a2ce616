package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.runtime.chardev.ChardevConfig;
import lockstep.runtime.chardev.ChardevHost;
import lockstep.runtime.chardev.ChardevTable;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.testmachine.Allocated;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.Map;

/** What software does often, through ports and memory of the board, takes nothing from the heap. */
final class RegisterAllocationTest {
    /** What is measured is 0; this allows for a stray object in a thousand accesses. */
    private static final double NOTHING = 0.1;

    private static final long NIC = 0xe000_0000L;
    private static final long HPET = 0xfed0_0000L;

    @AutoClose private final TestMachine core = new TestMachine(16 << 20);
    private final Map<String, Double> allocating = new LinkedHashMap<>();

    @BeforeEach
    void plug() throws Exception {
        PcSectionsTest.board(core);
        DeviceManager devices = FullBoard.devices(core);
        devices.plug(Map.of("driver", "e1000", "addr", "5", "romfile", ""));
        EventLoop loop = Fake.of(EventLoop.class, (call, args) -> null);
        ChardevTable chardevs =
                new ChardevTable(
                        Fake.of(
                                ChardevHost.class,
                                (call, args) -> call.equals("mainLoop") ? loop : null));
        chardevs.create("c0", new ChardevConfig.Null(), false, notice -> {});
        core.vmm().publish(Chardevs.class, chardevs);
        devices.create(Map.of("driver", "isa-serial", "chardev", "c0"));
        core.ports().write(0xcf8, 4, 0x8000_2810L);
        core.ports().write(0xcfc, 4, NIC);
        core.ports().write(0xcf8, 4, 0x8000_2804L);
        core.ports().write(0xcfc, 2, 7);
        core.ports().write(0x80, 1, 0); // Whatever follows finds the ranges made.
    }

    private void measure(String what, Runnable access) throws Exception {
        measure(what, NOTHING, access);
    }

    private void measure(String what, double bound, Runnable access) throws Exception {
        double bytes = Allocated.perCall(access);
        if (bytes >= bound) {
            allocating.put(what, bytes);
        }
    }

    private void in(String what, int port) throws Exception {
        measure(what, () -> core.ports().read(port, 1));
    }

    @Test
    void ports() throws Exception {
        in("serial: line status", 0x3fd);
        in("serial: interrupt identity", 0x3fa);
        measure("serial: scratch", () -> core.ports().write(0x3ff, 1, 0x5a));
        assertEquals(0x5a, core.ports().read(0x3ff, 1), "the port is there");
        measure("serial: data", () -> core.ports().write(0x3f8, 1, 'x'));
        in("keyboard: status", 0x64);
        in("disk: status", 0x1f7);
        in("floppy: main status", 0x3f4);
        in("display: input status", 0x3da);
        measure(
                "display: sequencer",
                () -> {
                    core.ports().write(0x3c4, 1, 2);
                    core.ports().read(0x3c5, 1);
                });
        // 88 bytes: the date, which is worked out anew for each read and which nobody reads often.
        measure(
                "clock: seconds",
                128,
                () -> {
                    core.ports().write(0x70, 1, 0);
                    core.ports().read(0x71, 1);
                });
        measure(
                "configuration space",
                () -> {
                    core.ports().write(0xcf8, 4, 0x8000_2800L);
                    core.ports().read(0xcfc, 4);
                });
        in("power management: timer", 0x608);
        in("nobody's port", 0x5555);
        assertEquals(Map.of(), allocating);
    }

    @Test
    void memory() throws Exception {
        assertEquals(0x80080783L, core.memory().read(NIC + 8, 4) & 0xffff_ffffL, "it is mapped");
        measure("NIC: status", () -> core.memory().read(NIC + 8, 4));
        measure("NIC: interrupt cause", () -> core.memory().read(NIC + 0xc0, 4));
        measure("NIC: interrupt mask", () -> core.memory().write(NIC + 0xd0, 4, 0));
        measure("NIC: receive tail", () -> core.memory().write(NIC + 0x2818, 4, 0));
        measure("NIC: transmit tail", () -> core.memory().write(NIC + 0x3818, 4, 0));
        measure("event timer: counter", () -> core.memory().read(HPET + 0xf0, 4));
        measure("RAM", () -> core.memory().write(0x1000, 4, core.memory().read(0x2000, 4)));
        measure("nobody's memory", () -> core.memory().read(0xf000_0000L, 4));
        assertEquals(Map.of(), allocating);
    }
}
