package lockstep.runtime.accelerator;

import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** Guest time (QEMU: vmstate "timer" v2), the reference of all timers in the stream. */
final class GuestTime implements StateSection {
    private final VmClocks clocks;
    private long ticks;

    GuestTime(VmClocks clocks) {
        this.clocks = clocks;
    }

    @Override
    public String name() {
        return "timer";
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public int minimumVersion() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        // Ticks count for emulated processors; those of a real one are its TSC, in "cpu".
        ticks = c.i64("cpu_ticks_offset", ticks);
        c.pad("unused", 8);
        long now = c.i64("cpu_clock_offset", c.version() >= 2 ? clocks.virtual() : 0);
        if (c.loading()) {
            if (now < 0) {
                throw c.invalid("the guest's clock in the stream is negative: " + now);
            }
            clocks.setVirtual(now);
        }
    }
}
