package lockstep.devices.pc;

import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.node.BlockException;
import lockstep.devices.board.PcBoard;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.serial.IsaSerial;
import lockstep.devices.vga.VgaDevices;
import lockstep.qmp.JsonObject;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * The parts of a PC in the object tree, numbered as QEMU numbers them, and the drives of {@code -drive if=ide}. Each part
 * has the properties of its {@link BoardTypes type}; the table says what it was told that is not usual.
 */
final class BoardTree {
    /**
     * What differs between boards.
     *
     * @param below4G bytes of RAM below the PCI window
     * @param date what tells the guest's date
     * @param ports the serial and parallel ports
     */
    record Parts(
            long below4G,
            boolean vga,
            boolean hpet,
            Supplier<? extends Object> date,
            List<Device> ports) {}

    private static final long PCI_HOLE_END = 0xfec0_0000L;
    private static final int FUNCTION_PM = 1 << 3 | 3;
    private static final int FUNCTION_IDE = 1 << 3 | 1;
    private static final int FUNCTION_BRIDGE = 1 << 3;
    private static final int FUNCTION_VGA = 2 << 3;

    /** The names of the buses that parts sit on, by type. */
    private static final Map<String, String> BUSES =
            Map.of(
                    "System", "sysbus",
                    "PCI", "pci.0",
                    "ISA", "isa.0",
                    "floppy-bus", "floppy-bus.0",
                    "i2c-bus", "i2c");

    private static final Map<String, String> EMPTY_FLOPPY =
            Map.of(
                    "drive", "floppy0",
                    "drive-type", "288",
                    "unit", "0",
                    "logical_block_size", "512",
                    "physical_block_size", "512");

    private final PcBoard board;
    private final ObjectTree tree;
    private final MachineConfig config;
    private final CoreMachine core;
    private final @Nullable BlockLayer blocks;

    BoardTree(PcBoard board, Vmm vmm, MachineConfig config, CoreMachine core) {
        this.board = board;
        this.tree = vmm.objects();
        this.config = config;
        this.core = core;
        this.blocks = vmm.find(BlockLayer.class).orElse(null);
    }

    /** Adds everything. */
    void build(Parts parts) throws DeviceException {
        bus("/machine/unattached/sysbus", "System", "");
        at("/machine/fw_cfg", BoardTypes.FW_CFG_IO);
        at(
                "/machine/i440fx",
                BoardTypes.I440FX_HOST,
                QomProperty.of("pci-hole-start", "uint32", parts::below4G),
                QomProperty.of("pci-hole-end", "uint32", () -> PCI_HOLE_END));
        at("/machine/i440fx/ioapic", BoardTypes.IOAPIC);
        String[] power = {""};
        tree.add(
                "/machine/i440fx/pci.0",
                "PCI",
                List.of(
                        QomProperty.of("realized", "bool", () -> true),
                        QomProperty.of(
                                "hotplug-handler", "link<hotplug-handler>", () -> power[0])));
        processors();
        next(BoardTypes.KVMVAPIC, Map.of());
        next(BoardTypes.KVMCLOCK, Map.of());
        function(BoardTypes.I440FX, 0, Map.of());
        String bridge = function(BoardTypes.PIIX3, FUNCTION_BRIDGE, Map.of("multifunction", "on"));
        bus(bridge + "/isa.0", "ISA", "");
        next(BoardTypes.I8257, Map.of("pageh-base", "-1"));
        next(
                BoardTypes.I8257,
                Map.of("base", "192", "dshift", "1", "page-base", "136", "pageh-base", "-1"));
        next(
                BoardTypes.PIC,
                Map.of("elcr_addr", "1232", "elcr_mask", "248", "iobase", "32", "master", "on"));
        next(BoardTypes.PIC, Map.of("elcr_addr", "1233", "elcr_mask", "222", "iobase", "160"));
        if (parts.vga()) {
            function(
                    VgaDevices.TYPE,
                    FUNCTION_VGA,
                    Map.of("romsize", "65536", "xres", "1280", "yres", "800"));
        }
        if (parts.hpet()) {
            next(BoardTypes.HPET, Map.of("hpet-intcap", "4"));
        }
        next(
                BoardTypes.MC146818RTC,
                Map.of("base_year", "0"),
                QomProperty.of("date", "struct tm", parts.date()));
        String timer = next(BoardTypes.PIT, Map.of("iobase", "64"));
        next(BoardTypes.PCSPK, Map.of(), QomProperty.of("pit", "link<pit-common>", () -> timer));
        for (Device port : parts.ports()) {
            QomProperty[] shown = port.properties().toArray(QomProperty[]::new);
            if (port instanceof IsaSerial) {
                next(IsaSerial.TYPE, Map.of(), shown);
            } else {
                next(IsaParallel.TYPE, Map.of(), shown);
            }
        }
        floppies();
        String keyboard = next(BoardTypes.I8042, Map.of());
        next(BoardTypes.VMPORT, Map.of());
        next(BoardTypes.VMMOUSE, Map.of(), QomProperty.of("i8042", "link<i8042>", () -> keyboard));
        next(BoardTypes.PORT92, Map.of());
        String ide = function(BoardTypes.PIIX3_IDE, FUNCTION_IDE, Map.of());
        bus(ide + "/ide.0", "IDE", "");
        bus(ide + "/ide.1", "IDE", "");
        if (blocks != null) {
            for (int place = 0; place < 4; place++) {
                drive(blocks, place >> 1, place & 1);
            }
        }
        power[0] = function(BoardTypes.PIIX4_PM, FUNCTION_PM, Map.of("smb_io_base", "45312"));
        bus(power[0] + "/i2c", "i2c-bus", "");
        for (int i = 0; i < 8; i++) {
            next(BoardTypes.SMBUS_EEPROM, Map.of("address", Integer.toString(0x50 + i)));
        }
    }

    private void processors() {
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

    private void floppies() throws DeviceException {
        String controller =
                next(
                        BoardTypes.ISA_FDC,
                        Map.of(),
                        QomProperty.of("bootindexA", "int32", () -> -1L),
                        QomProperty.of("bootindexB", "int32", () -> -1L));
        bus(controller + "/floppy-bus.0", "floppy-bus", "");
        if (config.byDefault("floppy", "isa-fdc")) {
            emptyDrive("floppy0", next(BoardTypes.FLOPPY, EMPTY_FLOPPY));
        }
    }

    private void drive(BlockLayer layer, int bus, int unit) throws DeviceException {
        DriveInfo drive = layer.claim("ide", bus, unit);
        if (drive == null && bus == 1 && unit == 0 && config.byDefault("ide-cd", "ide-hd")) {
            BlockBackend empty = emptyDrive("ide1-cd0", null);
            drive = empty == null ? null : new DriveInfo("ide", bus, unit, true, "", empty);
        }
        if (drive != null) {
            IdeDrives.addOnBoard(board, core.service(Piix3Ide.class), drive, tree);
        }
    }

    /** A drive for media to come, unless the user has made one of that name. */
    private @Nullable BlockBackend emptyDrive(String name, @Nullable String device)
            throws DeviceException {
        if (blocks == null || blocks.backends().find(name) != null) {
            return null;
        }
        try {
            BlockBackend empty = blocks.backends().add(name);
            if (device != null) {
                empty.attachDevice(device, true, true);
            }
            return empty;
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    /** Adds the next part; gives its path. */
    private <O extends Record> String next(
            DeviceType<O> type, Map<String, String> told, QomProperty... own)
            throws DeviceException {
        return tree.addUnattached(type.name(), shown(type, tree.nextUnattached(), told, own))
                .path();
    }

    private <O extends Record> String function(
            DeviceType<O> type, int devfn, Map<String, String> told) throws DeviceException {
        String address = PciDevice.address(devfn);
        return next(
                type,
                told,
                QomProperty.of("addr", "int32", () -> (long) devfn),
                QomProperty.of("legacy-addr", "str", () -> address));
    }

    /** Adds a part that has a place of its own. */
    private <O extends Record> void at(String path, DeviceType<O> type, QomProperty... own)
            throws DeviceException {
        tree.add(path, type.name(), shown(type, path, Map.of(), own));
    }

    private <O extends Record> List<QomProperty> shown(
            DeviceType<O> type, String path, Map<String, String> told, QomProperty... own)
            throws DeviceException {
        JsonObject given = new JsonObject();
        told.forEach(given::put);
        String bus = BUSES.getOrDefault(type.home().type(), "");
        DeviceRequest<O> request =
                new DeviceRequest<>(
                        type, null, path, bus, false, type.options(given, false, Map.of()));
        Device part =
                new Device() {
                    @Override
                    public List<QomProperty> properties() {
                        return List.of(own);
                    }
                };
        List<QomProperty> all = new ArrayList<>(type.properties(request, part));
        all.add(tree.busLink(bus));
        return all;
    }

    private void bus(String path, String type, String handler) {
        tree.add(
                path,
                type,
                List.of(
                        QomProperty.of("realized", "bool", () -> true),
                        QomProperty.of("hotplug-handler", "link<hotplug-handler>", () -> handler)));
    }
}
