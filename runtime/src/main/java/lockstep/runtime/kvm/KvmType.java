package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.EventLoop;

import java.util.List;
import java.util.Map;

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
    public Map<String, String> properties() {
        String none = "no effect here";
        return Map.of(
                "device", none + ": it is always /dev/kvm",
                "dirty-ring-size", none + ": changed pages are found in the kernel's bitmap",
                "kernel-irqchip", "on: the interrupt controllers are the kernel's",
                "kvm-shadow-mem", none + ": the kernel decides",
                "notify-vmexit", none,
                "notify-window", none,
                "xen-evtchn-max-pirq", none + ": there is no Xen",
                "xen-gnttab-max-frames", none + ": there is no Xen",
                "xen-version", none + ": there is no Xen");
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() throws KvmException {
        try (Kvm kvm = Kvm.open()) {
            return kvm.supportedCpuid();
        }
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) throws KvmException {
        String chips = given.getOrDefault("kernel-irqchip", "on");
        if (!chips.equals("on")) {
            throw new KvmException(
                    "kernel-irqchip="
                            + chips
                            + " is not offered, the interrupt controllers are KVM's");
        }
        return new KvmAccelerator(this);
    }
}
