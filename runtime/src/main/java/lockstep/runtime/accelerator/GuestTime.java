package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** Guest time (QEMU: vmstate "timer" v2), the reference of all timers in the stream. */
final class GuestTime implements StateSection {
    private final VmClocks clocks;
    private final VcpuState first;
    private long ticks;

    /** With the state of the first vCPU, which is up to date when sections are saved. */
    GuestTime(VmClocks clocks, VcpuState first) {
        this.clocks = clocks;
        this.first = first;
    }

    /** What a processor's time stamp counter showed whose emulator has it here alone, from the stream last loaded. */
    long ticks() {
        return ticks;
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
        // QEMU's emulated processors have their TSC here; those of a real one are in "cpu".
        ticks = c.i64("cpu_ticks_offset", c.loading() ? 0 : first.tsc);
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
