package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * A section that is refused, at whatever byte, leaves its device as it was: every section of a full board is cut short
 * and damaged.
 */
final class RefusedSectionsTest {
    private static final int CUTS = Integer.getInteger("lockstep.cuts", 40);

    /** Ports of chips whose state a guest changes by writing anything. */
    private static final int[] PORTS = {
        0x00, 0x08, 0x0b, 0x0c, 0x61, 0x70, 0x71, 0x81, 0xb2, 0xb3, 0x170, 0x172, 0x176, 0x1f2,
        0x1f3, 0x378, 0x37a, 0x3c0, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3f2, 0x3f5, 0x3f8,
        0x3f9, 0x3fb, 0x510, 0xafe0, 0xafe2, 0xae10, 0xcf8
    };

    private final Random random = new Random(7);

    /** A board with every kind of device, on which a guest has been active. */
    private TestMachine board(int stirred) throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcSectionsTest.board(core);
        DeviceManager devices = FullBoard.devices(core);
        core.vmm().paper("c0");
        core.vmm().paper("c1");
        for (Map<String, String> device :
                List.of(
                        Map.of("driver", "isa-serial", "chardev", "c0"),
                        Map.of("driver", "isa-parallel", "chardev", "c1"),
                        Map.of("driver", "e1000", "romfile", ""),
                        Map.of("driver", "piix3-usb-uhci"),
                        Map.of("driver", "usb-tablet"),
                        Map.of("driver", "usb-kbd"))) {
            devices.create(device);
        }
        for (int i = 0; i < stirred; i++) {
            int port = PORTS[random.nextInt(PORTS.length)];
            core.ports().write(port, 1, random.nextInt(256));
            for (int slot = 1; slot < 5; slot++) {
                core.ports().write(0xcf8, 4, 1L << 31 | slot << 11 | 4 * random.nextInt(64));
                core.ports().write(0xcfc, 4, random.nextInt() & 0xffff_ffffL);
            }
        }
        return core;
    }

    private static byte[] save(StateSection section) throws StateException {
        StateOutput out = new StateOutput(1 << 12);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    private static void load(StateSection section, byte[] content) throws StateException {
        new LoadingCodec(new StateInput(new ByteArrayInputStream(content)))
                .content(section, section.version());
    }

    @Test
    void itLeavesTheDeviceAsItWas() throws Exception {
        TestMachine from = board(400);
        TestMachine to = board(100);
        Map<String, Integer> refused = new HashMap<>();
        for (StateSection section : to.state().sections()) {
            byte[] content =
                    save(
                            Objects.requireNonNull(
                                    from.state().find(section.name(), section.instance())));
            for (int i = 0; i < 2 * CUTS; i++) {
                int at = content.length <= CUTS ? i / 2 : random.nextInt(content.length);
                if (at >= content.length) {
                    break;
                }
                byte[] bad = i % 2 == 0 ? Arrays.copyOf(content, at) : content.clone();
                if (i % 2 != 0) {
                    bad[at] = (byte) (random.nextBoolean() ? 0xff : random.nextInt());
                }
                if (refuses(to, section, bad)) {
                    refused.merge(section.name(), 1, Integer::sum);
                }
            }
        }
        for (StateSection section : to.state().sections()) {
            if (save(section).length > 0) {
                assertTrue(refused.getOrDefault(section.name(), 0) > 0, section.name());
            }
        }
    }

    private static boolean refuses(TestMachine core, StateSection section, byte[] bad)
            throws Exception {
        byte[] before = save(section);
        boolean[] wires = core.wires();
        String mapped = core.mapped();
        // Not the alarms: a card that was loaded looks once, whatever was loaded.
        Map<String, Integer> taken = new HashMap<>(core.taken());
        taken.remove("alarms");
        try {
            load(section, bad);
        } catch (StateException e) {
            String name = section.name();
            assertArrayEquals(before, save(section), name);
            assertArrayEquals(wires, core.wires(), name + ": wires");
            assertEquals(mapped, core.mapped(), name);
            assertTrue(core.taken().entrySet().containsAll(taken.entrySet()), name);
            return true;
        }
        load(section, before);
        return false;
    }
}
