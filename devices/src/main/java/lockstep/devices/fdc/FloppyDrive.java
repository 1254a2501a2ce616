package lockstep.devices.fdc;

import lockstep.api.FdcDriveType;
import lockstep.api.FloppyOptions;
import lockstep.api.OnOffAuto;
import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.devices.board.PcBoard;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** The part {@code floppy}: a drive whose diskettes users change. */
public final class FloppyDrive implements Device {
    /** The name of the bus that floppy drives are on. */
    static final String BUS = "floppy-bus.0";

    static final String BUS_TYPE = "floppy-bus";

    private static final long NEXT = 0xffff_ffffL;

    /** The type. */
    public static final DeviceType<FloppyOptions> TYPE =
            DeviceType.of(
                            "floppy",
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
                                    .unit(NEXT)
                                    .driveType(FdcDriveType.AUTO)
                                    .build(),
                            new DeviceType.Home(BUS_TYPE, false, m -> BUS),
                            FloppyDrive::new)
                    .plugged(DeviceType.Plugging.COLD);

    private final int unit;
    private final Drive drive;
    private final BlockBackend backend;

    private FloppyDrive(DeviceRequest<FloppyOptions> request, DeviceScope scope)
            throws DeviceException {
        FloppyOptions options = request.options();
        FloppyController controller = PcBoard.of(scope).part(FloppyController.class);
        unit = unit(options.unit(), controller);
        drive = controller.connector(unit);
        if (drive.connected()) {
            throw new DeviceException("Floppy unit " + unit + " is in use");
        }
        sector(options.logicalBlockSize());
        sector(options.physicalBlockSize());
        backend = backend(scope.machine().service(BlockLayer.class), options.drive());
        if (backend.name().isEmpty()) {
            scope.onClose(backend::close);
        }
        policy("werror", backend.errors().onWrite());
        policy("rerror", backend.errors().onRead());
        boolean share = Boolean.TRUE.equals(options.shareRw());
        try {
            backend.attachDevice(request.name(), true, backend.readOnly(), share);
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        scope.onClose(backend::detachDevice);
        OnOffAuto cache = options.writeCache();
        if (cache == OnOffAuto.ON || cache == OnOffAuto.OFF) {
            backend.setWritethrough(cache == OnOffAuto.OFF);
        }
        backend.onMediumChange(drive::mediumChanged);
        FdcDriveType kind = Objects.requireNonNullElse(options.driveType(), FdcDriveType.AUTO);
        drive.connect(backend, kind, controller.fallback());
        scope.onClose(drive::disconnect);
    }

    private static int unit(@Nullable Long wanted, FloppyController controller)
            throws DeviceException {
        long unit = wanted == null || wanted == NEXT ? 0 : wanted;
        if (wanted == null || wanted == NEXT) {
            while (unit < FloppyController.DRIVES && controller.connector((int) unit).connected()) {
                unit++;
            }
        }
        if (unit >= FloppyController.DRIVES) {
            throw new DeviceException(
                    "Can't create floppy unit %d, bus supports only %d units"
                            .formatted(unit, FloppyController.DRIVES));
        }
        return (int) unit;
    }

    private static void sector(@Nullable Long size) throws DeviceException {
        if (size != null && size != 0 && size != Drive.SECTOR) {
            throw new DeviceException("Physical and logical block size must be 512 for floppy");
        }
    }

    /** A failed sector is the guest's to deal with. */
    private static void policy(String option, ErrorAction action) throws DeviceException {
        if (action != ErrorAction.REPORT
                && !(option.equals("werror") && action == ErrorAction.ENOSPC)) {
            throw new DeviceException("fdc doesn't support drive option " + option);
        }
    }

    private static BlockBackend backend(BlockLayer blocks, @Nullable String name)
            throws DeviceException {
        try {
            return name == null ? blocks.backends().add("") : blocks.forDevice(name);
        } catch (BlockException e) {
            throw new DeviceException(
                    e.errno() == Errno.ENOENT
                            ? "Property 'floppy.drive' can't find value '" + name + "'"
                            : String.valueOf(e.getMessage()),
                    e);
        }
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of("drive", "str", backend::shownName),
                QomProperty.of("unit", "uint32", () -> (long) unit),
                QomProperty.of("logical_block_size", "size", () -> (long) Drive.SECTOR),
                QomProperty.of("physical_block_size", "size", () -> (long) Drive.SECTOR),
                QomProperty.of("drive-type", "FdcDriveType", () -> drive.kind().wireName()));
    }
}
