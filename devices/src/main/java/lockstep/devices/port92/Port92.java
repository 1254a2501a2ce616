package lockstep.devices.port92;

import lockstep.api.NoDeviceOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** Port 0x92. QEMU: vmstate "port92" v1. Used under the machine lock. */
public final class Port92 implements IoHandler, StateSection, Device {
    /** The type. */
    public static final DeviceType<NoDeviceOptions> TYPE =
            DeviceType.of(
                            "port92",
                            NoDeviceOptions::read,
                            NoDeviceOptions::write,
                            new NoDeviceOptions(),
                            IsaBus.HOME,
                            (request, scope) -> new Port92(scope))
                    .builtIn();

    private static final int FAST_RESET = 0x01;

    /** The coprocessor error interrupt, which port 0xf0 clears. */
    private static final int FERR = 13;

    private final PcBoard board;
    private int output;

    private Port92(DeviceScope scope) {
        board = PcBoard.of(scope);
        scope.ports("port92", 0x92, 1, this);
        scope.onReset(() -> output = 0);
        scope.section(this);
    }

    /** Maps ports 0x80 and 0xf0. */
    public static void mapInertPorts(DeviceScope scope) {
        IoHandler inert =
                new IoHandler() {
                    @Override
                    public long read(long offset, int size) {
                        return -1;
                    }

                    @Override
                    public void write(long offset, int size, long value) {
                        // POST codes go nowhere.
                    }
                };
        Irq ferr = scope.machine().gsi(FERR);
        scope.ports("ioport80", 0x80, 1, inert);
        scope.ports(
                "ioportF0",
                0xf0,
                1,
                new IoHandler() {
                    @Override
                    public long read(long offset, int size) {
                        return -1;
                    }

                    @Override
                    public void write(long offset, int size, long value) {
                        ferr.set(false);
                    }
                });
    }

    @Override
    public long read(long offset, int size) {
        return output;
    }

    @Override
    public void write(long offset, int size, long value) {
        int was = output;
        output = (int) value & 0xff;
        if ((was & FAST_RESET) == 0 && (output & FAST_RESET) != 0) {
            board.requestReset();
        }
    }

    @Override
    public String name() {
        return "port92";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        output = c.u8("outport", output);
    }
}
