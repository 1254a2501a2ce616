package lockstep.devices.pc;

import lockstep.api.PcMachineOptions;
import lockstep.api.ShutdownCause;
import lockstep.devices.acpi.AcpiTables;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.Firmware;
import lockstep.devices.board.PcBoard;
import lockstep.devices.dma.DmaController;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.i440fx.HostBridge;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pci.PciBus;
import lockstep.devices.pci.PciHost;
import lockstep.devices.pcspk.Speaker;
import lockstep.devices.piix3.IsaBridge;
import lockstep.devices.piix4.PowerManagement;
import lockstep.devices.port92.Port92;
import lockstep.devices.ps2.Controller;
import lockstep.devices.rtc.Rtc;
import lockstep.devices.serial.IsaSerial;
import lockstep.devices.smbus.SmbusController;
import lockstep.devices.smbus.SpdEeprom;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.StdVga;
import lockstep.devices.vmport.VmMouse;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.time.DateTimeException;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A PC with i440FX and PIIX, assembled around the accelerator's machine. Sections are registered in the
 * order in which QEMU 10.2 writes them. Used under the machine lock.
 */
public final class PcMachine implements Machine, PcBoard {
    private static final long GIB = 1L << 30;
    private static final long FOUR_GIB = 4 * GIB;

    /** With less RAM than this all of it lies below 4 GiB; with more, the PCI window takes 1 GiB. */
    private static final long LOW_MEMORY_MAX = 0xe000_0000L;

    private static final long LOW_MEMORY_SPLIT = 0xc000_0000L;

    /** Bytes of the window for 64-bit BARs. */
    private static final long HIGH_WINDOW = 2 * GIB;

    private static final int BIOS_UNIT = 64 << 10;
    private static final int BIOS_MAX = 16 << 20;
    private static final int ISA_BIOS = 128 << 10;
    private static final long OPTION_ROMS = 0xc_0000;
    private static final int OPTION_ROMS_SIZE = 128 << 10;
    private static final String DEFAULT_BIOS = "bios-256k.bin";
    private static final String VGA_ROM = "vgabios-stdvga.bin";

    private static final int SPEAKER_CHANNEL = 2;

    private final CoreMachine core;
    private final Vmm vmm;
    private final MachineConfig config;
    private final Firmware firmware;
    private final PciBus pci;
    private final FwCfg fwCfg;
    private final Rtc rtc;
    private final Piix3Ide ide;
    private final PowerManagement power;
    private final Controller input;
    private final long below4G;
    private final long above4G;
    private final boolean hpet;
    private final IsaBus isa = new IsaBus();
    private final List<Device> ports = new ArrayList<>();
    private final BootOrder bootOrder = new BootOrder();
    private boolean complete;

    /**
     * Builds the board with its built-in devices.
     *
     * @throws DeviceException when firmware is missing or an option makes no sense
     */
    PcMachine(
            CoreMachine core,
            Vmm vmm,
            PcVersion version,
            MachineConfig config,
            PcMachineOptions options)
            throws DeviceException {
        this.core = core;
        this.vmm = vmm;
        this.config = config;
        firmware = new Firmware(config.firmwareDirectories());
        long ram = core.ramSize();
        below4G = ram >= LOW_MEMORY_MAX ? LOW_MEMORY_SPLIT : ram;
        above4G = ram - below4G;
        checkAddresses(core.physicalBits());
        hpet = !Boolean.FALSE.equals(options.hpet());

        core.memory().begin();
        mapRam();
        mapFirmware();
        core.memory().commit();

        pci = new PciBus(core);
        pci.attach(new HostBridge(), 0, new DeviceScope(core));
        IsaBridge bridge = new IsaBridge(this::requestReset);
        new PciHost(pci, bridge::resetControl, bridge::resetControl);
        core.state().register(pci.section());
        fwCfg = new FwCfg(core);
        new DmaController(core, 0);
        new DmaController(core, 1);
        Hpet timer = hpet ? new Hpet(core, core.intervalTimer()::replaced) : null;
        rtc = newRtc(timer == null ? core.gsi(8) : timer.rtcInput());
        ide = new Piix3Ide();
        pci.attach(ide, 1 << 3 | 1, new DeviceScope(core));
        List<SpdEeprom> memoryModules = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            memoryModules.add(new SpdEeprom(i));
        }
        core.state().register(SmbusController.busSection());
        power =
                new PowerManagement(
                        core,
                        new SmbusController(memoryModules),
                        this::requestPowerOff,
                        isa::usedAt,
                        config.cpus(),
                        version.acpiIndex());
        pci.attach(power, 1 << 3 | 3, new DeviceScope(core));
        pci.attach(bridge, 1 << 3, new DeviceScope(core));
        core.registerInterruptControllers();
        boolean addVga = addVga();
        if (timer != null) {
            core.state().register(timer);
        }
        core.registerIntervalTimer();
        new Speaker(core, counter2());
        addPorts();
        new FloppyController(core);
        input = new Controller(core, this::requestReset);
        new VmMouse(core);
        new Port92(core, this::requestReset);
        Port92.mapInertPorts(core);
        memoryModules.forEach(core.state()::register);
        vmm.publish(PcBoard.class, this);
        vmm.publish(Piix3Ide.class, ide);
        vmm.run().onPowerButton(power::powerButton);
        setBootOrder(true);
        vmm.find(MachineProperties.class).ifPresent(p -> p.clock(rtc::date));
        new BoardTree(this, vmm, config, core)
                .build(new BoardTree.Parts(below4G, addVga, hpet, rtc::date, ports));
        if (Boolean.TRUE.equals(options.usb())) {
            vmm.service(UsbBuses.class).addOnBoard(this, "01.2", vmm.objects());
        }
        PcMonitor.install(vmm.hmp(), this);
    }

    /** The RAM and the window for 64-bit BARs behind it must have addresses. */
    private void checkAddresses(int bits) throws DeviceException {
        long most = (1L << bits) - 1;
        long used = (FOUR_GIB + above4G + GIB - 1 & -GIB) + HIGH_WINDOW - 1;
        if (bits > 32 && Long.compareUnsigned(most, used) < 0) {
            throw new DeviceException(
                    "Address space limit 0x%x < 0x%x phys-bits too low (%d)"
                            .formatted(most, used, bits));
        }
    }

    private void mapRam() {
        core.memory().mapRam("ram-below-4g", 0, below4G, core.ram(), 0, 0);
        if (above4G > 0) {
            core.memory().mapRam("ram-above-4g", FOUR_GIB, above4G, core.ram(), below4G, 0);
        }
    }

    private void mapFirmware() throws DeviceException {
        String name = config.bios() == null ? DEFAULT_BIOS : config.bios();
        byte[] image;
        try {
            image = firmware.load(name);
        } catch (DeviceException e) {
            throw new DeviceException("could not load PC BIOS '" + name + "'", e);
        }
        if (image.length == 0 || image.length % BIOS_UNIT != 0 || image.length > BIOS_MAX) {
            throw new DeviceException("could not load PC BIOS '" + name + "'");
        }
        RamBlock bios = core.newBlock("pc.bios", image.length, image.length);
        java.lang.foreign.MemorySegment.copy(
                image, 0, bios.memory(), java.lang.foreign.ValueLayout.JAVA_BYTE, 0, image.length);
        int isa = Math.min(image.length, ISA_BIOS);
        AddressSpace memory = core.memory();
        memory.mapRam("pc.bios", FOUR_GIB - image.length, image.length, bios, 0, PciBus.PRIORITY)
                .readOnly(true);
        memory.mapRam("isa-bios", 0x10_0000 - isa, isa, bios, image.length - isa, 1).readOnly(true);
        RamBlock roms = core.newBlock("pc.rom", OPTION_ROMS_SIZE, OPTION_ROMS_SIZE);
        memory.mapRam("pc.rom", OPTION_ROMS, OPTION_ROMS_SIZE, roms, 0, 1).readOnly(true);
    }

    private Rtc newRtc(Irq irq) throws DeviceException {
        Map<String, String> options = config.rtc();
        String clock = options.getOrDefault("clock", "host");
        ClockType type =
                switch (clock) {
                    case "host" -> ClockType.HOST;
                    case "rt" -> ClockType.REALTIME;
                    case "vm" -> ClockType.VIRTUAL;
                    default -> throw new DeviceException("invalid option value '" + clock + "'");
                };
        long now = Math.floorDiv(vmm.clocks().now(ClockType.HOST), 1_000_000_000L);
        String base = options.getOrDefault("base", "utc");
        long start =
                switch (base) {
                    case "utc" -> now;
                    case "localtime" ->
                            now
                                    + ZoneId.systemDefault()
                                            .getRules()
                                            .getOffset(java.time.Instant.ofEpochSecond(now))
                                            .getTotalSeconds();
                    default -> parseDate(base);
                };
        return new Rtc(core, irq, type, start);
    }

    private static long parseDate(String text) throws DeviceException {
        try {
            String full = text.contains("T") ? text : text + "T00:00:00";
            return LocalDateTime.parse(full).toEpochSecond(ZoneOffset.UTC);
        } catch (DateTimeException e) {
            throw new DeviceException("invalid datetime format", e);
        }
    }

    /** Whether there is one. */
    private boolean addVga() throws DeviceException {
        String kind = config.vga();
        if (kind == null) {
            kind = config.byDefault("VGA") ? "std" : "none";
        }
        switch (kind) {
            case "none" -> {
                return false;
            }
            case "std" -> {
                byte[] rom = firmware.load(VGA_ROM);
                pci.attach(
                        new StdVga(StdVga.DEFAULT_VRAM, rom, true), 2 << 3, new DeviceScope(core));
                return true;
            }
            case "cirrus", "vmware", "qxl", "virtio" ->
                    throw new DeviceException("VGA '" + kind + "' is not available: use std");
            default -> throw new DeviceException("unknown vga type: " + kind);
        }
    }

    private void addPorts() throws DeviceException {
        List<@Nullable Chardev> serials = config.serials();
        for (int i = 0; i < Math.min(serials.size(), IsaBus.Kind.SERIAL.most()); i++) {
            Chardev chardev = serials.get(i);
            if (chardev != null) {
                ports.add(IsaSerial.onBoard(new DeviceScope(core), isa, i, chardev));
            }
        }
        for (int i = 0; i < config.parallels().size(); i++) {
            ports.add(
                    IsaParallel.onBoard(new DeviceScope(core), isa, i, config.parallels().get(i)));
        }
    }

    private static String message(Exception e) {
        String m = e.getMessage();
        return m == null ? e.toString() : m;
    }

    private void requestReset() {
        vmm.run().requestReset(ShutdownCause.GUEST_RESET);
    }

    private void requestPowerOff() {
        vmm.run().requestShutdown(ShutdownCause.GUEST_SHUTDOWN);
    }

    /** Everything that depends on devices from the command line; once, before the first reset. */
    private void complete() {
        complete = true;
        Cmos.fill(rtc, below4G, above4G, config.cpus(), true);
        for (int unit = 0; unit < 2; unit++) {
            int n = unit;
            ide.geometry(0, unit)
                    .ifPresent(g -> Cmos.disk(rtc, n, g.cylinders(), g.heads(), g.sectors()));
        }
        FirmwareItems.add(
                fwCfg,
                config,
                new FirmwareItems.Layout(core.type(), core.ramSize(), below4G, above4G, hpet),
                bootOrder.paths());
        bootOrder.takeChanged();
        new AcpiTables(
                core,
                fwCfg,
                new AcpiTables.Board(
                        config.cpus(), below4G, isa.places(), true, hpet, pci::ejectable));
        fwCfg.publish();
    }

    private void laterReset() {
        if (bootOrder.takeChanged()) {
            FirmwareItems.addBootOrder(fwCfg, config, bootOrder.paths());
            fwCfg.publish();
        }
        if (config.boot().containsKey("once")) {
            Cmos.bootOrder(rtc, config.boot().getOrDefault("order", "cad"));
        }
    }

    /** The order of the first boot, or of all later ones. */
    private void setBootOrder(boolean first) throws DeviceException {
        Map<String, String> boot = config.boot();
        String order = boot.getOrDefault("order", "cad");
        String once = boot.get("once");
        try {
            // A wrong later order is refused now, not at the first reset.
            Cmos.bootOrder(rtc, order);
            if (first && once != null) {
                Cmos.bootOrder(rtc, once);
            }
        } catch (IllegalArgumentException e) {
            throw new DeviceException(message(e), e);
        }
    }

    @Override
    public PciBus pci() {
        return pci;
    }

    @Override
    public IsaBus isa() {
        return isa;
    }

    @Override
    public BootOrder bootOrder() {
        return bootOrder;
    }

    @Override
    public Firmware firmware() {
        return firmware;
    }

    /** Keyboard and mouse. */
    public Controller input() {
        return input;
    }

    /** What firmware is told. */
    public FwCfg fwCfg() {
        return fwCfg;
    }

    /** What the speaker and port 0x61 have of the interval timer: its channel 2. */
    private Speaker.Counter counter2() {
        IntervalTimer timer = core.intervalTimer();
        return new Speaker.Counter() {
            @Override
            public boolean gate() {
                return timer.gate(SPEAKER_CHANNEL);
            }

            @Override
            public void gate(boolean level) {
                timer.gate(SPEAKER_CHANNEL, level);
            }

            @Override
            public boolean output() {
                return timer.output(SPEAKER_CHANNEL);
            }
        };
    }

    @Override
    public EventLoop loop() {
        return core.loop();
    }

    @Override
    public Clocks clocks() {
        return core.clocks();
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return core.find(type);
    }

    @Override
    public <T> T service(Class<T> type) {
        return core.service(type);
    }

    @Override
    public String type() {
        return core.type();
    }

    @Override
    public AddressSpace memory() {
        return core.memory();
    }

    @Override
    public AddressSpace ports() {
        return core.ports();
    }

    @Override
    public GuestMemory dma() {
        return core.dma();
    }

    @Override
    public long ramSize() {
        return core.ramSize();
    }

    @Override
    public RamBlock ram() {
        return core.ram();
    }

    @Override
    public RamBlock newBlock(String name, long length, long maxLength) {
        return core.newBlock(name, length, maxLength);
    }

    @Override
    public List<RamBlock> blocks() {
        return core.blocks();
    }

    @Override
    public DirtyLog dirtyLog() {
        return core.dirtyLog();
    }

    @Override
    public Irq gsi(int n) {
        return core.gsi(n);
    }

    @Override
    public void signalMessage(long address, int data) {
        core.signalMessage(address, data);
    }

    @Override
    public StateRegistry state() {
        return core.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return core.vcpus();
    }

    @Override
    public void onReset(Runnable reset) {
        core.onReset(reset);
    }

    @Override
    public void dropBlock(RamBlock block) {
        core.dropBlock(block);
    }

    @Override
    public void dropReset(Runnable reset) {
        core.dropReset(reset);
    }

    @Override
    public void reset() {
        if (complete) {
            laterReset();
        } else {
            complete();
        }
        core.reset();
    }
}
