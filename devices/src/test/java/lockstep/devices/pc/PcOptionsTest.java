package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.OnOffAuto;
import lockstep.api.PcMachineOptions;
import lockstep.devices.board.Firmware;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.testmachine.TestMachine;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the command line changes about the board, and what it may not say. */
final class PcOptionsTest {
    @AutoClose private final TestMachine core = new TestMachine(16 << 20);

    @BeforeEach
    void firmware() {
        try {
            new Firmware(List.of()).load("bios-256k.bin");
            new Firmware(List.of()).load("vgabios-stdvga.bin");
        } catch (DeviceException e) {
            Assumptions.abort("firmware is not installed: " + e.getMessage());
        }
    }

    private static MachineConfig config(
            @Nullable String bios,
            @Nullable String vga,
            boolean defaults,
            Map<String, String> boot) {
        return new MachineConfig(
                "pc-i440fx-10.2",
                16 << 20,
                1,
                null,
                bios,
                List.of(),
                List.of(),
                List.of(),
                true,
                vga,
                defaults,
                Set.of(),
                boot,
                Map.of(),
                null,
                null,
                Map.of());
    }

    private PcMachine make(MachineConfig config) throws DeviceException {
        return PcMachine.build(core.core(), core.vmm(), config, PcType.OPTIONS.usual());
    }

    private @Nullable String refused(MachineConfig config) {
        return assertThrows(DeviceException.class, () -> make(config)).getMessage();
    }

    @Test
    void graphicsCanBeLeftOut() throws Exception {
        assertNull(make(config(null, "none", true, Map.of())).pci().function(2 << 3));
    }

    @Test
    void withoutDefaultsThereIsNoGraphicsUnlessAskedFor() throws Exception {
        assertNull(make(config(null, null, false, Map.of())).pci().function(2 << 3));
        TestMachine other = new TestMachine(16 << 20);
        PcMachine pc =
                PcMachine.build(
                        other.core(),
                        other.vmm(),
                        config(null, "std", false, Map.of()),
                        PcType.OPTIONS.usual());
        assertNotNull(pc.pci().function(2 << 3));
    }

    @Test
    void withoutVmportThereIsNoMouseAtItEither() throws Exception {
        PcMachineOptions without =
                PcType.OPTIONS.complete(PcMachineOptions.builder().vmport(OnOffAuto.OFF).build());
        PcMachine.build(core.core(), core.vmm(), config(null, null, true, Map.of()), without);
        assertNull(core.state().find("vmmouse", 0));
    }

    @Test
    void refusals() {
        assertEquals(
                "could not load PC BIOS 'no-such.bin'",
                refused(config("no-such.bin", null, true, Map.of())));
    }

    @Test
    void wrongBootDevicesAreRefusedAtTheStart() {
        assertEquals(
                "Invalid boot device for PC: 'x'",
                refused(config(null, null, true, Map.of("order", "x"))));
    }

    @Test
    void bootOnceHoldsUntilTheFirstReset() throws Exception {
        PcMachine pc = make(config(null, null, true, Map.of("order", "c", "once", "n")));
        pc.reset();
        core.ports().write(0x70, 1, 0x3d);
        assertEquals(0x04, core.ports().read(0x71, 1));
        pc.reset();
        core.ports().write(0x70, 1, 0x3d);
        assertEquals(0x02, core.ports().read(0x71, 1));
    }

    private static String refusedOption(PcMachineOptions given) {
        PcMachineOptions options = PcType.OPTIONS.complete(given);
        return String.valueOf(
                assertThrows(DeviceException.class, () -> PcType.checkOptions(options))
                        .getMessage());
    }

    /** None of them is taken and then forgotten. */
    @Test
    void whatTheBoardCannotBeToldIsRefused() throws Exception {
        PcType.checkOptions(PcType.OPTIONS.usual());
        List.of(
                        PcMachineOptions.builder().acpi(OnOffAuto.OFF).build(),
                        PcMachineOptions.builder().pit(OnOffAuto.OFF).build(),
                        PcMachineOptions.builder().smm(OnOffAuto.ON).build(),
                        PcMachineOptions.builder().i8042(false).build(),
                        PcMachineOptions.builder().maxRamBelow4g(1L << 30).build(),
                        PcMachineOptions.builder().xOemId("MINE").build())
                .forEach(
                        o ->
                                assertTrue(
                                        refusedOption(o).contains("is not supported like that"),
                                        refusedOption(o)));
    }
}
