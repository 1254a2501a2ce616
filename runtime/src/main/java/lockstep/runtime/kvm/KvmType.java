package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuidLeaf;

import java.util.List;

/** The Linux kernel's KVM. */
final class KvmType implements AcceleratorType {
    @Override
    public String name() {
        return "kvm";
    }

    @Override
    public String title() {
        return "KVM";
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() throws KvmException {
        try (Kvm kvm = Kvm.open()) {
            return kvm.supportedCpuid();
        }
    }

    @Override
    public Accelerator open() throws KvmException {
        return new KvmAccelerator();
    }
}
