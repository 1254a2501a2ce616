package lockstep.devices.testdev;

import lockstep.api.PciTestdevOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/** The card as a PCI function (1b36:0005): the same tests by memory in BAR0 and by port in BAR1. */
public final class PciTestdev extends PciFunction {
    /** The type {@code pci-testdev}. */
    public static final DeviceType<PciTestdevOptions> TYPE =
            PciDevice.type(
                    "pci-testdev",
                    PciTestdevOptions::read,
                    PciTestdevOptions::write,
                    PciTestdevOptions.builder().membar(0L).build(),
                    PciTestdev::create);

    private static final int MEMORY_SIZE = 2048;
    private static final int PORT_SIZE = 128;
    private static final List<String> TESTS =
            List.of("no-eventfd", "wildcard-eventfd", "datamatch-eventfd");

    // The header that a guest reads: test, width, where to write, what to write, count, name.
    private static final int WIDTH = 1;
    private static final int OFFSET = 4;
    private static final int DATA = 8;
    private static final int COUNT = 12;
    private static final int NAME = 16;

    private final long thirdSize;
    private @Nullable Test running;

    private PciTestdev(long thirdSize) {
        super("pci-testdev", 0x1b36, 0x0005, 0, 0x00ff);
        this.thirdSize = thirdSize;
    }

    private static Device create(DeviceRequest<PciTestdevOptions> request, DeviceScope scope)
            throws DeviceException {
        long size = Objects.requireNonNullElse(request.options().membar(), 0L);
        if (size != 0 && (Long.bitCount(size) != 1 || size < 16)) {
            throw new DeviceException("membar must be a power of two, of 16 bytes at least");
        }
        PciTestdev card = new PciTestdev(size);
        PciDevice.attach(PcBoard.of(scope).pci(), card, request, scope);
        return new PciDevice(card, List.of());
    }

    @Override
    protected void realize() {
        memoryBar(0, "pci-testdev-mmio", 2 * MEMORY_SIZE, false, new Window("mmio", MEMORY_SIZE));
        portBar(1, "pci-testdev-portio", 2 * PORT_SIZE, new Window("portio", PORT_SIZE));
        if (thirdSize != 0) {
            emptyBar(2, thirdSize);
        }
    }

    @Override
    protected void reset() {
        running = null;
    }

    /**
     * One test.
     *
     * @param header what the guest reads
     * @param anyData whether every value counts
     * @param eventSize the width of writes that an event takes, which are not counted; 0 for any, -1 for none
     */
    private record Test(ByteBuffer header, boolean anyData, int eventSize) {
        private boolean matches(long at, long value) {
            return at == header.getInt(OFFSET) && (anyData || value == (header.get(DATA) & 0xff));
        }

        boolean takenByEvent(long at, int size, long value) {
            return (eventSize == 0 || eventSize == size) && matches(at, value);
        }

        void write(long at, int value) {
            if (matches(at, value)) {
                header.putInt(COUNT, header.getInt(COUNT) + 1);
            }
        }

        int read(long at) {
            return at + 1 < header.capacity() ? header.get((int) at) & 0xff : 0;
        }
    }

    /** One of the two ranges. */
    private final class Window implements IoHandler {
        private final String kind;
        private final int size;

        Window(String kind, int size) {
            this.kind = kind;
            this.size = size;
        }

        @Override
        public long read(long offset, int bytes) {
            long value = 0;
            Test test = running;
            for (int i = 0; test != null && i < bytes; i++) {
                value |= (long) test.read(offset + i) << 8 * i;
            }
            return value;
        }

        /** Wider writes come in bytes, unless an event takes them. */
        @Override
        public void write(long offset, int bytes, long value) {
            Test test = running;
            if (test != null && test.takenByEvent(offset, bytes, value)) {
                return;
            }
            for (int i = 0; i < bytes; i++) {
                write(offset + i, (int) (value >>> 8 * i) & 0xff);
            }
        }

        private void write(long at, int value) {
            Test test = running;
            if (at == 0) {
                running = value < TESTS.size() ? test(value) : null;
            } else if (test != null) {
                test.write(at, value);
            }
        }

        private Test test(int which) {
            boolean memory = kind.equals("mmio");
            int number = memory ? which : which + TESTS.size();
            byte[] name = (kind + "-" + TESTS.get(which)).getBytes(StandardCharsets.US_ASCII);
            boolean wildcard = which == 1;
            ByteBuffer header =
                    ByteBuffer.allocate(NAME + name.length + 1).order(ByteOrder.LITTLE_ENDIAN);
            header.put(0, (byte) number);
            header.put(WIDTH, (byte) 1);
            header.putInt(OFFSET, size + number);
            header.put(DATA, (byte) (wildcard ? 0xce : 0xfa));
            header.put(NAME, name);
            int eventSize = which == 0 ? -1 : wildcard && memory ? 0 : 1;
            return new Test(header, wildcard, eventSize);
        }
    }
}
