package lockstep.devices.ide;

import lockstep.block.BlockBackend;
import lockstep.block.BlockException;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.ErrorAction;
import lockstep.devices.pc.PcBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** Makes {@code ide-hd} and {@code ide-cd} drives and plugs them into the buses {@code ide.0} and {@code ide.1}. */
public final class IdeDrives {
    private static final long UINT32 = 0xffff_ffffL;
    private static final String FIRMWARE = "2.5+";

    private IdeDrives() {}

    /** What distinguishes one drive. */
    private record Place(int bus, int unit) {}

    /** A drive as users see it. */
    private record IdeDevice(String bus, List<QomProperty> properties) implements Device {}

    /** The factory of {@code ide-hd}. */
    public static Device createDisk(DeviceOptions options, Machine machine) throws DeviceException {
        return create(options, machine, false);
    }

    /** The factory of {@code ide-cd}. */
    public static Device createCdrom(DeviceOptions options, Machine machine)
            throws DeviceException {
        return create(options, machine, true);
    }

    /**
     * Makes the drive of a {@code -drive if=ide} option, with its default properties.
     *
     * @param qdev what management calls the device
     */
    public static Device fromDrive(Piix3Ide ide, DriveInfo drive, String qdev)
            throws DeviceException {
        Place place = new Place(drive.bus(), drive.unit());
        if (place.bus() > 1 || place.unit() > 1) {
            throw new DeviceException(
                    "Can't create IDE unit " + drive.unit() + ", bus supports only 2 units");
        }
        DeviceOptions none =
                new DeviceOptions(
                        drive.cdrom() ? "ide-cd" : "ide-hd", null, null, java.util.Map.of());
        return plug(
                ide,
                place,
                drive.cdrom(),
                drive.backend(),
                qdev,
                settings(none, place, drive.cdrom(), drive.serial()));
    }

    private static Device create(DeviceOptions options, Machine machine, boolean cdrom)
            throws DeviceException {
        PcBoard board = machine.vmm().service(PcBoard.class);
        BlockLayer blocks = machine.vmm().service(BlockLayer.class);
        Place place = place(options, board.ide());
        String drive = options.string("drive");
        Settings settings = settings(options, place, cdrom, "");
        long bootIndex = options.integer("bootindex", -1, -1, Integer.MAX_VALUE);
        options.finish();
        if (!board.ide().free(place.bus(), place.unit())) {
            throw new DeviceException("IDE unit " + place.unit() + " is in use");
        }
        BlockBackend backend = backend(options.driver(), blocks, drive, cdrom);
        Device device = plug(board.ide(), place, cdrom, backend, options.name(), settings);
        if (bootIndex >= 0) {
            try {
                board.boot((int) bootIndex, firmwarePath(board.ide(), place));
            } catch (IllegalArgumentException e) {
                throw new DeviceException(String.valueOf(e.getMessage()), e);
            }
        }
        return device;
    }

    /** The firmware's name of a drive. */
    private static String firmwarePath(Piix3Ide ide, Place place) {
        return "/pci@i0cf8/ide@%x,%x/drive@%x/disk@%x"
                .formatted(ide.devfn() >> 3, ide.devfn() & 7, place.bus(), place.unit());
    }

    private static BlockBackend backend(
            String driver, BlockLayer blocks, @Nullable String drive, boolean cdrom)
            throws DeviceException {
        try {
            if (drive != null) {
                return blocks.forDevice(drive);
            }
            if (!cdrom) {
                throw new DeviceException("No drive specified");
            }
            BlockBackend empty = new BlockBackend(blocks.graph(), "");
            blocks.graph().addBackend(empty);
            return empty;
        } catch (BlockException e) {
            throw new DeviceException(
                    e.errno() == lockstep.block.Errno.ENOENT
                            ? "Property '" + driver + ".drive' can't find value '" + drive + "'"
                            : String.valueOf(e.getMessage()),
                    e);
        }
    }

    /** The bus that a drive with these options would go to. */
    public static String bus(DeviceOptions options, Machine machine) throws DeviceException {
        return "ide." + place(options, machine.vmm().service(PcBoard.class).ide()).bus();
    }

    private static Place place(DeviceOptions options, Piix3Ide ide) throws DeviceException {
        long unit = options.integer("unit", -1, 0, UINT32);
        String name = options.bus();
        int bus;
        if (name == null) {
            // QEMU fills the secondary channel first.
            bus = ide.free(1, 0) || ide.free(1, 1) ? 1 : 0;
        } else if (name.equals("ide.0") || name.equals("ide.1")) {
            bus = name.charAt(4) - '0';
        } else {
            throw new DeviceException("Bus '" + name + "' not found");
        }
        if (unit < 0 || unit == UINT32) {
            unit = ide.free(bus, 0) ? 0 : 1;
        }
        if (unit > 1) {
            throw new DeviceException(
                    "Can't create IDE unit " + unit + ", bus supports only 2 units");
        }
        return new Place(bus, (int) unit);
    }

    /** The properties that shape a drive. */
    private record Settings(
            String serial,
            String model,
            String firmware,
            long wwn,
            int cylinders,
            int heads,
            int sectors,
            int physicalExponent,
            ErrorAction readError,
            ErrorAction writeError,
            String writeCache) {}

    private static Settings settings(
            DeviceOptions o, Place place, boolean cdrom, String driveSerial)
            throws DeviceException {
        String serial = o.string("serial", driveSerial);
        if (serial.isEmpty()) {
            serial = "QM%05d".formatted(2 * place.bus() + place.unit() + 1);
        }
        long cylinders = 0;
        long heads = 0;
        long sectors = 0;
        if (!cdrom) {
            cylinders = o.integer("cyls", 0, 0, UINT32);
            heads = o.integer("heads", 0, 0, UINT32);
            sectors = o.integer("secs", 0, 0, UINT32);
            for (String ignored : List.of("lcyls", "lheads", "lsecs", "bios-chs-trans")) {
                o.string(ignored);
            }
            if (cylinders != 0 || heads != 0 || sectors != 0) {
                range("cyls", cylinders, 65535);
                range("heads", heads, 16);
                range("secs", sectors, 255);
            }
        }
        long logical = o.size("logical_block_size", 512, 512, 2 << 20);
        long physical = o.size("physical_block_size", 512, 512, 2 << 20);
        if (Long.bitCount(physical) != 1 || Long.bitCount(logical) != 1) {
            throw new DeviceException(
                    "physical_block_size and logical_block_size must be powers of 2");
        }
        if (logical > physical) {
            throw new DeviceException("logical_block_size > physical_block_size not supported");
        }
        if (logical != 512) {
            throw new DeviceException("logical_block_size must be 512 for IDE");
        }
        for (String ignored :
                List.of(
                        "backend_defaults",
                        "min_io_size",
                        "opt_io_size",
                        "discard_granularity",
                        "share-rw",
                        "account-invalid",
                        "account-failed",
                        "stats-intervals",
                        "win2k-install-hack")) {
            o.string(ignored);
        }
        return new Settings(
                serial,
                o.string("model", cdrom ? "QEMU DVD-ROM" : "QEMU HARDDISK"),
                o.string("ver", FIRMWARE),
                o.uint64("wwn", 0),
                (int) cylinders,
                (int) heads,
                (int) sectors,
                Long.numberOfTrailingZeros(physical / 512),
                errorAction(o, "rerror"),
                errorAction(o, "werror"),
                o.string("write-cache", "auto"));
    }

    private static void range(String name, long value, int max) throws DeviceException {
        if (value < 1 || value > max) {
            throw new DeviceException(name + " must be between 1 and " + max);
        }
    }

    private static ErrorAction errorAction(DeviceOptions o, String name) throws DeviceException {
        String value = o.string(name, "auto");
        return switch (value) {
            case "auto" -> ErrorAction.AUTO;
            case "ignore" -> ErrorAction.IGNORE;
            case "report" -> ErrorAction.REPORT;
            case "stop" -> ErrorAction.STOP;
            case "enospc" -> ErrorAction.ENOSPC;
            default ->
                    throw new DeviceException(
                            "Property '"
                                    + o.driver()
                                    + "."
                                    + name
                                    + "' doesn't take value '"
                                    + value
                                    + "'");
        };
    }

    private static Device plug(
            Piix3Ide ide, Place place, boolean cdrom, BlockBackend backend, String qdev, Settings s)
            throws DeviceException {
        if (!ide.free(place.bus(), place.unit())) {
            throw new DeviceException("IDE unit " + place.unit() + " is in use");
        }
        if (!cdrom && !backend.present()) {
            throw new DeviceException("Device needs media, but drive is empty");
        }
        if (!cdrom && backend.readOnly()) {
            throw new DeviceException("Block node is read-only");
        }
        try {
            backend.attachDevice(qdev, cdrom, cdrom);
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        backend.setErrorActions(s.readError(), s.writeError());
        switch (s.writeCache()) {
            case "on" -> backend.setWritethrough(false);
            case "off" -> backend.setWritethrough(true);
            case "auto" -> {}
            default ->
                    throw new DeviceException(
                            "Parameter 'write-cache' does not accept value '"
                                    + s.writeCache()
                                    + "'");
        }
        long sectors = backend.length() / AtaSpec.SECTOR;
        DriveIdentity.Geometry geometry =
                s.cylinders() == 0
                        ? DriveIdentity.Geometry.of(sectors)
                        : new DriveIdentity.Geometry(s.cylinders(), s.heads(), s.sectors());
        DriveIdentity identity =
                new DriveIdentity(
                        s.serial(),
                        s.model(),
                        s.firmware(),
                        s.wwn(),
                        geometry,
                        s.physicalExponent());
        Drive plugged =
                new Drive(cdrom ? Drive.Kind.CDROM : Drive.Kind.DISK, identity, Disk.of(backend));
        ide.plug(place.bus(), place.unit(), plugged);
        if (cdrom) {
            backend.setTray(new CdTray(plugged, () -> ide.interrupt(place.bus())));
        }
        String bus = "ide." + place.bus();
        String drive = backend.name();
        return new IdeDevice(
                bus,
                List.of(
                        QomProperty.of("drive", "str", () -> drive),
                        QomProperty.of("logical_block_size", "size", () -> (long) AtaSpec.SECTOR),
                        QomProperty.of("ver", "str", s::firmware),
                        QomProperty.of("serial", "str", s::serial),
                        QomProperty.of("model", "str", s::model),
                        QomProperty.of("unit", "uint32", () -> (long) place.unit())));
    }
}
