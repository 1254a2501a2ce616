package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.MachineConfig;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** SeaBIOS, which nobody here wrote, on the whole board. */
@Tag("kvm")
final class FirmwareBootTest {
    @Test
    void seabiosLooksForABootDevice() throws Exception {
        Assumptions.assumeTrue(Files.isWritable(Path.of("/dev/kvm")), "/dev/kvm is not usable");
        Assumptions.assumeTrue(
                Files.exists(Path.of("/usr/share/seabios/bios-256k.bin")),
                "SeaBIOS is not installed");
        LiveVmm.Line serial = new LiveVmm.Line("No bootable device");
        MachineConfig config =
                new MachineConfig(
                        "pc-i440fx-10.2",
                        128 << 20,
                        1,
                        null,
                        null,
                        List.of(),
                        List.of(serial),
                        List.of(),
                        false,
                        null,
                        true,
                        Set.of(),
                        Map.of("reboot-timeout", "-1"),
                        Map.of(),
                        null,
                        null,
                        Map.of());
        try (LiveVmm live = new LiveVmm()) {
            live.lock.acquire();
            try {
                live.useKvm();
                Machine machine =
                        new PcType(PcVersion.all().getFirst())
                                .create(config, PcType.OPTIONS.usual(), live.vmm);
                live.machine = machine;
                machine.reset();
                live.run.start();
            } finally {
                live.lock.release();
            }
            assertTrue(serial.await(60), () -> serial.text() + live.messages);
        }
    }
}
