package lockstep.runtime.kvm;

import lockstep.api.OnOffSplit;
import lockstep.qmp.QmpException;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.object.QomKind;

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
        return KvmAccelerator.names(OnOffSplit.ON);
    }

    @Override
    public String title() {
        return "KVM";
    }

    @Override
    public Map<String, Property> properties() {
        String none = "no effect here";
        String xen = none + ": there is no Xen";
        QomKind<Long> ring =
                QomKind.UINT32.checked(
                        pages -> {
                            if (Long.bitCount(pages) > 1) {
                                throw new QmpException("dirty-ring-size must be a power of two.");
                            }
                        });
        return Map.of(
                "device",
                new Property(QomKind.STRING, none + ": it is always /dev/kvm"),
                "dirty-ring-size",
                new Property(ring, none + ": changed pages are found in the kernel's bitmap"),
                "kernel-irqchip",
                new Property(
                        QomKind.choice("on|off|split", "on", "off", "split"),
                        "the kernel has all interrupt controllers, none, or (split) the local"
                                + " APICs"),
                "kvm-shadow-mem",
                new Property(QomKind.INT, none + ": the kernel decides"),
                "notify-vmexit",
                new Property(
                        QomKind.choice("NotifyVMexitOption", "run", "internal-error", "disable"),
                        none),
                "notify-window",
                new Property(QomKind.UINT32, none),
                "xen-evtchn-max-pirq",
                new Property(QomKind.UINT16, xen),
                "xen-gnttab-max-frames",
                new Property(QomKind.UINT16, xen),
                "xen-version",
                new Property(QomKind.UINT32, xen));
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() throws KvmException {
        try (Kvm kvm = Kvm.open()) {
            return kvm.supportedCpuid();
        }
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) throws KvmException {
        OnOffSplit kernel =
                switch (given.getOrDefault("kernel-irqchip", "on")) {
                    case "off" -> OnOffSplit.OFF;
                    case "split" -> OnOffSplit.SPLIT;
                    default -> OnOffSplit.ON;
                };
        return new KvmAccelerator(this, kernel, loop);
    }
}
