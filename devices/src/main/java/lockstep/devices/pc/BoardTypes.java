package lockstep.devices.pc;

import lockstep.api.ApicOptions;
import lockstep.api.IoapicOptions;
import lockstep.api.IsaPitOptions;
import lockstep.api.KvmclockOptions;
import lockstep.api.LostTickPolicy;
import lockstep.api.NoDeviceOptions;
import lockstep.api.PicOptions;
import lockstep.api.PitOptions;
import lockstep.api.VersionedIoapicOptions;
import lockstep.api.VmportOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.dma.DmaController;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.flash.Flash;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.i440fx.HostBridge;
import lockstep.devices.i440fx.PciHost;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.pcspk.Speaker;
import lockstep.devices.piix3.IsaBridge;
import lockstep.devices.piix4.PowerManagement;
import lockstep.devices.port92.Port92;
import lockstep.devices.ps2.Controller;
import lockstep.devices.rtc.Rtc;
import lockstep.devices.smbus.SpdEeprom;
import lockstep.devices.vmport.VmMouse;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/** The types of the parts that users can look at and cannot add; here those that the accelerator brings, or nobody. */
final class BoardTypes {
    /** A part that is not a device of ours, and is shown because guests find it. */
    private static final Device SHOWN = new Device() {};

    private static final DeviceType.Home SYSTEM =
            new DeviceType.Home("System", false, m -> "sysbus");
    private static final DeviceType.Home ICC = new DeviceType.Home("ICC", false, m -> null);

    /** The types of the chips that an accelerator brings. */
    record Chips(
            DeviceType<PicOptions> pic,
            DeviceType<?> timer,
            DeviceType<?> ioapic,
            DeviceType<ApicOptions> localApic,
            @Nullable DeviceType<KvmclockOptions> clock) {
        List<DeviceType<?>> all() {
            List<DeviceType<?>> all = new ArrayList<>(List.of(pic, timer, ioapic, localApic));
            if (clock != null) {
                all.add(clock);
            }
            return all;
        }
    }

    /** Chips by name: a machine may have some of one accelerator's and some of another's. */
    private static final Map<String, DeviceType<?>> MADE = new ConcurrentHashMap<>();

    /** Those with such names. */
    static Chips chips(ChipNames n) {
        ChipNames ours = ChipNames.SOFTWARE;
        String clock = n.clock();
        return new Chips(
                once(n.pic(), BoardTypes::pic),
                n.timer().equals(ours.timer())
                        ? once(n.timer(), BoardTypes::isaTimer)
                        : once(n.timer(), BoardTypes::timer),
                n.ioapic().equals(ours.ioapic())
                        ? once(n.ioapic(), BoardTypes::versionedIoapic)
                        : once(n.ioapic(), BoardTypes::ioapic),
                once(n.localApic(), BoardTypes::localApic),
                clock == null ? null : once(clock, BoardTypes::clock));
    }

    @SuppressWarnings("unchecked") // a name is always of the same chip
    private static <O extends Record> DeviceType<O> once(
            String name, Function<String, DeviceType<O>> maker) {
        return (DeviceType<O>) MADE.computeIfAbsent(name, maker);
    }

    private static DeviceType<IsaPitOptions> isaTimer(String name) {
        return DeviceType.of(
                        name,
                        IsaPitOptions::read,
                        IsaPitOptions::write,
                        IsaPitOptions.builder().iobase(0xffff_ffffL).build(),
                        IsaBus.HOME,
                        (request, scope) -> {
                            scope.section(PcBoard.of(scope).core().intervalTimer());
                            return SHOWN;
                        })
                .builtIn();
    }

    private static DeviceType<VersionedIoapicOptions> versionedIoapic(String name) {
        return shown(
                name,
                SYSTEM,
                VersionedIoapicOptions::read,
                VersionedIoapicOptions::write,
                VersionedIoapicOptions.builder().version(32).build());
    }

    /** The first of the two has the sections of both, and of the IOAPIC. */
    private static DeviceType<PicOptions> pic(String name) {
        return DeviceType.of(
                        name,
                        PicOptions::read,
                        PicOptions::write,
                        PicOptions.builder()
                                .elcrAddr(0xffff_ffffL)
                                .elcrMask(255)
                                .iobase(0xffff_ffffL)
                                .master(false)
                                .build(),
                        IsaBus.HOME,
                        (request, scope) -> {
                            if (Boolean.TRUE.equals(request.options().master())) {
                                PcBoard.of(scope)
                                        .core()
                                        .interruptSections()
                                        .forEach(scope::section);
                            }
                            return SHOWN;
                        })
                .builtIn();
    }

    private static DeviceType<PitOptions> timer(String name) {
        return DeviceType.of(
                        name,
                        PitOptions::read,
                        PitOptions::write,
                        PitOptions.builder()
                                .iobase(0xffff_ffffL)
                                .lostTickPolicy(LostTickPolicy.DELAY)
                                .build(),
                        IsaBus.HOME,
                        (request, scope) -> {
                            scope.section(PcBoard.of(scope).core().intervalTimer());
                            return SHOWN;
                        })
                .builtIn();
    }

    private static DeviceType<IoapicOptions> ioapic(String name) {
        return shown(
                name,
                SYSTEM,
                IoapicOptions::read,
                IoapicOptions::write,
                IoapicOptions.builder().gsiBase(0L).build());
    }

    private static DeviceType<ApicOptions> localApic(String name) {
        return shown(
                name,
                ICC,
                ApicOptions::read,
                ApicOptions::write,
                ApicOptions.builder().vapic(true).version(20).build());
    }

    static final DeviceType<VmportOptions> VMPORT =
            shown(
                    "vmport",
                    IsaBus.HOME,
                    VmportOptions::read,
                    VmportOptions::write,
                    VmportOptions.builder()
                            .vmwareVmxType(2)
                            .vmwareVmxVersion(6L)
                            .xCmdsV2(true)
                            .xReadSetEax(true)
                            .xReportVmxType(true)
                            .xSignalUnsupportedCmd(true)
                            .build());

    private static DeviceType<KvmclockOptions> clock(String name) {
        return shown(
                name,
                SYSTEM,
                KvmclockOptions::read,
                KvmclockOptions::write,
                KvmclockOptions.builder().xMachUseReliableGetClock(true).build());
    }

    static final DeviceType<NoDeviceOptions> KVMVAPIC =
            shown(
                    "kvmvapic",
                    SYSTEM,
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions());

    /** All of them but for {@link #chips}. */
    static final List<DeviceType<?>> ALL =
            List.of(
                    FloppyController.TYPE,
                    PowerManagement.TYPE,
                    PciHost.TYPE,
                    Rtc.TYPE,
                    Hpet.TYPE,
                    DmaController.TYPE,
                    Controller.TYPE,
                    Speaker.TYPE,
                    VMPORT,
                    FwCfg.TYPE,
                    Flash.TYPE,
                    SpdEeprom.TYPE,
                    VmMouse.TYPE,
                    Port92.TYPE,
                    KVMVAPIC,
                    HostBridge.TYPE,
                    IsaBridge.TYPE,
                    Piix3Ide.TYPE);

    private BoardTypes() {}

    private static <O extends Record> DeviceType<O> shown(
            String name,
            DeviceType.Home home,
            ValueReader<O> reader,
            ValueWriter<O> writer,
            O usual) {
        return DeviceType.of(name, reader, writer, usual, home, (r, s) -> SHOWN).builtIn();
    }
}
