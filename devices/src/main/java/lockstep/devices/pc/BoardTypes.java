package lockstep.devices.pc;

import lockstep.api.ApicOptions;
import lockstep.api.IoapicOptions;
import lockstep.api.KvmclockOptions;
import lockstep.api.LostTickPolicy;
import lockstep.api.NoDeviceOptions;
import lockstep.api.PicOptions;
import lockstep.api.PitOptions;
import lockstep.api.VmportOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.dma.DmaController;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.fdc.FloppyDrive;
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
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceType;

import java.util.List;

/** The types of the parts that users can look at and cannot add; here those that the accelerator brings, or nobody. */
final class BoardTypes {
    /** A part that is not a device of ours, and is shown because guests find it. */
    private static final Device SHOWN = new Device() {};

    private static final DeviceType.Home SYSTEM =
            new DeviceType.Home("System", false, m -> "sysbus");
    private static final DeviceType.Home ICC = new DeviceType.Home("ICC", false, m -> null);

    /** The first of the two has the sections of both, and of the IOAPIC. */
    static final DeviceType<PicOptions> PIC =
            DeviceType.of(
                            "kvm-i8259",
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
                                    PcBoard.of(scope).core().registerInterruptControllers();
                                }
                                return SHOWN;
                            })
                    .builtIn();

    static final DeviceType<PitOptions> PIT =
            DeviceType.of(
                            "kvm-pit",
                            PitOptions::read,
                            PitOptions::write,
                            PitOptions.builder()
                                    .iobase(0xffff_ffffL)
                                    .lostTickPolicy(LostTickPolicy.DELAY)
                                    .build(),
                            IsaBus.HOME,
                            (request, scope) -> {
                                PcBoard.of(scope).core().registerIntervalTimer();
                                return SHOWN;
                            })
                    .builtIn();

    static final DeviceType<IoapicOptions> IOAPIC =
            shown(
                    "kvm-ioapic",
                    SYSTEM,
                    IoapicOptions::read,
                    IoapicOptions::write,
                    IoapicOptions.builder().gsiBase(0L).build());

    static final DeviceType<ApicOptions> APIC =
            shown(
                    "kvm-apic",
                    ICC,
                    ApicOptions::read,
                    ApicOptions::write,
                    ApicOptions.builder().vapic(true).version(20).build());

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

    static final DeviceType<KvmclockOptions> KVMCLOCK =
            shown(
                    "kvmclock",
                    SYSTEM,
                    KvmclockOptions::read,
                    KvmclockOptions::write,
                    KvmclockOptions.builder().xMachUseReliableGetClock(true).build());

    static final DeviceType<NoDeviceOptions> KVMVAPIC =
            shown(
                    "kvmvapic",
                    SYSTEM,
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions());

    /** All of them. */
    static final List<DeviceType<?>> ALL =
            List.of(
                    FloppyController.TYPE,
                    PowerManagement.TYPE,
                    PciHost.TYPE,
                    Rtc.TYPE,
                    PIC,
                    PIT,
                    IOAPIC,
                    APIC,
                    Hpet.TYPE,
                    DmaController.TYPE,
                    Controller.TYPE,
                    Speaker.TYPE,
                    VMPORT,
                    FwCfg.TYPE,
                    KVMCLOCK,
                    SpdEeprom.TYPE,
                    VmMouse.TYPE,
                    Port92.TYPE,
                    KVMVAPIC,
                    HostBridge.TYPE,
                    IsaBridge.TYPE,
                    Piix3Ide.TYPE,
                    FloppyDrive.TYPE);

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
