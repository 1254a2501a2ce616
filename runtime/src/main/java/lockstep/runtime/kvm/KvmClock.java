package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/**
 * The kvmclock that a paravirtual guest reads (QEMU: vmstate "kvmclock" v1). It stands still while the
 * machine is stopped: taken at the stop, set before the vCPUs go on.
 */
final class KvmClock implements GuestClock {
    // struct pvclock_vcpu_time_info (kernel: pvclock-abi.h)
    private static final int TSC_TIMESTAMP = 8;
    private static final int SYSTEM_TIME = 16;
    private static final int MULTIPLIER = 24;
    private static final int SHIFT = 28;

    private final KvmVm vm;
    private final VcpuState first;
    private final GuestMemory memory;
    private long nanoseconds;
    private boolean reliable;
    private boolean loaded;
    private Arrival arrival = () -> {};

    KvmClock(KvmVm vm, VcpuState first, GuestMemory memory) {
        this.vm = vm;
        this.first = first;
        this.memory = memory;
    }

    @Override
    public void paused() throws KvmException {
        KvmVm.Clock clock = vm.clock();
        nanoseconds = clock.nanoseconds();
        reliable = clock.stable();
        loaded = false;
    }

    @Override
    public void resuming() throws KvmException {
        if (loaded && !reliable) {
            // The sender's kernel could not tell the guest's time exactly; the guest's own page
            // can.
            long exact = fromGuestPage();
            if (exact > 0) {
                nanoseconds = exact;
            }
        }
        loaded = false;
        vm.clock(nanoseconds);
    }

    private long fromGuestPage() {
        if ((first.systemTime & 1) == 0) {
            return 0;
        }
        long page = first.systemTime & ~1L;
        long delta = first.tsc - memory.readLong(page + TSC_TIMESTAMP);
        int shift = (byte) memory.readByte(page + SHIFT);
        if (delta < 0 || shift < -63 || shift > 63) {
            return 0;
        }
        delta = shift < 0 ? delta >>> -shift : delta << shift;
        long multiplier = memory.readInt(page + MULTIPLIER) & 0xffffffffL;
        long scaled =
                Math.unsignedMultiplyHigh(delta, multiplier) << 32 | (delta * multiplier) >>> 32;
        return memory.readLong(page + SYSTEM_TIME) + scaled;
    }

    @Override
    public void onArrival(Arrival todo) {
        arrival = todo;
    }

    @Override
    public void afterLoad(int version) throws StateException {
        arrival.run();
    }

    @Override
    public String name() {
        return "kvmclock";
    }

    @Override
    public boolean undoable() {
        return false;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        nanoseconds = c.u64("clock", nanoseconds);
        if (c.loading()) {
            reliable = false;
            loaded = true;
        }
        c.subsection(
                "kvmclock/clock_is_reliable",
                1,
                true,
                s -> reliable = s.bool("clock_is_reliable", reliable));
    }
}
