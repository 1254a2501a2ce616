package lockstep.devices.piix4;

import static lockstep.runtime.memory.LittleEndian.get32;
import static lockstep.runtime.memory.LittleEndian.put16;
import static lockstep.runtime.memory.LittleEndian.put32;

import lockstep.api.Piix4PmOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.devices.smbus.SmbusController;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** Function 01.3. QEMU: vmstate "piix4_pm" v3. */
public final class PowerManagement extends PciFunction implements StateSection {
    /** The type. */
    public static final DeviceType<Piix4PmOptions> TYPE =
            PciDevice.type(
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
                                    .build(),
                            PowerManagement::create)
                    .builtIn(
                            "disable_s3",
                            "disable_s4",
                            "s4_val",
                            "memory-hotplug-support",
                            "x-not-migrate-acpi-index");

    /** ACPI's interrupt. */
    public static final int SCI = 9;

    /** Where GPE block 0 answers; PIIX4 would have it beside PM1a. */
    public static final int GPE_BASE = 0xafe0;

    /** Bytes of GPE block 0: two of status, two of enable. */
    public static final int GPE_LENGTH = 4;

    /** The ACPI PCI hot plug registers. */
    public static final int HOTPLUG_BASE = 0xae00;

    /** The processor hot plug registers. */
    public static final int CPU_HOTPLUG_BASE = 0xaf00;

    private static final int DEVICE = 0x7113;
    private static final int PM_BASE = 0x40;
    private static final int PM_ENABLE = 0x80;
    private static final int SMBUS_BASE = 0x90;
    private static final int SMBUS_ENABLE = 0xd2;

    /** The general purpose event of PCI hot plug. */
    private static final int GPE_HOTPLUG = 0x02;

    private final Piix4PmOptions options;
    private final int smbusBase;
    private final SmbusController smbus;
    private final PcBoard board;
    private final PmRegisters pm;
    private final CpuHotplug cpus;

    private AddressSpace.@Nullable Region pmRegion;
    private AddressSpace.@Nullable Region smbusRegion;
    private @Nullable Timer overflow;
    private @Nullable PciHotplug hotplug;

    private int gpeStatus;
    private int gpeEnable;
    private int apmControl;
    private int apmStatus;
    private int memorySelector;

    private PowerManagement(Piix4PmOptions options, PcBoard board) {
        super("piix4_pm", PciSpec.VENDOR_INTEL, DEVICE, 3, 0x0680);
        this.options = options;
        this.board = board;
        Machine machine = board.core();
        smbus = machine.service(SmbusController.class);
        smbusBase = Math.toIntExact(Objects.requireNonNullElse(options.smbIoBase(), 0L)) & 0xffc0;
        cpus = new CpuHotplug(board.config().cpus());
        pm =
                new PmRegisters(
                        () -> machine.clocks().virtual(),
                        new PmRegisters.Power() {
                            @Override
                            public void off() {
                                board.requestPowerOff();
                            }

                            @Override
                            public void sleep() {
                                board.requestSleep();
                            }

                            @Override
                            public void sleepToDisk() {
                                board.requestSleepToDisk();
                            }
                        },
                        Objects.requireNonNullElse(options.s4Val(), 2));
        put16(config, PciSpec.STATUS, PciSpec.STATUS_DEVSEL_MEDIUM | PciSpec.STATUS_FAST_BACK);
        interruptPin(1);
        config[SMBUS_ENABLE] = 0x09;
        put32(config, SMBUS_BASE, smbusBase | 1);
    }

    private static Device create(DeviceRequest<Piix4PmOptions> request, DeviceScope scope)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        PowerManagement function = new PowerManagement(request.options(), board);
        PciDevice.attach(board.pci(), function, request, scope);
        Device.Bus bus = new Device.Bus(SmbusController.BUS, SmbusController.BUS_TYPE);
        return new PciDevice(function, List.of(), List.of(bus));
    }

    /** Whether the guest is told of suspend to RAM. */
    public boolean offersS3() {
        return Objects.requireNonNullElse(options.disableS3(), 0) == 0;
    }

    /** Whether the guest wants its clock's alarm to wake it. */
    public boolean wakesByAlarm() {
        return pm.wakesByAlarm();
    }

    /** The guest was woken by a reset. */
    public void woken(Sleep.Reason reason) {
        pm.woken(reason);
        update();
    }

    /** The sleep type of suspend to disk, or -1 if the guest is not told of it. */
    public int sleepS4() {
        return Objects.requireNonNullElse(options.disableS4(), 0) == 0
                ? Objects.requireNonNullElse(options.s4Val(), 2)
                : -1;
    }

    /** Presses the power button: a guest with ACPI is asked to shut down. */
    public void powerButton() {
        pm.powerButton();
        update();
    }

    @Override
    protected void realize() {
        overflow = scope().timer(ClockType.VIRTUAL, this::update);
        AddressSpace.Region r = scope().ports("piix4-pm", 0, 64, pmPorts());
        r.enabled(false);
        pmRegion = r;
        AddressSpace.Region s = scope().ports("pm-smbus", smbusBase, 64, smbus);
        smbusRegion = s;
        scope().ports("apm-io", 0xb2, 2, apmPorts());
        scope().ports("acpi-gpe0", GPE_BASE, GPE_LENGTH, gpePorts());
        scope().ports("acpi-cpu-hotplug", CPU_HOTPLUG_BASE, CpuHotplug.LENGTH, cpus);
        PciHotplug h = new PciHotplug(bus(), this::hotplugEvent);
        hotplug = h;
        bus().slotEvents(h, scope());
        scope().section(SmbusController.busSection());
        scope().ports("acpi-pci-hotplug", HOTPLUG_BASE, PciHotplug.LENGTH, h);
    }

    private PciHotplug hotplug() {
        PciHotplug h = hotplug;
        if (h == null) {
            throw new IllegalStateException("the function is not on a bus yet");
        }
        return h;
    }

    private void hotplugEvent() {
        gpeStatus |= GPE_HOTPLUG;
        update();
    }

    private IoHandler pmPorts() {
        return new IoHandler() {
            @Override
            public long read(long offset, int size) {
                return pm.read((int) offset, size);
            }

            @Override
            public void write(long offset, int size, long value) {
                pm.write((int) offset, size, (int) value);
                update();
            }
        };
    }

    private IoHandler apmPorts() {
        return new IoHandler() {
            @Override
            public int maxAccess() {
                return 1;
            }

            @Override
            public long read(long offset, int size) {
                return offset == 0 ? apmControl : apmStatus;
            }

            @Override
            public void write(long offset, int size, long value) {
                if (offset == 0) {
                    apmControl = (int) value & 0xff;
                    pm.apmCommand(apmControl);
                    update();
                } else {
                    apmStatus = (int) value & 0xff;
                }
            }
        };
    }

    private IoHandler gpePorts() {
        return new IoHandler() {
            @Override
            public int maxAccess() {
                return 1;
            }

            @Override
            public long read(long offset, int size) {
                int registers = gpeStatus | gpeEnable << 16;
                return registers >>> (8 * (int) offset) & 0xff;
            }

            @Override
            public void write(long offset, int size, long value) {
                int v = (int) value & 0xff;
                int shift = 8 * ((int) offset & 1);
                if (offset < 2) {
                    gpeStatus &= ~(v << shift);
                } else {
                    gpeEnable = gpeEnable & ~(0xff << shift) | v << shift;
                }
                update();
            }
        };
    }

    /** Drives the SCI and arms the timer overflow alarm from the registers. */
    private void update() {
        boolean level = pm.pending() || (gpeStatus & gpeEnable) != 0;
        board.isa().irq(SCI).set(level);
        Timer t = overflow;
        if (t != null) {
            t.arm(pm.overflowAlarm());
        }
    }

    private void map() {
        AddressSpace ports = machine().ports();
        ports.begin();
        AddressSpace.Region r = pmRegion;
        if (r != null) {
            r.move(get32(config, PM_BASE) & 0xffc0);
            r.enabled((config[PM_ENABLE] & 1) != 0);
        }
        AddressSpace.Region s = smbusRegion;
        if (s != null) {
            s.move(get32(config, SMBUS_BASE) & 0xffc0);
            s.enabled((config[SMBUS_ENABLE] & 1) != 0);
        }
        ports.commit();
    }

    @Override
    protected void reset() {
        config[0x58] = 0;
        config[0x59] = 0;
        config[0x5a] = 0;
        // Tells firmware that the SMM handler is set up already: there is no SMM to set up.
        config[0x5b] = 0x02;
        put32(config, PM_BASE, 1);
        config[PM_ENABLE] = 0;
        config[0x5f] = (byte) (0x10 | (board.isa().usedAt(0x378) ? 0x80 : 0));
        config[0x63] = 0x60;
        config[0x67] =
                (byte)
                        ((board.isa().usedAt(0x3f8) ? 0x08 : 0)
                                | (board.isa().usedAt(0x2f8) ? 0x90 : 0));
        gpeStatus = 0;
        gpeEnable = 0;
        apmControl = 0;
        apmStatus = 0;
        hotplug().reset();
        pm.reset();
        smbus.reset();
        map();
        update();
    }

    @Override
    protected void configWritten(int offset, int size) {
        if (touches(offset, size, PM_BASE, 4)
                || touches(offset, size, PM_ENABLE, 1)
                || touches(offset, size, SMBUS_BASE, 4)
                || touches(offset, size, SMBUS_ENABLE, 1)) {
            map();
        }
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("parent_obj", c);
        pm.describeEvents(c);
        c.struct(
                "apm",
                "APM State",
                1,
                a -> {
                    apmControl = a.u8("apmc", apmControl);
                    apmStatus = a.u8("apms", apmStatus);
                });
        c.struct("smb", "pmsmb", 1, smbus::describe);
        Timer t = overflow;
        long deadline = c.timer("ar.tmr.timer", t == null ? Timer.NEVER : t.deadline());
        if (t != null && c.loading()) {
            t.arm(deadline);
        }
        pm.describeTimer(c);
        c.struct(
                "ar.gpe",
                "gpe",
                1,
                g -> {
                    gpeStatus = g.u16("sts", gpeStatus);
                    gpeEnable = g.u16("en", gpeEnable);
                });
        hotplug().describe(c, !Boolean.TRUE.equals(options.xNotMigrateAcpiIndex()));
        c.subsection(
                "piix4_pm/memhp",
                1,
                !Boolean.FALSE.equals(options.memoryHotplugSupport()),
                s ->
                        s.struct(
                                "acpi_memory_hotplug",
                                "memory hotplug state",
                                1,
                                m -> memorySelector = m.u32("selector", memorySelector)));
        cpus.describe(c);
    }

    @Override
    public void afterLoad(int version) {
        map();
        update();
    }
}
