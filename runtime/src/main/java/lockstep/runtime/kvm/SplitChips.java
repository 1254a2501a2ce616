package lockstep.runtime.kvm;

import lockstep.runtime.chip.KernelApics;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/** The local APICs in the kernel, as the chips in this process see them. */
final class SplitChips implements KernelApics {
    // What of an entry matters to the kernel: destination, trigger and destination mode, vector.
    private static final long ROUTE = 0xffL << 56 | 1 << 15 | 0xfff;

    private final KvmVm vm;
    private long[] routes = {};
    private volatile @Nullable SplitVcpu first;

    SplitChips(KvmVm vm) {
        this.vm = vm;
    }

    /** The processor to which the PIC's output is wired. */
    void first(SplitVcpu vcpu) {
        first = vcpu;
    }

    @Override
    public boolean message(int destination, boolean logical, int what, boolean level) {
        return vm.signalMsi(destination, logical, what, level);
    }

    @Override
    public void external(boolean level) {
        SplitVcpu vcpu = first;
        if (vcpu != null) {
            vcpu.external(level);
        }
    }

    @Override
    public void entries(long[] table) {
        long[] now = Arrays.stream(table).map(entry -> entry & ROUTE).toArray();
        if (Arrays.equals(now, routes)) {
            return;
        }
        routes = now;
        try {
            vm.routeMessages(now);
        } catch (KvmException e) {
            throw new IllegalStateException(e.getMessage(), e);
        }
    }
}
