package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import lockstep.runtime.loop.ClockType;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The board's sections against those that QEMU 7.2 wrote after SeaBIOS had looked for a boot disk. */
final class PcSectionsTest {
    private static final String RECORDED = "qemu-7.2-after-boot.sections";

    private record Section(String name, int instance, int version, byte[] payload) {}

    static MachineConfig config(long ramSize) {
        return new MachineConfig(
                "pc-i440fx-7.2",
                ramSize,
                1,
                null,
                null,
                List.of(),
                List.of(),
                List.of(),
                false,
                null,
                true,
                Set.of(),
                Map.of(),
                Map.of(),
                null,
                null,
                Map.of());
    }

    static PcMachine board(TestMachine core) throws Exception {
        try {
            PcMachine pc =
                    PcMachine.build(
                            core.core(),
                            core.vmm(),
                            config(core.core().ramSize()),
                            PcType.OPTIONS.usual());
            pc.reset();
            return pc;
        } catch (lockstep.runtime.spi.DeviceException e) {
            Assumptions.abort("firmware is not installed: " + e.getMessage());
            throw e;
        }
    }

    private static List<Section> recorded() throws IOException {
        List<Section> sections = new ArrayList<>();
        try (var in = PcSectionsTest.class.getResourceAsStream(RECORDED)) {
            assertNotNull(in);
            DataInputStream data = new DataInputStream(in);
            int length;
            while ((length = data.read()) >= 0) {
                String name = new String(data.readNBytes(length), StandardCharsets.US_ASCII);
                int instance = data.readInt();
                int version = data.readInt();
                sections.add(new Section(name, instance, version, data.readNBytes(data.readInt())));
            }
        }
        return sections;
    }

    private static byte[] save(StateSection section) throws Exception {
        StateOutput out = new StateOutput(1 << 16);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    @Test
    void whatQemuWroteComesOutAgain() throws Exception {
        TestMachine core = new TestMachine(128 << 20);
        // The recording's time, or the clock's alarm would lie too far ahead to be one.
        core.vmm().mainLoop().set(ClockType.HOST, 1_795_447_267_000_000_000L);
        board(core);
        List<Executable> checks = new ArrayList<>();
        for (Section s : recorded()) {
            // The disk of the recording is not plugged here, so IDE's drives differ.
            if (s.name.endsWith("/ide")) {
                continue;
            }
            // Without a serial port of its own the board has no such section.
            if (s.name.equals("serial") || s.name.equals("parallel_isa")) {
                continue;
            }
            checks.add(
                    () -> {
                        StateSection ours = core.state().find(s.name, s.instance);
                        assertNotNull(ours, s.name);
                        new LoadingCodec(new StateInput(new ByteArrayInputStream(s.payload)))
                                .content(ours, s.version);
                        assertEquals(
                                HexFormat.of().formatHex(s.payload),
                                HexFormat.of().formatHex(save(ours)),
                                s.name);
                    });
        }
        assertAll(checks);
    }
}
