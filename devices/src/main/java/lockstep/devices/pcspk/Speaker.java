package lockstep.devices.pcspk;

import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** Port 0x61. QEMU: vmstate "pcspk" v1. Used under the machine lock. */
public final class Speaker implements IoHandler, StateSection {
    /** Counter 2 of the interval timer. */
    public interface Counter {
        /** Whether the gate input is high. */
        boolean gate();

        /** Drives the gate input. */
        void gate(boolean level);

        /** The output's present level. */
        boolean output();
    }

    private static final int GATE = 0x01;
    private static final int DATA = 0x02;

    private final Counter counter;
    private int data;
    private int refresh;

    /** Maps the port. */
    public Speaker(Machine machine, Counter counter) {
        this.counter = counter;
        machine.ports().mapIo("pcspk", 0x61, 1, 0, this);
        machine.onReset(() -> data = 0);
        machine.state().register(this);
    }

    @Override
    public long read(long offset, int size) {
        // Software measures time by the refresh bit's toggling, however coarsely.
        refresh ^= 1;
        return (counter.gate() ? GATE : 0)
                | data << 1
                | refresh << 4
                | (counter.output() ? 0x20 : 0);
    }

    @Override
    public void write(long offset, int size, long value) {
        data = (value & DATA) != 0 ? 1 : 0;
        counter.gate((value & GATE) != 0);
    }

    @Override
    public String name() {
        return "pcspk";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        data = c.u8("data_on", data) & 1;
        refresh = c.u8("dummy_refresh_clock", refresh) & 1;
    }
}
