package lockstep.devices.edu;

import lockstep.api.EduOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.MessageInterrupt;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.qmp.JsonNumber;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import java.util.List;
import java.util.Objects;

/** The card as a PCI function (1234:11e8): registers in BAR0, one interrupt pin or message. */
public final class Edu extends PciFunction {
    private static final long DEFAULT_MASK = (1 << 28) - 1;

    /** The type {@code edu}. */
    public static final DeviceType<EduOptions> TYPE =
            PciDevice.type(
                    "edu",
                    EduOptions::read,
                    EduOptions::write,
                    EduOptions.builder().build(),
                    Edu::create);

    private static final int BAR_SIZE = 1 << 20;
    private static final long COPY_TIME = 100_000_000;

    private final long mask;
    private final MessageInterrupt message = new MessageInterrupt(this);

    private Edu(long mask) {
        super("edu", 0x1234, 0x11e8, 0x10, 0x00ff);
        this.mask = mask;
        interruptPin(1);
    }

    private static Device create(DeviceRequest<EduOptions> request, DeviceScope scope)
            throws DeviceException {
        Edu edu = new Edu(Objects.requireNonNullElse(request.options().dmaMask(), DEFAULT_MASK));
        PcBoard board = PcBoard.of(scope);
        PciDevice.attach(board.pci(), edu, request, scope);
        return new PciDevice(
                edu,
                List.of(
                        QomProperty.of(
                                "dma_mask", "uint64", () -> JsonNumber.ofUnsigned(edu.mask))));
    }

    @Override
    protected void realize() {
        Registers registers = new Registers();
        memoryBar(0, "edu-mmio", BAR_SIZE, false, registers);
    }

    @Override
    protected void reset() {
        message.reset();
    }

    /** BAR0, and what the chip needs. */
    private final class Registers implements IoHandler, EduChip.Board {
        private final EduChip chip = new EduChip(this, machine().dma(), mask);
        private final Timer computation = scope().timer(ClockType.VIRTUAL, chip::computed);
        private final Timer copy = scope().timer(ClockType.VIRTUAL, chip::copied);

        @Override
        public long read(long offset, int size) {
            return chip.read((int) offset, size);
        }

        @Override
        public void write(long offset, int size, long value) {
            chip.write((int) offset, size, value);
        }

        @Override
        public int maxAccess() {
            return 8;
        }

        @Override
        public void raise() {
            if (message.enabled()) {
                message.send();
            } else {
                setIrq(true);
            }
        }

        @Override
        public void lower() {
            setIrq(false);
        }

        @Override
        public void computeLater() {
            computation.arm(machine().clocks().virtual());
        }

        @Override
        public void copyLater() {
            copy.arm(machine().clocks().virtual() + COPY_TIME);
        }

        @Override
        public boolean busMaster() {
            return Edu.this.busMaster();
        }
    }
}
