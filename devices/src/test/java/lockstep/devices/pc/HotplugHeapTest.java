package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.testmachine.LiveHeap;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A thousand devices that came and went are forgotten: neither the heap nor any table has grown by them. */
final class HotplugHeapTest {
    private static final int ROUNDS = 1000;

    /** Less than the smallest object that a round could leave in a list. */
    private static final double NOTHING = 12;

    private static final int EJECT = 0xae08;
    private static final int DOWN = 0xae04;

    @AutoClose private final TestMachine core = new TestMachine(16 << 20);
    private DeviceManager devices = new DeviceManager(core.vmm());

    @BeforeEach
    void powerOn() throws Exception {
        PcSectionsTest.board(core);
        devices = FullBoard.devices(core);
        devices.create(Map.of("driver", "piix3-usb-uhci", "id", "uh"));
        devices.create(Map.of("driver", "ide-cd", "id", "cd"));
    }

    private void round() {
        try {
            devices.plug(Map.of("driver", "e1000", "id", "n", "bootindex", "1", "romfile", ""));
            devices.plug(Map.of("driver", "usb-tablet", "id", "t"));
            devices.remove("t");
            devices.remove("n");
            core.ports().write(EJECT, 4, core.ports().read(DOWN, 4) & 0xffff_ffffL);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
        command("blockdev-add", "driver", "null-co", "node-name", "disc");
        command("blockdev-open-tray", "id", "cd");
        command("blockdev-insert-medium", "id", "cd", "node-name", "disc");
        command("blockdev-close-tray", "id", "cd");
        core.advance(Bench.S);
        command("blockdev-open-tray", "id", "cd");
        command("blockdev-remove-medium", "id", "cd");
        command("blockdev-del", "node-name", "disc");
        core.advance(6 * Bench.S);
        // What the test itself writes down.
        core.events().clear();
        core.journal().clear();
    }

    private void command(String name, String... members) {
        JsonObject arguments = new JsonObject();
        for (int i = 0; i < members.length; i += 2) {
            arguments.put(members[i], members[i + 1]);
        }
        JsonObject answer =
                FullBoard.command(
                        core, new JsonObject().put("execute", name).put("arguments", arguments));
        assertTrue(answer.get("return") != null, () -> name + ": " + answer);
    }

    @Test
    void nothingIsKept() {
        round();
        Map<String, Object> before = new HashMap<>(core.taken());
        double bytes = LiveHeap.growth(ROUNDS, NOTHING, this::round);
        System.out.printf(
                "live heap after %d rounds of hot plug: %+.1f bytes a round%n", ROUNDS, bytes);
        assertTrue(bytes < NOTHING, () -> "each round leaves " + bytes + " bytes");
        assertEquals(before, core.taken());
        assertEquals(2, devices.all().size());
    }

    /** The measure is one. */
    @Test
    void whatIsKeptIsSeen() {
        List<Object> kept = new ArrayList<>(10 * ROUNDS);
        assertTrue(LiveHeap.growth(ROUNDS, NOTHING, () -> kept.add(new Object())) >= NOTHING);
    }
}
