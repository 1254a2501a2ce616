package lockstep.devices.ide;

import lockstep.api.BiosAtaTranslation;
import lockstep.api.BlockdevOnError;
import lockstep.api.IdeDeviceOptions;
import lockstep.api.IdeDeviceOptionsMembers;
import lockstep.api.IdeHdOptions;
import lockstep.api.OnOffAuto;
import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.PcBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Makes {@code ide-hd} and {@code ide-cd} drives and plugs them into the buses {@code ide.0} and {@code ide.1}. */
public final class IdeDrives {
    private static final long UINT32 = 0xffff_ffffL;
    private static final String FIRMWARE = "2.5+";

    /** QEMU fills the secondary channel first. */
    private static final DeviceType.Home HOME =
            new DeviceType.Home(
                    "IDE",
                    false,
                    m -> {
                        Piix3Ide ide = Piix3Ide.of(PcBoard.of(m));
                        return ide.free(1, 0) || ide.free(1, 1) ? "ide.1" : "ide.0";
                    });

    /** What all drives are usually told. */
    private static final IdeDeviceOptions USUAL =
            IdeDeviceOptions.builder()
                    .backendDefaults(OnOffAuto.AUTO)
                    .logicalBlockSize(0L)
                    .physicalBlockSize(0L)
                    .minIoSize(0L)
                    .optIoSize(0L)
                    .discardGranularity(UINT32)
                    .writeCache(OnOffAuto.AUTO)
                    .shareRw(false)
                    .accountInvalid(OnOffAuto.AUTO)
                    .accountFailed(OnOffAuto.AUTO)
                    .rerror(BlockdevOnError.AUTO)
                    .werror(BlockdevOnError.AUTO)
                    .unit(UINT32)
                    .ver(FIRMWARE)
                    .wwn(0L)
                    .build();

    /** The type {@code ide-hd}. */
    public static final DeviceType<IdeHdOptions> DISK =
            DeviceType.of(
                            "ide-hd",
                            IdeHdOptions::read,
                            IdeHdOptions::write,
                            IdeHdOptions.builder()
                                    .cyls(0L)
                                    .heads(0L)
                                    .secs(0L)
                                    .lcyls(0L)
                                    .lheads(0L)
                                    .lsecs(0L)
                                    .biosChsTrans(BiosAtaTranslation.AUTO)
                                    .rotationRate(0)
                                    .build(),
                            HOME,
                            (r, s) -> create(r, s, false))
                    .over(USUAL, IdeDeviceOptions::write)
                    .checked(given -> check("ide-hd", given));

    /** The type {@code ide-cd}. */
    public static final DeviceType<IdeDeviceOptions> CD =
            DeviceType.of(
                            "ide-cd",
                            IdeDeviceOptions::read,
                            IdeDeviceOptions::write,
                            USUAL,
                            HOME,
                            (r, s) -> create(r, s, true))
                    .checked(given -> check("ide-cd", given));

    private IdeDrives() {}

    /** What distinguishes one drive. */
    private record Place(int bus, int unit) {}

    /** A drive as users see it. */
    private record IdeDevice(List<QomProperty> properties) implements Device {
        IdeDevice with(QomProperty more) {
            List<QomProperty> all = new ArrayList<>(properties);
            all.add(more);
            return new IdeDevice(all);
        }
    }

    private static Device create(
            DeviceRequest<? extends IdeDeviceOptionsMembers> request,
            DeviceScope scope,
            boolean cdrom)
            throws DeviceException {
        Machine machine = scope.machine();
        PcBoard board = PcBoard.of(machine);
        Piix3Ide ide = Piix3Ide.of(board);
        BlockLayer blocks = machine.service(BlockLayer.class);
        IdeDeviceOptionsMembers options = request.options();
        Place place = place(request, ide);
        Settings settings = settings(options, place);
        if (!ide.free(place.bus(), place.unit())) {
            throw new DeviceException("IDE unit " + place.unit() + " is in use");
        }
        BlockBackend backend = backend(request.driver(), blocks, options.drive(), cdrom);
        if (backend.name().isEmpty()) {
            scope.onClose(backend::close);
        }
        BootOrder order = board.bootOrder();
        int index = Objects.requireNonNullElse(options.bootindex(), -1);
        order.check(index);
        IdeDevice device = plug(ide, place, cdrom, backend, request.name(), settings, scope);
        String path = firmwarePath(ide, place);
        order.set(path, index, scope);
        if (options instanceof IdeHdOptions hd) {
            order.geometry(
                    path, orZero(hd.lcyls()), orZero(hd.lheads()), orZero(hd.lsecs()), scope);
        }
        return device.with(order.property(path));
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
            return blocks.backends().add("");
        } catch (BlockException e) {
            throw new DeviceException(
                    e.errno() == lockstep.runtime.linux.Errno.ENOENT
                            ? "Property '" + driver + ".drive' can't find value '" + drive + "'"
                            : String.valueOf(e.getMessage()),
                    e);
        }
    }

    private static Place place(
            DeviceRequest<? extends IdeDeviceOptionsMembers> request, Piix3Ide ide)
            throws DeviceException {
        Long wanted = request.options().unit();
        int bus = request.bus().equals("ide.0") ? 0 : 1;
        long unit = wanted != null && wanted != UINT32 ? wanted : ide.free(bus, 0) ? 0 : 1;
        if (unit > 1) {
            throw new DeviceException(
                    "Can't create IDE unit " + unit + ", bus supports only 2 units");
        }
        return new Place(bus, (int) unit);
    }

    private static void check(String driver, IdeDeviceOptionsMembers given) throws DeviceException {
        blockSize("logical_block_size", given.logicalBlockSize());
        blockSize("physical_block_size", given.physicalBlockSize());
        shortSize(driver, "min_io_size", given.minIoSize());
        shortSize(driver, "opt_io_size", given.optIoSize());
        shortSize(driver, "discard_granularity", given.discardGranularity());
    }

    private static void blockSize(String name, @Nullable Long value) throws DeviceException {
        if (value == null || value == 0) {
            return;
        }
        if (Long.compareUnsigned(value, 512) < 0
                || Long.compareUnsigned(value, 2 << 20) > 0
                || Long.bitCount(value) != 1) {
            throw new DeviceException(
                    "parameter " + name + " must be a power of 2 between 512 and 2097152");
        }
    }

    private static void shortSize(String driver, String name, @Nullable Long value)
            throws DeviceException {
        if (value != null && Long.compareUnsigned(value, UINT32) > 0) {
            throw new DeviceException(
                    "Property %s.%s doesn't take value %s (maximum: 4294967295)"
                            .formatted(driver, name, Long.toUnsignedString(value)));
        }
    }

    private static long orZero(@Nullable Long value) {
        return value == null ? 0 : value;
    }

    /** What shapes a drive: its options in effect, and what they do to it. */
    private record Settings(
            IdeDeviceOptionsMembers options,
            String serial,
            DriveIdentity.@Nullable Geometry geometry) {
        ErrorAction onError(@Nullable BlockdevOnError policy) {
            return policy == null ? ErrorAction.AUTO : ErrorAction.valueOf(policy.name());
        }

        DriveIdentity identity(boolean cdrom, BlockBackend backend) {
            String model = options.model();
            String version = options.ver();
            return new DriveIdentity(
                    serial,
                    model != null && !model.isEmpty()
                            ? model
                            : cdrom ? "QEMU DVD-ROM" : "QEMU HARDDISK",
                    version == null ? FIRMWARE : version,
                    orZero(options.wwn()),
                    options instanceof IdeHdOptions hd
                            ? (geometry == null ? found(backend) : geometry)
                                    .translated(hd.biosChsTrans())
                            : DriveIdentity.Geometry.of(0),
                    Long.numberOfTrailingZeros(physical() / AtaSpec.SECTOR),
                    options instanceof IdeHdOptions hd && hd.rotationRate() != null
                            ? hd.rotationRate()
                            : 0);
        }

        long physical() {
            long asked = orZero(options.physicalBlockSize());
            return asked == 0 ? AtaSpec.SECTOR : asked;
        }
    }

    private static Settings settings(IdeDeviceOptionsMembers o, Place place)
            throws DeviceException {
        String serial = o.serial();
        if (serial == null || serial.isEmpty()) {
            serial = "QM%05d".formatted(2 * place.bus() + place.unit() + 1);
        }
        Settings settings =
                new Settings(o, serial, o instanceof IdeHdOptions hd ? geometry(hd) : null);
        long logical = orZero(o.logicalBlockSize());
        if (logical > settings.physical()) {
            throw new DeviceException("logical_block_size > physical_block_size not supported");
        }
        if (logical != 0 && logical != AtaSpec.SECTOR) {
            throw new DeviceException("logical_block_size must be 512 for IDE");
        }
        multiple("min_io_size", o.minIoSize());
        multiple("opt_io_size", o.optIoSize());
        long granularity = orZero(o.discardGranularity());
        if (granularity != 0 && granularity != UINT32 && granularity != AtaSpec.SECTOR) {
            throw new DeviceException("discard_granularity must be 512 for ide");
        }
        counted("account-invalid", o.accountInvalid());
        counted("account-failed", o.accountFailed());
        return settings;
    }

    private static void multiple(String name, @Nullable Long value) throws DeviceException {
        if (value != null && value % AtaSpec.SECTOR != 0) {
            throw new DeviceException(name + " must be a multiple of logical_block_size");
        }
    }

    private static void counted(String name, @Nullable OnOffAuto value) throws DeviceException {
        if (value == OnOffAuto.OFF) {
            throw new DeviceException(name + "=off is not supported: all requests are counted");
        }
    }

    /** The one that the user says, null for none. */
    private static DriveIdentity.@Nullable Geometry geometry(IdeHdOptions o)
            throws DeviceException {
        long cylinders = orZero(o.cyls());
        long heads = orZero(o.heads());
        long sectors = orZero(o.secs());
        if (cylinders == 0 && heads == 0 && sectors == 0) {
            return null;
        }
        return DriveIdentity.Geometry.of(
                range("cyls", cylinders, 65535),
                range("heads", heads, 16),
                range("secs", sectors, 255));
    }

    /** The one that a disk seems to have. */
    private static DriveIdentity.Geometry found(BlockBackend backend) {
        long sectors = backend.length() / AtaSpec.SECTOR;
        if (sectors > 0) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment first = arena.allocate(AtaSpec.SECTOR, AtaSpec.SECTOR);
                backend.readBlocking(0, first);
                return DriveIdentity.Geometry.of(first.toArray(ValueLayout.JAVA_BYTE), sectors);
            } catch (BlockException e) {
                // Whoever uses the sector finds out.
            }
        }
        return DriveIdentity.Geometry.of(sectors);
    }

    private static int range(String name, long value, int max) throws DeviceException {
        if (value < 1 || value > max) {
            throw new DeviceException(name + " must be between 1 and " + max);
        }
        return (int) value;
    }

    private static IdeDevice plug(
            Piix3Ide ide,
            Place place,
            boolean cdrom,
            BlockBackend backend,
            String qdev,
            Settings s,
            DeviceScope scope)
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
        IdeDeviceOptionsMembers options = s.options();
        try {
            backend.attachDevice(qdev, cdrom, cdrom, Boolean.TRUE.equals(options.shareRw()));
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        scope.onClose(backend::detachDevice);
        backend.errors().set(s.onError(options.rerror()), s.onError(options.werror()));
        OnOffAuto cache = options.writeCache();
        if (cache == OnOffAuto.ON || cache == OnOffAuto.OFF) {
            backend.setWritethrough(cache == OnOffAuto.OFF);
        }
        DriveIdentity identity = s.identity(cdrom, backend);
        Drive plugged =
                new Drive(cdrom ? Drive.Kind.CDROM : Drive.Kind.DISK, identity, Disk.of(backend));
        ide.plug(place.bus(), place.unit(), plugged);
        scope.onClose(() -> ide.plug(place.bus(), place.unit(), new Drive()));
        if (cdrom) {
            backend.setTray(new CdTray(plugged, () -> ide.interrupt(place.bus())));
        }
        List<QomProperty> shown =
                new ArrayList<>(
                        List.of(
                                QomProperty.of("drive", "str", backend::shownName),
                                size("logical_block_size", AtaSpec.SECTOR),
                                size("physical_block_size", s.physical()),
                                size("discard_granularity", AtaSpec.SECTOR),
                                QomProperty.of("serial", "str", s::serial),
                                QomProperty.of("unit", "uint32", () -> (long) place.unit())));
        if (!cdrom) {
            DriveIdentity.Geometry g = identity.geometry();
            shown.add(QomProperty.of("cyls", "uint32", () -> (long) g.cylinders()));
            shown.add(QomProperty.of("heads", "uint32", () -> (long) g.heads()));
            shown.add(QomProperty.of("secs", "uint32", () -> (long) g.sectors()));
        }
        return new IdeDevice(shown);
    }

    private static QomProperty size(String name, long value) {
        return QomProperty.of(name, "size", () -> value);
    }
}
