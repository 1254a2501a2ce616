package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.api.OnOffSplit;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** One virtual machine in the kernel, with the kernel's interrupt controllers and timer or those in Java. */
final class KvmAccelerator implements Accelerator {
    // What the kernel offers and cannot do without the local APICs: x2APIC and the timer's deadline
    // (CPUID leaf 1, ECX), and what paravirtual guests find about interrupts (EAX of KVM's own
    // leaf).
    private static final int OF_APICS = 1 << 21 | 1 << 24;
    private static final int PARAVIRTUAL = 0x40000001;
    private static final int PARAVIRTUAL_INTERRUPTS =
            1 << KVM_FEATURE_ASYNC_PF_INT()
                    | 1 << KVM_FEATURE_PV_UNHALT()
                    | 1 << KVM_FEATURE_PV_SEND_IPI();

    private final KvmType type;
    private final OnOffSplit kernel;
    private final Kvm kvm;
    private final List<CpuidLeaf> supported;
    private final KvmVm vm;
    private final RunGate gate = new RunGate();
    private final KvmSlots slots;

    // Where the kernel has all chips, and where it does not.
    private final @Nullable IrqChips kernelChips;
    private @Nullable KvmTimer kernelTimer;
    private final @Nullable ChipSet chips;

    /** The local APICs, where the kernel has nothing but them. */
    private final @Nullable SplitChips localApics;

    /** {@code kernel} says which interrupt controllers are the kernel's; timers of the others run on {@code loop}. */
    KvmAccelerator(KvmType type, OnOffSplit kernel, EventLoop loop) throws KvmException {
        this.type = type;
        this.kernel = kernel;
        kvm = Kvm.open();
        supported =
                kernel == OnOffSplit.OFF
                        ? withoutApics(kvm.supportedCpuid())
                        : kvm.supportedCpuid();
        vm = new KvmVm(kvm, kernel);
        slots = new KvmSlots(vm, gate);
        kernelChips = kernel == OnOffSplit.ON ? new IrqChips(vm) : null;
        localApics = kernel == OnOffSplit.SPLIT ? new SplitChips(vm) : null;
        chips = kernel == OnOffSplit.ON ? null : new ChipSet(loop, localApics);
    }

    private static List<CpuidLeaf> withoutApics(List<CpuidLeaf> leaves) {
        return leaves.stream()
                .map(
                        leaf ->
                                switch (leaf.function()) {
                                    case 1 -> leaf.without(0, OF_APICS);
                                    case PARAVIRTUAL -> leaf.without(PARAVIRTUAL_INTERRUPTS, 0);
                                    default -> leaf;
                                })
                .toList();
    }

    @Override
    public AcceleratorType type() {
        return type;
    }

    @Override
    public ChipNames namesOfChips() {
        return names(kernel);
    }

    /** What QEMU calls the chips; those in the kernel have names of their own. */
    static ChipNames names(OnOffSplit kernel) {
        ChipNames here = ChipNames.SOFTWARE;
        String clock = "kvmclock";
        return switch (kernel) {
            case OFF ->
                    new ChipNames(here.pic(), here.timer(), here.ioapic(), here.localApic(), clock);
            case SPLIT -> new ChipNames(here.pic(), here.timer(), here.ioapic(), "kvm-apic", clock);
            default -> new ChipNames("kvm-i8259", "kvm-pit", "kvm-ioapic", "kvm-apic", clock);
        };
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
        return kernelChips != null ? kernelChips : Objects.requireNonNull(chips);
    }

    @Override
    public void map(AddressSpace memory, AddressSpace ports) {
        if (chips != null) {
            chips.map(memory, ports);
        }
    }

    @Override
    public IntervalTimer newTimer(Clocks clocks) {
        if (chips != null) {
            return chips.timer();
        }
        KvmTimer made = new KvmTimer(vm, clocks);
        kernelTimer = made;
        return made;
    }

    @Override
    public Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) throws KvmException {
        if (chips == null) {
            return new KvmVcpu(vm, model, supported, gate, owner);
        }
        if (localApics == null) {
            return new ApicVcpu(vm, model, supported, gate, owner, chips);
        }
        SplitVcpu made = new SplitVcpu(vm, model, supported, gate, owner, chips);
        if (model.index() == 0) {
            localApics.first(made);
        }
        return made;
    }

    @Override
    public Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory memory) {
        return Optional.of(new KvmClock(vm, first.state, memory));
    }

    @Override
    public void close() {
        slots.close();
        if (kernelChips != null) {
            kernelChips.close();
        }
        KvmTimer made = kernelTimer;
        if (made != null) {
            made.close();
        }
        vm.close();
        kvm.close();
    }
}
