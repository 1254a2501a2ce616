package lockstep.devices.pc;

import lockstep.api.OnOffAuto;
import lockstep.api.PcMachineOptions;
import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.node.BlockException;
import lockstep.devices.dma.DmaController;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.fdc.FloppyController;
import lockstep.devices.fdc.FloppyDrive;
import lockstep.devices.flash.Flash;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.i440fx.HostBridge;
import lockstep.devices.i440fx.PciHost;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pc.Parts.Part;
import lockstep.devices.pc.Parts.Place;
import lockstep.devices.pcspk.Speaker;
import lockstep.devices.piix3.IsaBridge;
import lockstep.devices.piix4.PowerManagement;
import lockstep.devices.port92.Port92;
import lockstep.devices.ps2.Controller;
import lockstep.devices.rtc.Rtc;
import lockstep.devices.serial.IsaSerial;
import lockstep.devices.smbus.SpdEeprom;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.VgaDevices;
import lockstep.devices.vmport.VmMouse;
import lockstep.net.Nics;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.MachineConfig;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** The table of a PC's parts: what the board has, and what the user had it have. */
final class PcTable {
    private static final Set<String> NIC_MODELS = Set.of("e1000", "e1000-82540em");

    private final CoreMachine core;
    private final MachineConfig config;
    private final DeviceScope scope;
    private final List<Part> all = new ArrayList<>();

    private PcTable(CoreMachine core, MachineConfig config, DeviceScope scope) {
        this.core = core;
        this.config = config;
        this.scope = scope;
    }

    /**
     * The parts in the order in which QEMU 7.2 numbers them.
     *
     * @param scope holds the drives that are made for media to come
     */
    static List<Part> of(
            CoreMachine core, MachineConfig config, PcMachineOptions options, DeviceScope scope)
            throws DeviceException {
        PcTable table = new PcTable(core, config, scope);
        table.fill(options);
        return table.all;
    }

    /**
     * The chips of {@code -drive if=pflash}, which hold the firmware.
     *
     * @param most bytes that they may have together; null: 8 MiB
     */
    static List<Part> flash(CoreMachine core, @Nullable Long most) throws DeviceException {
        BlockLayer blocks = core.find(BlockLayer.class).orElse(null);
        if (blocks == null) {
            return List.of();
        }
        List<Part> chips = new ArrayList<>();
        long limit = most == null ? 8 << 20 : most;
        long total = 0;
        for (int unit = 0; unit < 2; unit++) {
            DriveInfo drive = blocks.claim("pflash", 0, unit);
            if (drive == null) {
                continue;
            }
            if (chips.size() != unit) {
                throw new DeviceException("pflash1 requires pflash0");
            }
            BlockBackend backend = drive.backend();
            if (!backend.present()) {
                throw new DeviceException(
                        "can't get size of block device " + backend.name() + ": No medium found");
            }
            long size = backend.length();
            if (size == 0 || size % Flash.BLOCK != 0) {
                throw new DeviceException(
                        "system firmware block device "
                                + backend.name()
                                + " has invalid size "
                                + size);
            }
            total += size;
            if (total > limit) {
                throw new DeviceException(
                        "combined size of system firmware exceeds " + limit + " bytes");
            }
            chips.add(
                    Part.of(
                                    Flash.TYPE,
                                    "drive=" + backend.name(),
                                    "num-blocks=" + size / Flash.BLOCK,
                                    "sector-length=" + Flash.BLOCK,
                                    "width=1",
                                    "name=system.flash" + unit)
                            .at("/machine/system.flash" + unit));
        }
        return chips;
    }

    private void fill(PcMachineOptions options) throws DeviceException {
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
        addPorts(IsaSerial.TYPE, config.serials(), IsaBus.Kind.SERIAL.most());
        addPorts(IsaParallel.TYPE, config.parallels(), Integer.MAX_VALUE);
        all.add(Part.of(FloppyController.TYPE));
        addFloppies();
        all.add(Part.of(Controller.TYPE));
        if (options.vmport() != OnOffAuto.OFF) {
            all.add(Part.of(BoardTypes.VMPORT));
            all.add(Part.of(VmMouse.TYPE));
        }
        all.add(Part.of(Port92.TYPE));
        addNics();
        all.add(Part.of(Piix3Ide.TYPE, "addr=1.1").in(Place.SOUTH));
        addDrives();
        all.add(Part.of(PowerManagement.TYPE, "addr=1.3", "smb_io_base=0xb100").in(Place.SOUTH));
        for (int i = 0; i < 8; i++) {
            all.add(Part.of(SpdEeprom.TYPE, "address=" + (SpdEeprom.BASE_ADDRESS + i)));
        }
        if (Boolean.TRUE.equals(options.usb())) {
            all.add(Part.of(UsbBuses.CONTROLLER, "addr=1.2"));
        }
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

    private void addPorts(DeviceType<?> type, List<? extends @Nullable Chardev> hosts, int most) {
        for (int i = 0; i < Math.min(hosts.size(), most); i++) {
            Chardev host = hosts.get(i);
            if (host != null) {
                all.add(Part.of(type, "index=" + i, "chardev=" + host.id()));
            }
        }
    }

    /** The network adapters of {@code -nic}. */
    private void addNics() throws DeviceException {
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
    private void addFloppies() throws DeviceException {
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
    private void addDrives() throws DeviceException {
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
    private @Nullable DriveInfo empty(BlockLayer blocks, String type, int bus, String name)
            throws DeviceException {
        if (blocks.backends().find(name) != null) {
            return null;
        }
        try {
            boolean cdrom = type.equals("ide");
            BlockBackend backend = blocks.backends().add(name);
            scope.onClose(backend::close);
            return new DriveInfo(type, bus, 0, cdrom, "", backend);
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }
}
