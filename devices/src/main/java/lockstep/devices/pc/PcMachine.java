package lockstep.devices.pc;

import lockstep.api.PcMachineOptions;
import lockstep.api.ShutdownCause;
import lockstep.api.SuspendDiskEvent;
import lockstep.devices.acpi.AcpiTables;
import lockstep.devices.board.AcpiTerms;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.Firmware;
import lockstep.devices.board.PcBoard;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.kernel.DirectBoot;
import lockstep.devices.pci.PciBus;
import lockstep.devices.piix4.PowerManagement;
import lockstep.devices.port92.Port92;
import lockstep.devices.rtc.Rtc;
import lockstep.devices.smbus.SmbusController;
import lockstep.devices.usb.UsbBuses;
import lockstep.runtime.accelerator.CoreMachine;
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
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;
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

/**
 * A PC with i440FX and PIIX around the accelerator's machine: its RAM, its firmware and the table of its parts. Used
 * under the machine lock.
 */
public final class PcMachine implements Machine, PcBoard {
    private static final String SYSTEM_BUS = "/machine/unattached/sysbus";

    private final CoreMachine core;
    private final Vmm vmm;
    private final MachineConfig config;
    private final Firmware firmware;
    private final PciBus pci;
    private final IsaBus isa;
    private final Parts parts;
    private final PcMemory layout;
    private final DeviceScope scope;
    private final BootOrder bootOrder = new BootOrder();
    private final AcpiTerms acpi = new AcpiTerms();
    private final boolean checkFloppies;
    private final @Nullable Long maxFirmware;
    private long flashBottom = PcMemory.FOUR_GIB;
    private boolean complete;

    /**
     * Builds the board with its built-in devices, all of it or nothing.
     *
     * @throws DeviceException when firmware is missing or an option makes no sense
     */
    static PcMachine build(
            CoreMachine core, Vmm vmm, MachineConfig config, PcMachineOptions options)
            throws DeviceException {
        PcMachine board = new PcMachine(core, vmm, config, options);
        try {
            board.begin();
            board.parts.make(PcTable.of(core, config, options, board.scope));
            board.finish(options);
        } catch (GuestMemoryException e) {
            board.dismantle();
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        } catch (DeviceException | RuntimeException e) {
            board.dismantle();
            throw e;
        }
        return board;
    }

    /** Of nothing yet. */
    PcMachine(CoreMachine core, Vmm vmm, MachineConfig config, PcMachineOptions options) {
        this.core = core;
        this.vmm = vmm;
        this.config = config;
        maxFirmware = options.maxFwSize();
        checkFloppies = !Boolean.FALSE.equals(options.fdBootchk());
        firmware = new Firmware(config.firmwareDirectories());
        layout = PcMemory.of(core.ramSize());
        scope = new DeviceScope(core);
        pci = new PciBus(core, firmware::load);
        isa = new IsaBus(core);
        parts = new Parts(core, vmm.objects(), config.globals(), scope);
    }

    /** Takes what is there before the first part. */
    void begin() throws DeviceException {
        List<Parts.Part> flash = PcTable.flash(core, maxFirmware);
        layout.map(core, scope);
        if (flash.isEmpty()) {
            layout.mapFirmware(core.memory(), scope, firmware, config.bios());
        }
        offer(PcBoard.class, this);
        parts.make(flash);
        offer(SmbusController.class, new SmbusController());
        ObjectTree tree = vmm.objects();
        Device.Bus bus = new Device.Bus("sysbus", "System");
        scope.show(tree, SYSTEM_BUS, bus.type(), bus.properties(SYSTEM_BUS));
        showProcessors(tree);
    }

    private void finish(PcMachineOptions options) throws DeviceException {
        Port92.mapInertPorts(scope);
        PowerManagement pm = parts.get(PowerManagement.class);
        scope.onClose(vmm.run().onPowerButton(pm::powerButton));
        scope.onClose(vmm.run().onSleep(new GuestSleep()));
        setBootOrder(true);
        String kernel = Objects.requireNonNullElse(options.kernel(), "");
        if (!kernel.isEmpty()) {
            String initrd = Objects.requireNonNullElse(options.initrd(), "");
            String append = Objects.requireNonNullElse(options.append(), "");
            bootOrder.set(
                    new DirectBoot(kernel, initrd, append).offer(fwCfg(), layout.below4G()), 0);
        }
        vmm.find(UsbBuses.class)
                .ifPresent(usb -> offer(UserInput.class, new UserInput(vmm, this, usb, scope)));
        vmm.find(MachineProperties.class).ifPresent(p -> p.clock(rtc()::date));
    }

    /** What is made of the table. */
    Parts parts() {
        return parts;
    }

    private <T> void offer(Class<T> type, T service) {
        vmm.publish(type, service);
        scope.onClose(() -> vmm.withdraw(type));
    }

    @Override
    public void dismantle() {
        core.memory().begin();
        core.ports().begin();
        try {
            scope.close();
        } finally {
            core.ports().commit();
            core.memory().commit();
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
            scope.show(tree, tree.nextUnattached(), type, shown);
        }
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
        Cmos.fill(rtc, layout.below4G(), layout.above4G(), config.cpus());
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
                        core.type(),
                        core.ramSize(),
                        layout.below4G(),
                        layout.above4G(),
                        hpetBlock,
                        sleep),
                bootOrder);
        bootOrder.takeChanged();
        new AcpiTables(
                scope,
                fwCfg,
                new AcpiTables.Board(
                        config.cpus(), layout.below4G(), acpi, hpetBlock, sleep, pci::ejectable));
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
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    /**
     * Boots from these devices after the next reset.
     *
     * @throws IllegalArgumentException for a letter that a PC has not, or more than three
     */
    void bootFrom(String order) {
        Cmos.bootOrder(rtc(), order, checkFloppies);
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
        return layout.below4G();
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
    public long placeFlash(RamBlock chip) {
        if (flashBottom == PcMemory.FOUR_GIB) {
            PcMemory.mapLow(core.memory(), scope, chip);
        }
        flashBottom -= chip.maxLength();
        return flashBottom;
    }

    @Override
    public String describeRoms() {
        return fwCfg().describeRoms(true)
                + layout.describeFirmware(core, config.bios())
                + fwCfg().describeRoms(false);
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
