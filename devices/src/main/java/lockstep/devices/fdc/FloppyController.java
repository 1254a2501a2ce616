package lockstep.devices.fdc;

import lockstep.api.FdcDriveType;
import lockstep.api.IsaFdcOptions;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;
import java.util.Objects;

/** The controller at ports 0x3f1 to 0x3f5 and 0x3f7. QEMU: vmstate "fdc" v2. Under the machine lock. */
public final class FloppyController implements StateSection, Device {
    /** How many drives it has connectors for. */
    public static final int DRIVES = 2;

    private static final int BASE = 0x3f0;
    private static final String FIRMWARE_PATH = "/pci@i0cf8/isa@1/fdc@03f0/floppy@";
    private static final int IRQ = 6;
    private static final int DMA = 2;

    /** The type. */
    public static final DeviceType<IsaFdcOptions> TYPE =
            DeviceType.of(
                            "isa-fdc",
                            IsaFdcOptions::read,
                            IsaFdcOptions::write,
                            IsaFdcOptions.builder()
                                    .dma((long) DMA)
                                    .fallback(FdcDriveType._288)
                                    .fdtypeA(FdcDriveType.AUTO)
                                    .fdtypeB(FdcDriveType.AUTO)
                                    .iobase((long) BASE)
                                    .irq((long) IRQ)
                                    .build(),
                            IsaBus.HOME,
                            FloppyController::new)
                    .builtIn("fallback", "bootindexA", "bootindexB");

    private final FdcChip chip;
    private final FdcDriveType fallback;
    private final BootOrder bootOrder;

    private FloppyController(DeviceRequest<IsaFdcOptions> request, DeviceScope scope)
            throws DeviceException {
        fallback = Objects.requireNonNullElse(request.options().fallback(), FdcDriveType._288);
        if (fallback == FdcDriveType.AUTO) {
            throw new DeviceException("Cannot choose a fallback FDrive type of 'auto'");
        }
        PcBoard board = PcBoard.of(scope);
        chip =
                new FdcChip(
                        board.isa().irq(IRQ),
                        board.isa().dma(DMA),
                        callback -> scope.timer(ClockType.VIRTUAL, callback),
                        scope.machine().clocks()::virtual);
        scope.ports("fdc", BASE + FdcSpec.SRB, 5, registers(FdcSpec.SRB));
        scope.ports("fdc", BASE + FdcSpec.DIR, 1, registers(FdcSpec.DIR));
        scope.onReset(chip::systemReset);
        scope.section(this);
        board.acpi().addIsa(() -> FloppyTerms.of(BASE, IRQ, DMA, kinds()), scope);
        bootOrder = board.bootOrder();
        IsaFdcOptions o = request.options();
        bootOrder.set(FIRMWARE_PATH + 0, Objects.requireNonNullElse(o.bootindexA(), -1), scope);
        bootOrder.set(FIRMWARE_PATH + 1, Objects.requireNonNullElse(o.bootindexB(), -1), scope);
    }

    private IoHandler registers(int first) {
        return new IoHandler() {
            @Override
            public int maxAccess() {
                return 1;
            }

            @Override
            public long read(long offset, int size) {
                return chip.read(first + (int) offset);
            }

            @Override
            public void write(long offset, int size, long value) {
                chip.write(first + (int) offset, (int) value & 0xff);
            }
        };
    }

    /** Where a drive is connected, 0 or 1. */
    Drive connector(int n) {
        return chip.connector(n);
    }

    /** The kind of a drive whose medium tells none. */
    FdcDriveType fallback() {
        return fallback;
    }

    /** What kinds of drives are connected, {@link FdcDriveType#NONE} where none is. */
    public List<FdcDriveType> kinds() {
        return List.of(chip.connector(0).kind(), chip.connector(1).kind());
    }

    /** The number by which the BIOS knows a kind of drive: IBM PC/AT technical reference, CMOS byte 10h. */
    public static int biosType(FdcDriveType kind) {
        return switch (kind) {
            case _120 -> 2;
            case _144 -> 4;
            case _288 -> 5;
            default -> 0;
        };
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                bootOrder.property("bootindexA", FIRMWARE_PATH + 0),
                bootOrder.property("bootindexB", FIRMWARE_PATH + 1));
    }

    @Override
    public List<Bus> buses() {
        return List.of(new Bus(FloppyDrive.BUS, FloppyDrive.BUS_TYPE));
    }

    @Override
    public String name() {
        return "fdc";
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct("state", "fdc", 2, chip::describe);
    }

    @Override
    public void afterLoad(int version) {
        chip.loaded();
    }
}
