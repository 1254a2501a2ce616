package lockstep.devices.testdev;

import lockstep.api.NoDeviceOptions;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

/**
 * The device {@code pc-testdev}: ports that keep what is written (0xe0 to 0xe3, and the same byte by byte from 0xe8), ports that drive the ISA interrupts
 * (0x2000 to 0x2017), and memory that keeps what is written (64 KiB at 0xff000000). Used under the machine lock.
 */
public final class PcTestdev implements Device {
    /** The type. */
    public static final DeviceType<NoDeviceOptions> TYPE =
            DeviceType.of(
                    "pc-testdev",
                    NoDeviceOptions::read,
                    NoDeviceOptions::write,
                    new NoDeviceOptions(),
                    IsaBus.HOME,
                    PcTestdev::new);

    private static final int KEPT_PORT = 0xe0;
    private static final int BYTE_PORT = 0xe8;
    private static final int IRQ_PORT = 0x2000;
    private static final int IRQS = 24;
    private static final long MEMORY = 0xff000000L;
    private static final int MEMORY_SIZE = 0x10000;

    private PcTestdev(DeviceRequest<NoDeviceOptions> request, DeviceScope scope) {
        byte[] kept = new byte[4];
        scope.ports("pc-testdev-ioport", KEPT_PORT, 4, new Kept(kept, 4));
        scope.ports("pc-testdev-ioport-byte", BYTE_PORT, 4, new Kept(kept, 1));
        scope.ports(
                "pc-testdev-irq-line",
                IRQ_PORT,
                IRQS,
                new IoHandler() {
                    @Override
                    public int maxAccess() {
                        return 1;
                    }

                    @Override
                    public long read(long offset, int size) {
                        return 0;
                    }

                    @Override
                    public void write(long offset, int size, long value) {
                        scope.machine().gsi((int) offset).set(value != 0);
                    }
                });
        scope.own(
                scope.machine()
                        .memory()
                        .mapIo(
                                "pc-testdev-iomem",
                                MEMORY,
                                MEMORY_SIZE,
                                2,
                                new Kept(new byte[MEMORY_SIZE], 4)));
    }

    /** Bytes that stay. */
    private static final class Kept implements IoHandler {
        private final byte[] bytes;

        private final int width;

        Kept(byte[] bytes, int width) {
            this.bytes = bytes;
            this.width = width;
        }

        @Override
        public int maxAccess() {
            return width;
        }

        @Override
        public long read(long offset, int size) {
            long value = 0;
            for (int i = 0; i < size; i++) {
                value |= (bytes[(int) offset + i] & 0xffL) << 8 * i;
            }
            return value;
        }

        @Override
        public void write(long offset, int size, long value) {
            for (int i = 0; i < size; i++) {
                bytes[(int) offset + i] = (byte) (value >>> 8 * i);
            }
        }
    }
}
