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
    private long loaded;
    private boolean agreed;
    private boolean kernelCounts;

    /** With the state of the first vCPU, which is up to date when sections are saved. */
    GuestTime(VmClocks clocks, VcpuState first) {
        this.clocks = clocks;
        this.first = first;
    }

    /** The stream has what only a kernel's virtual machine has. */
    void kernelCounts() {
        kernelCounts = true;
    }

    /**
     * What a vCPU's time stamp counter shows, from the stream last loaded. QEMU's emulated processors have it in this
     * section alone, and hand on unchanged what was in theirs when they got it. Where KVM had it the two differ as well;
     * such a stream is told by its kvmclock, or by its local APICs, which count from the moment of saving where they are
     * the kernel's. With neither, and a rate that only KVM knows, it may be from KVM or handed on: the later one, as a
     * guest can do without some time, but not without the order of things. What Lockstep saves says the same twice.
     *
     * @param own what the vCPU's section has
     * @param rated whether that has a rate too
     * @param first whether it is the first vCPU, of which this section speaks
     * @param counting since when the vCPU's local APIC counts
     */
    long timestamp(long own, boolean rated, boolean first, long counting) {
        if (first) {
            agreed = own == ticks;
        }
        if (agreed || kernelCounts || counting == loaded) {
            return own;
        }
        return rated ? Math.max(own, ticks) : ticks;
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
        ticks = c.i64("cpu_ticks_offset", c.loading() ? 0 : first.tsc);
        c.pad("unused", 8);
        long now = c.i64("cpu_clock_offset", c.version() >= 2 ? clocks.virtual() : 0);
        if (c.loading()) {
            if (now < 0) {
                throw c.invalid("the guest's clock in the stream is negative: " + now);
            }
            loaded = now;
            kernelCounts = false;
            clocks.setVirtual(now);
        }
    }
}
