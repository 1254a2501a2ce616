package lockstep.devices.pc;

import lockstep.api.ApicOptions;
import lockstep.api.FdcDriveType;
import lockstep.api.FloppyOptions;
import lockstep.api.FwCfgIoOptions;
import lockstep.api.HpetOptions;
import lockstep.api.I440fxHostOptions;
import lockstep.api.I8042Options;
import lockstep.api.I8257Options;
import lockstep.api.IoapicOptions;
import lockstep.api.IsaFdcOptions;
import lockstep.api.KvmclockOptions;
import lockstep.api.LostTickPolicy;
import lockstep.api.Mc146818rtcOptions;
import lockstep.api.NoDeviceOptions;
import lockstep.api.OnOffAuto;
import lockstep.api.PciDeviceOptions;
import lockstep.api.PciDeviceOptionsMembers;
import lockstep.api.PcspkOptions;
import lockstep.api.PicOptions;
import lockstep.api.Piix4PmOptions;
import lockstep.api.PitOptions;
import lockstep.api.SmbusEepromOptions;
import lockstep.api.VmportOptions;
import lockstep.devices.pci.PciDevice;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceType;

import java.util.List;

/** The types of the parts that every PC has, which users can look at and cannot add. */
final class BoardTypes {
    static final DeviceType<IsaFdcOptions> ISA_FDC =
            part(
                    "isa-fdc",
                    "ISA",
                    IsaFdcOptions::read,
                    IsaFdcOptions::write,
                    IsaFdcOptions.builder()
                            .dma(2L)
                            .fallback(FdcDriveType._288)
                            .fdtypeA(FdcDriveType.AUTO)
                            .fdtypeB(FdcDriveType.AUTO)
                            .iobase(1008L)
                            .irq(6L)
                            .build());

    static final DeviceType<Piix4PmOptions> PIIX4_PM =
            function(
                    "PIIX4_PM",
                    Piix4PmOptions::read,
                    Piix4PmOptions::write,
                    Piix4PmOptions.builder()
                            .acpiPciHotplugWithBridgeSupport(true)
                            .acpiRootPciHotplug(true)
                            .disableS3(0)
                            .disableS4(0)
                            .memoryHotplugSupport(true)
                            .s4Val(2)
                            .smbIoBase(0L)
                            .smmCompat(false)
                            .smmEnabled(false)
                            .xNotMigrateAcpiIndex(false)
                            .build());

    static final DeviceType<I440fxHostOptions> I440FX_HOST =
            part(
                    "i440FX-pcihost",
                    "System",
                    I440fxHostOptions::read,
                    I440fxHostOptions::write,
                    I440fxHostOptions.builder()
                            .bypassIommu(false)
                            .pciHole64Size(2147483648L)
                            .shortRootBus(0L)
                            .xConfigRegMigrationEnabled(true)
                            .xPciHole64Fix(true)
                            .build());

    static final DeviceType<Mc146818rtcOptions> MC146818RTC =
            part(
                    "mc146818rtc",
                    "ISA",
                    Mc146818rtcOptions::read,
                    Mc146818rtcOptions::write,
                    Mc146818rtcOptions.builder()
                            .baseYear(1980)
                            .iobase(112)
                            .irq(8)
                            .lostTickPolicy(LostTickPolicy.DISCARD)
                            .build());

    static final DeviceType<PicOptions> PIC =
            part(
                    "kvm-i8259",
                    "ISA",
                    PicOptions::read,
                    PicOptions::write,
                    PicOptions.builder()
                            .elcrAddr(0xffff_ffffL)
                            .elcrMask(255)
                            .iobase(0xffff_ffffL)
                            .master(false)
                            .build());

    static final DeviceType<PitOptions> PIT =
            part(
                    "kvm-pit",
                    "ISA",
                    PitOptions::read,
                    PitOptions::write,
                    PitOptions.builder()
                            .iobase(0xffff_ffffL)
                            .lostTickPolicy(LostTickPolicy.DELAY)
                            .build());

    static final DeviceType<IoapicOptions> IOAPIC =
            part(
                    "kvm-ioapic",
                    "System",
                    IoapicOptions::read,
                    IoapicOptions::write,
                    IoapicOptions.builder().gsiBase(0L).build());

    static final DeviceType<ApicOptions> APIC =
            part(
                    "kvm-apic",
                    "ICC",
                    ApicOptions::read,
                    ApicOptions::write,
                    ApicOptions.builder().vapic(true).version(20).build());

    static final DeviceType<HpetOptions> HPET =
            part(
                    "hpet",
                    "System",
                    HpetOptions::read,
                    HpetOptions::write,
                    HpetOptions.builder()
                            .hpetIntcap(0L)
                            .hpetOffsetSaved(true)
                            .msi(false)
                            .timers(3)
                            .build());

    static final DeviceType<I8257Options> I8257 =
            part(
                    "i8257",
                    "ISA",
                    I8257Options::read,
                    I8257Options::write,
                    I8257Options.builder().base(0).dshift(0).pageBase(128).pagehBase(1152).build());

    static final DeviceType<I8042Options> I8042 =
            part(
                    "i8042",
                    "ISA",
                    I8042Options::read,
                    I8042Options::write,
                    I8042Options.builder()
                            .extendedState(true)
                            .kbdIrq(1)
                            .kbdThrottle(false)
                            .mouseIrq(12)
                            .build());

    static final DeviceType<PcspkOptions> PCSPK =
            part(
                    "isa-pcspk",
                    "ISA",
                    PcspkOptions::read,
                    PcspkOptions::write,
                    PcspkOptions.builder().iobase(97L).migrate(true).build());

    static final DeviceType<VmportOptions> VMPORT =
            part(
                    "vmport",
                    "ISA",
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

    static final DeviceType<FwCfgIoOptions> FW_CFG_IO =
            part(
                    "fw_cfg_io",
                    "System",
                    FwCfgIoOptions::read,
                    FwCfgIoOptions::write,
                    FwCfgIoOptions.builder()
                            .acpiMrRestore(true)
                            .dmaEnabled(true)
                            .xFileSlots(32)
                            .build());

    static final DeviceType<KvmclockOptions> KVMCLOCK =
            part(
                    "kvmclock",
                    "System",
                    KvmclockOptions::read,
                    KvmclockOptions::write,
                    KvmclockOptions.builder().xMachUseReliableGetClock(true).build());

    static final DeviceType<SmbusEepromOptions> SMBUS_EEPROM =
            part(
                    "smbus-eeprom",
                    "i2c-bus",
                    SmbusEepromOptions::read,
                    SmbusEepromOptions::write,
                    SmbusEepromOptions.builder().address(0).build());

    static final DeviceType<NoDeviceOptions> VMMOUSE =
            part(
                    "vmmouse",
                    "ISA",
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions());

    static final DeviceType<NoDeviceOptions> PORT92 =
            part(
                    "port92",
                    "ISA",
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions());

    static final DeviceType<NoDeviceOptions> KVMVAPIC =
            part(
                    "kvmvapic",
                    "System",
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions());

    static final DeviceType<PciDeviceOptions> I440FX =
            function(
                    "i440FX",
                    PciDeviceOptions::read,
                    PciDeviceOptions::write,
                    PciDeviceOptions.builder().build());

    static final DeviceType<PciDeviceOptions> PIIX3 =
            function(
                    "PIIX3",
                    PciDeviceOptions::read,
                    PciDeviceOptions::write,
                    PciDeviceOptions.builder().build());

    static final DeviceType<PciDeviceOptions> PIIX3_IDE =
            function(
                    "piix3-ide",
                    PciDeviceOptions::read,
                    PciDeviceOptions::write,
                    PciDeviceOptions.builder().build());

    static final DeviceType<FloppyOptions> FLOPPY =
            part(
                    "floppy",
                    "floppy-bus",
                    FloppyOptions::read,
                    FloppyOptions::write,
                    FloppyOptions.builder()
                            .backendDefaults(OnOffAuto.AUTO)
                            .logicalBlockSize(0L)
                            .physicalBlockSize(0L)
                            .minIoSize(0L)
                            .optIoSize(0L)
                            .discardGranularity(0xffff_ffffL)
                            .writeCache(OnOffAuto.AUTO)
                            .shareRw(false)
                            .accountInvalid(OnOffAuto.AUTO)
                            .accountFailed(OnOffAuto.AUTO)
                            .unit(0xffff_ffffL)
                            .driveType(FdcDriveType.AUTO)
                            .build());

    /** All of them. */
    static final List<DeviceType<?>> ALL =
            List.of(
                    ISA_FDC,
                    PIIX4_PM,
                    I440FX_HOST,
                    MC146818RTC,
                    PIC,
                    PIT,
                    IOAPIC,
                    APIC,
                    HPET,
                    I8257,
                    I8042,
                    PCSPK,
                    VMPORT,
                    FW_CFG_IO,
                    KVMCLOCK,
                    SMBUS_EEPROM,
                    VMMOUSE,
                    PORT92,
                    KVMVAPIC,
                    I440FX,
                    PIIX3,
                    PIIX3_IDE,
                    FLOPPY);

    private BoardTypes() {}

    private static <O extends Record> DeviceType<O> part(
            String name, String bus, ValueReader<O> reader, ValueWriter<O> writer, O usual) {
        DeviceType.Home home = new DeviceType.Home(bus, false, machine -> null);
        return DeviceType.of(name, reader, writer, usual, home, (r, s) -> builtIn(name))
                .plugged(DeviceType.Plugging.BUILT_IN);
    }

    private static <O extends Record & PciDeviceOptionsMembers> DeviceType<O> function(
            String name, ValueReader<O> reader, ValueWriter<O> writer, O usual) {
        return PciDevice.type(name, reader, writer, usual, (r, s) -> builtIn(name))
                .plugged(DeviceType.Plugging.BUILT_IN);
    }

    private static Device builtIn(String name) throws DeviceException {
        throw new DeviceException("Device '" + name + "' is a part of the board");
    }
}
