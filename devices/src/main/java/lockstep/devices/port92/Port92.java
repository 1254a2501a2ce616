package lockstep.devices.port92;

import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** Port 0x92. QEMU: vmstate "port92" v1. Used under the machine lock. */
public final class Port92 implements IoHandler, StateSection {
    private static final int FAST_RESET = 0x01;

    /** The coprocessor error interrupt, which port 0xf0 clears. */
    private static final int FERR = 13;

    private final Runnable resetRequest;
    private int output;

    /** Maps the port; {@code resetRequest} resets the machine. */
    public Port92(Machine machine, Runnable resetRequest) {
        this.resetRequest = resetRequest;
        machine.ports().mapIo("port92", 0x92, 1, 0, this);
        machine.onReset(() -> output = 0);
        machine.state().register(this);
    }

    /** Maps ports 0x80 and 0xf0. */
    public static void mapInertPorts(Machine machine) {
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
        Irq ferr = machine.gsi(FERR);
        machine.ports().mapIo("ioport80", 0x80, 1, 0, inert);
        machine.ports()
                .mapIo(
                        "ioportF0",
                        0xf0,
                        1,
                        0,
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
            resetRequest.run();
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
