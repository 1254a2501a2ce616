package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.KVM_CAP_MAX_VCPUS;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Optional;

/** One virtual machine in the kernel, with the kernel's interrupt controllers and timer. */
final class KvmAccelerator implements Accelerator {
    private final KvmType type;
    private final Kvm kvm;
    private final List<CpuidLeaf> supported;
    private final KvmVm vm;
    private final RunGate gate = new RunGate();
    private final KvmSlots slots;
    private final IrqChips chips;
    private @Nullable KvmTimer timer;

    KvmAccelerator(KvmType type) throws KvmException {
        this.type = type;
        kvm = Kvm.open();
        supported = kvm.supportedCpuid();
        vm = new KvmVm(kvm);
        slots = new KvmSlots(vm, gate);
        chips = new IrqChips(vm);
    }

    @Override
    public AcceleratorType type() {
        return type;
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() {
        return supported;
    }

    @Override
    public int maxVcpus() {
        return Math.max(kvm.extension(KVM_CAP_MAX_VCPUS()), 1);
    }

    @Override
    public MemoryAccelerator memory() {
        return slots;
    }

    @Override
    public InterruptControllers interrupts() {
        return chips;
    }

    @Override
    public IntervalTimer newTimer(Clocks clocks) {
        KvmTimer made = new KvmTimer(vm, clocks);
        timer = made;
        return made;
    }

    @Override
    public Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) throws KvmException {
        return new KvmVcpu(vm, model, supported, gate, owner);
    }

    @Override
    public Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory memory) {
        return Optional.of(new KvmClock(vm, first.state, memory));
    }

    @Override
    public void close() {
        slots.close();
        chips.close();
        KvmTimer made = timer;
        if (made != null) {
            made.close();
        }
        vm.close();
        kvm.close();
    }
}
