package lockstep.devices.fdc;

import lockstep.api.FdcDriveType;
import lockstep.api.FloppyOptions;
import lockstep.api.OnOffAuto;
import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.node.BlockException;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

/** The part {@code floppy}: a drive without a disk. */
public final class FloppyDrive implements Device {
    /** The name of the bus that floppy drives are on. */
    static final String BUS = "floppy-bus.0";

    static final String BUS_TYPE = "floppy-bus";

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
                                    .unit(0xffff_ffffL)
                                    .driveType(FdcDriveType.AUTO)
                                    .build(),
                            new DeviceType.Home(BUS_TYPE, false, m -> BUS),
                            FloppyDrive::create)
                    .builtIn();

    private FloppyDrive() {}

    /** Makes the back end, unless the user has made one of that name. */
    private static Device create(DeviceRequest<FloppyOptions> request, DeviceScope scope)
            throws DeviceException {
        BlockLayer blocks = scope.machine().find(BlockLayer.class).orElse(null);
        String name = request.options().drive();
        if (blocks != null && name != null && blocks.backends().find(name) == null) {
            try {
                BlockBackend backend = blocks.backends().add(name);
                backend.attachDevice(request.name(), true, true);
                scope.onClose(backend::detachDevice);
            } catch (BlockException e) {
                throw new DeviceException(String.valueOf(e.getMessage()), e);
            }
        }
        return new FloppyDrive();
    }
}
