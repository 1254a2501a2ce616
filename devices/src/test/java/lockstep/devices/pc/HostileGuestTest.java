package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.fail;

import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.util.Random;

/** No guest access and no stream may throw anything but a refusal out of a device. */
final class HostileGuestTest {
    private static final int[] PORTS = {
        0x00, 0x08, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x81, 0x87, 0x8b, 0x92, 0xb2, 0xb3, 0xc0,
        0xd0, 0xf0, 0x170, 0x1ce, 0x1cf, 0x1f0, 0x376, 0x3b4, 0x3c0, 0x3ce, 0x3d4, 0x3f1, 0x3f2,
        0x3f4, 0x3f5, 0x3f7, 0x510, 0x511, 0x514, 0x518, 0xcf8, 0xcf9, 0xcfc, 0xae00, 0xae10,
        0xaf00, 0xafe0, 0xb100, 0x600, 0x604, 0x608
    };

    @RepeatedTest(4)
    void randomAccesses(RepetitionInfo repetition) throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcMachine pc = PcSectionsTest.board(core);
        Random random = new Random(repetition.getCurrentRepetition());
        for (int i = 0; i < 60_000; i++) {
            int size = 1 << random.nextInt(3);
            int port = PORTS[random.nextInt(PORTS.length)] + random.nextInt(8);
            long value = random.nextBoolean() ? random.nextInt(256) : random.nextInt();
            int what = random.nextInt(16);
            String step =
                    "step %d: %d at 0x%x size %d value 0x%x".formatted(i, what, port, size, value);
            assertDoesNotThrow(
                    () -> {
                        switch (what) {
                            case 0, 1, 2, 3, 4 -> core.ports().read(port, size);
                            case 5, 6, 7, 8, 9, 10 -> core.ports().write(port, size, value);
                            case 11 -> {
                                int function = random.nextInt(3) << 3 | random.nextInt(4);
                                int register = random.nextInt(64) << 2;
                                core.ports().write(0xcf8, 4, 1L << 31 | function << 8 | register);
                                core.ports().write(0xcfc + random.nextInt(4), size, value);
                            }
                            case 12 ->
                                    core.memory()
                                            .write(
                                                    0xfed00000L + random.nextInt(0x400),
                                                    size,
                                                    value);
                            case 13 ->
                                    core.memory().read(0xfed00000L + random.nextInt(0x400), size);
                            case 14 ->
                                    core.memory()
                                            .write(0xa0000 + random.nextInt(0x60000), size, value);
                            default -> core.advance(random.nextInt(3_000_000));
                        }
                    },
                    step);
            if (i % 10_000 == 9_999) {
                pc.reset();
            }
        }
    }

    @Test
    void randomStreams() throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcSectionsTest.board(core);
        Random random = new Random(1);
        for (StateSection section : core.state().sections()) {
            if (section.name().endsWith("/ide") || section.name().endsWith("/vga")) {
                continue;
            }
            StateOutput out = new StateOutput(1 << 12);
            new SavingCodec(out, Description.none()).inPlace(section);
            byte[] good = out.toByteArray();
            for (int i = 0; i < 300; i++) {
                byte[] bad = good.clone();
                for (int n = random.nextInt(8); n >= 0 && bad.length > 0; n--) {
                    bad[random.nextInt(bad.length)] = (byte) random.nextInt();
                }
                try {
                    new LoadingCodec(new StateInput(new ByteArrayInputStream(bad)))
                            .content(section, section.version());
                    core.advance(1_000_000);
                    touchEverything(core);
                } catch (StateException e) {
                    // Refused, as it should be.
                    continue;
                } catch (RuntimeException e) {
                    fail(section.name() + " attempt " + i, e);
                }
            }
            core.reset();
        }
    }

    private static void touchEverything(TestMachine core) {
        for (int port : PORTS) {
            core.ports().read(port, 1);
        }
        for (int port : new int[] {0x60, 0x64, 0x3f5, 0x70, 0x92, 0x00, 0x08, 0xafe0}) {
            core.ports().write(port, 1, 0x20);
        }
    }
}
