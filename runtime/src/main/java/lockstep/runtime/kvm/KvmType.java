package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.EventLoop;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** The Linux kernel's KVM. */
final class KvmType implements AcceleratorType {
    @Override
    public String name() {
        return "kvm";
    }

    @Override
    public ChipNames chipNames() {
        return new ChipNames("kvm-i8259", "kvm-pit", "kvm-ioapic", "kvm-apic", "kvmclock");
    }

    @Override
    public String title() {
        return "KVM";
    }

    @Override
    public Set<String> properties() {
        return Set.of(
                "device",
                "dirty-ring-size",
                "kernel-irqchip",
                "kvm-shadow-mem",
                "notify-vmexit",
                "notify-window",
                "xen-evtchn-max-pirq",
                "xen-gnttab-max-frames",
                "xen-version");
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() throws KvmException {
        try (Kvm kvm = Kvm.open()) {
            return kvm.supportedCpuid();
        }
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) throws KvmException {
        return new KvmAccelerator(this);
    }
}
