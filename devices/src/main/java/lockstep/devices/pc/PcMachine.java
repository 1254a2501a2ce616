package lockstep.devices.pc;

import lockstep.api.PcMachineOptions;
import lockstep.api.ShutdownCause;
import lockstep.api.SuspendDiskEvent;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.node.BlockException;
import lockstep.devices.acpi.AcpiTables;
import lockstep.devices.board.AcpiTerms;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.Firmware;
import lockstep.devices.board.PcBoard;
import lockstep.devices.dma.DmaController;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.fdc.FloppyDrive;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.i440fx.HostBridge;
import lockstep.devices.i440fx.PciHost;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.kernel.DirectBoot;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pc.Parts.Part;
import lockstep.devices.pc.Parts.Place;
import lockstep.devices.pci.PciBus;
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
import lockstep.devices.vga.VgaDevices;
import lockstep.devices.vmport.VmMouse;
import lockstep.net.Nics;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * A PC with i440FX and PIIX around the accelerator's machine: its RAM, its firmware and the table of its parts. Used
 * under the machine lock.
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
    private static final Set<String> NIC_MODELS = Set.of("e1000", "e1000-82540em");
    private static final Device.Bus SYSTEM_BUS = new Device.Bus("sysbus", "System");

    private final CoreMachine core;
    private final Vmm vmm;
    private final MachineConfig config;
    private final Firmware firmware;
    private final PciBus pci;
    private final IsaBus isa;
    private final Parts parts;
    private final long below4G;
    private final long above4G;
    private final BootOrder bootOrder = new BootOrder();
    private final AcpiTerms acpi = new AcpiTerms();
    private final boolean checkFloppies;
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
        checkFloppies = !Boolean.FALSE.equals(options.fdBootchk());
        this.vmm = vmm;
        this.config = config;
        firmware = new Firmware(config.firmwareDirectories());
        long ram = core.ramSize();
        below4G = ram >= LOW_MEMORY_MAX ? LOW_MEMORY_SPLIT : ram;
        above4G = ram - below4G;
        checkAddresses(core.physicalBits());

        core.memory().begin();
        mapRam();
        mapFirmware();
        core.memory().commit();

        pci = new PciBus(core, firmware::load);
        isa = new IsaBus(core);
        vmm.publish(PcBoard.class, this);
        vmm.publish(SmbusController.class, new SmbusController());
        ObjectTree tree = vmm.objects();
        parts = new Parts(core, tree, config.globals());
        tree.add("/machine/unattached/sysbus", "System", SYSTEM_BUS.properties(() -> ""));
        showProcessors(tree);
        parts.make(table(options));
        Port92.mapInertPorts(core);
        vmm.run().onPowerButton(parts.get(PowerManagement.class)::powerButton);
        vmm.run().onSleep(new GuestSleep());
        setBootOrder(true);
        String kernel = Objects.requireNonNullElse(options.kernel(), "");
        if (!kernel.isEmpty()) {
            String initrd = Objects.requireNonNullElse(options.initrd(), "");
            String append = Objects.requireNonNullElse(options.append(), "");
            bootOrder.set(new DirectBoot(kernel, initrd, append).offer(fwCfg(), below4G), 0);
        }
        vmm.find(MachineProperties.class).ifPresent(p -> p.clock(rtc()::date));
        PcMonitor.install(vmm.hmp(), this);
    }

    /** The parts in the order in which QEMU 7.2 numbers them. */
    private List<Part> table(PcMachineOptions options) throws DeviceException {
        List<Part> all = new ArrayList<>();
        BoardTypes.Chips chips = BoardTypes.chips(core.chipNames());
        all.add(Part.of(FwCfg.TYPE).in(Place.FIRMWARE).at("/machine/fw_cfg"));
        all.add(Part.of(PciHost.TYPE).in(Place.HOST).at("/machine/i440fx"));
        all.add(Part.of(chips.ioapic()).at("/machine/i440fx/ioapic"));
        all.add(Part.of(BoardTypes.KVMVAPIC));
        if (chips.clock() != null) {
            all.add(Part.of(chips.clock()));
        }
        all.add(Part.of(HostBridge.TYPE, "addr=0").in(Place.BRIDGE));
        all.add(Part.of(IsaBridge.TYPE, "addr=1", "multifunction=on").in(Place.SOUTH_BRIDGE));
        all.add(Part.of(DmaController.TYPE, "pageh-base=-1").in(Place.SOUTH));
        all.add(
                Part.of(
                                DmaController.TYPE,
                                "base=0xc0",
                                "dshift=1",
                                "page-base=0x88",
                                "pageh-base=-1")
                        .in(Place.SOUTH));
        all.add(
                Part.of(
                        chips.pic(),
                        "elcr_addr=0x4d0",
                        "elcr_mask=0xf8",
                        "iobase=0x20",
                        "master=on"));
        all.add(Part.of(chips.pic(), "elcr_addr=0x4d1", "elcr_mask=0xde", "iobase=0xa0"));
        if (hasVga()) {
            all.add(Part.of(VgaDevices.TYPE, "addr=2"));
        }
        if (!Boolean.FALSE.equals(options.hpet())) {
            all.add(Part.of(Hpet.TYPE, "hpet-intcap=4"));
        }
        all.add(Part.of(Rtc.TYPE, "base_year=0").in(Place.SOUTH));
        all.add(Part.of(chips.timer(), "iobase=0x40"));
        all.add(Part.of(Speaker.TYPE));
        addPorts(all, IsaSerial.TYPE, config.serials(), IsaBus.Kind.SERIAL.most());
        addPorts(all, IsaParallel.TYPE, config.parallels(), Integer.MAX_VALUE);
        all.add(Part.of(FloppyController.TYPE));
        addFloppies(all);
        all.add(Part.of(Controller.TYPE));
        all.add(Part.of(BoardTypes.VMPORT));
        all.add(Part.of(VmMouse.TYPE));
        all.add(Part.of(Port92.TYPE));
        addNics(all);
        all.add(Part.of(Piix3Ide.TYPE, "addr=1.1").in(Place.SOUTH));
        addDrives(all);
        all.add(Part.of(PowerManagement.TYPE, "addr=1.3", "smb_io_base=0xb100").in(Place.SOUTH));
        for (int i = 0; i < 8; i++) {
            all.add(Part.of(SpdEeprom.TYPE, "address=" + (SpdEeprom.BASE_ADDRESS + i)));
        }
        if (Boolean.TRUE.equals(options.usb())) {
            all.add(Part.of(UsbBuses.CONTROLLER, "addr=1.2"));
        }
        return all;
    }

    private boolean hasVga() throws DeviceException {
        String kind = config.vga();
        if (kind == null) {
            return config.byDefault("VGA");
        }
        return switch (kind) {
            case "none" -> false;
            case "std" -> true;
            case "cirrus", "vmware", "qxl", "virtio" ->
                    throw new DeviceException("VGA '" + kind + "' is not available: use std");
            default -> throw new DeviceException("unknown vga type: " + kind);
        };
    }

    private static void addPorts(
            List<Part> all, DeviceType<?> type, List<? extends @Nullable Chardev> hosts, int most) {
        for (int i = 0; i < Math.min(hosts.size(), most); i++) {
            Chardev host = hosts.get(i);
            if (host != null) {
                all.add(Part.of(type, "index=" + i, "chardev=" + host.id()));
            }
        }
    }

    /** The network adapters of {@code -nic}. */
    private void addNics(List<Part> all) throws DeviceException {
        for (Nics.Wanted nic : core.find(Nics.class).map(Nics::wanted).orElse(List.of())) {
            String model = nic.model();
            if (model != null && !NIC_MODELS.contains(model)) {
                throw new DeviceException("Unsupported NIC model: " + model);
            }
            List<String> told = new ArrayList<>(List.of("netdev=" + nic.netdev()));
            if (nic.mac() != null) {
                told.add("mac=" + nic.mac());
            }
            all.add(Part.of(E1000Devices.TYPE, told.toArray(String[]::new)));
        }
    }

    /** The drives of {@code -drive if=floppy}, and an empty one for media to come. */
    private void addFloppies(List<Part> all) throws DeviceException {
        BlockLayer blocks = core.find(BlockLayer.class).orElse(null);
        for (int unit = 0; blocks != null && unit < FloppyController.DRIVES; unit++) {
            DriveInfo drive = blocks.claim("floppy", 0, unit);
            if (drive == null && unit == 0 && config.byDefault("floppy", "isa-fdc")) {
                drive = empty(blocks, "floppy", 0, "floppy0");
            }
            if (drive != null) {
                all.add(
                        Part.of(
                                FloppyDrive.TYPE,
                                "drive=" + drive.backend().name(),
                                "unit=" + unit));
            }
        }
    }

    /** The drives of {@code -drive if=ide}, and the CD-ROM drive for media to come. */
    private void addDrives(List<Part> all) throws DeviceException {
        BlockLayer blocks = core.find(BlockLayer.class).orElse(null);
        for (int place = 0; blocks != null && place < 4; place++) {
            DriveInfo drive = blocks.claim("ide", place >> 1, place & 1);
            if (drive == null && place == 2 && config.byDefault("ide-cd", "ide-hd")) {
                drive = empty(blocks, "ide", 1, "ide1-cd0");
            }
            if (drive != null) {
                List<String> told =
                        new ArrayList<>(
                                List.of(
                                        "bus=ide." + (place >> 1),
                                        "unit=" + (place & 1),
                                        "drive=" + drive.backend().name()));
                if (!drive.serial().isEmpty()) {
                    told.add("serial=" + drive.serial());
                }
                all.add(
                        Part.of(
                                drive.cdrom() ? IdeDrives.CD : IdeDrives.DISK,
                                told.toArray(String[]::new)));
            }
        }
    }

    /** Unless the user has made a drive of that name. */
    private static @Nullable DriveInfo empty(BlockLayer blocks, String type, int bus, String name)
            throws DeviceException {
        if (blocks.backends().find(name) != null) {
            return null;
        }
        try {
            boolean cdrom = type.equals("ide");
            return new DriveInfo(type, bus, 0, cdrom, "", blocks.backends().add(name));
        } catch (BlockException e) {
            throw new DeviceException(message(e), e);
        }
    }

    private void showProcessors(ObjectTree tree) {
        String type = CpuModel.typeName(config.cpuModel());
        for (int i = 0; i < config.cpus(); i++) {
            int number = i;
            List<QomProperty> shown = new ArrayList<>(DeviceType.state(false, false));
            shown.add(tree.busLink(""));
            shown.add(QomProperty.of("apic-id", "uint32", () -> (long) number));
            shown.add(
                    QomProperty.of(
                            "thread-id", "int32", () -> (long) core.vcpus().threads().get(number)));
            tree.addUnattached(type, shown);
        }
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

    private static String message(Exception e) {
        String m = e.getMessage();
        return m == null ? e.toString() : m;
    }

    @Override
    public void requestReset() {
        vmm.run().requestReset(ShutdownCause.GUEST_RESET);
    }

    @Override
    public void requestPowerOff() {
        vmm.run().requestShutdown(ShutdownCause.GUEST_SHUTDOWN);
    }

    @Override
    public void requestSleep() {
        vmm.run().requestSleep();
    }

    @Override
    public void requestSleepToDisk() {
        vmm.emit(new SuspendDiskEvent());
        requestPowerOff();
    }

    @Override
    public void wakeUp(Sleep.Reason reason) {
        if (reason != Sleep.Reason.ALARM || parts.get(PowerManagement.class).wakesByAlarm()) {
            vmm.run().requestWakeUp(reason);
        }
    }

    /** What is noted of the guest's sleep. */
    private final class GuestSleep implements Sleep {
        @Override
        public void begin() {
            rtc().sleeps();
        }

        @Override
        public void end(Reason reason) {
            parts.get(PowerManagement.class).woken(reason);
        }
    }

    /** Everything that depends on devices from the command line; once, before the first reset. */
    private void complete() {
        complete = true;
        Rtc rtc = rtc();
        Cmos.fill(rtc, below4G, above4G, config.cpus());
        Cmos.floppies(rtc, parts.get(FloppyController.class).kinds());
        for (int unit = 0; unit < 2; unit++) {
            int n = unit;
            parts.get(Piix3Ide.class)
                    .geometry(0, unit)
                    .ifPresent(g -> Cmos.disk(rtc, n, g.cylinders(), g.heads(), g.sectors()));
        }
        for (int place = 0; place < 4; place++) {
            int n = place;
            parts.get(Piix3Ide.class)
                    .geometry(place >> 1, place & 1)
                    .ifPresent(g -> Cmos.translation(rtc, n, g.translation()));
        }
        Hpet hpet = parts.find(Hpet.class);
        int hpetBlock = hpet == null ? 0 : hpet.blockId();
        PowerManagement pm = parts.get(PowerManagement.class);
        AcpiTables.Sleep sleep = new AcpiTables.Sleep(pm.offersS3(), pm.sleepS4());
        FwCfg fwCfg = fwCfg();
        FirmwareItems.add(
                fwCfg,
                config,
                new FirmwareItems.Layout(
                        core.type(), core.ramSize(), below4G, above4G, hpetBlock, sleep),
                bootOrder);
        bootOrder.takeChanged();
        new AcpiTables(
                core,
                fwCfg,
                new AcpiTables.Board(
                        config.cpus(), below4G, acpi, hpetBlock, sleep, pci::ejectable));
        fwCfg.publish();
    }

    private Rtc rtc() {
        return parts.get(Rtc.class);
    }

    private FwCfg fwCfg() {
        return parts.get(FwCfg.class);
    }

    private void laterReset() {
        if (bootOrder.takeChanged()) {
            FirmwareItems.addBootOrder(fwCfg(), config, bootOrder);
            fwCfg().publish();
        }
        if (config.boot().containsKey("once")) {
            Cmos.bootOrder(rtc(), config.boot().getOrDefault("order", "cad"), checkFloppies);
        }
    }

    /** The order of the first boot, or of all later ones. */
    private void setBootOrder(boolean first) throws DeviceException {
        Map<String, String> boot = config.boot();
        String order = boot.getOrDefault("order", "cad");
        String once = boot.get("once");
        try {
            // A wrong later order is refused now, not at the first reset.
            Cmos.bootOrder(rtc(), order, checkFloppies);
            if (first && once != null) {
                Cmos.bootOrder(rtc(), once, checkFloppies);
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

    @Override
    public CoreMachine core() {
        return core;
    }

    @Override
    public MachineConfig config() {
        return config;
    }

    @Override
    public long below4G() {
        return below4G;
    }

    @Override
    public AcpiTerms acpi() {
        return acpi;
    }

    @Override
    public <D> D part(Class<D> kind) {
        return parts.get(kind);
    }

    @Override
    public String pathOf(String type) {
        return parts.pathOf(type);
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
