package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.KVM_MP_STATE_HALTED;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** The sections of one vCPU. Loaded state goes to the kernel as soon as a section is complete. */
final class CpuSections {
    private CpuSections() {}

    private abstract static class PerVcpu implements StateSection {
        final KvmVcpus group;
        final KvmVcpu vcpu;
        private final String name;
        private final int version;

        PerVcpu(KvmVcpus group, KvmVcpu vcpu, String name, int version) {
            this.group = group;
            this.vcpu = vcpu;
            this.name = name;
            this.version = version;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public int instance() {
            return vcpu.index;
        }

        @Override
        public int version() {
            return version;
        }

        void fetch() throws StateException {
            try {
                group.fetch(vcpu);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
        }

        void store() throws StateException {
            try {
                group.store(vcpu);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
        }
    }

    /** QEMU: vmstate "apic" v3; the first section of all. */
    static StateSection apic(KvmVcpus group, KvmVcpu vcpu) {
        return new PerVcpu(group, vcpu, "apic", 3) {
            @Override
            public int priority() {
                return 1;
            }

            @Override
            public void beforeSave() throws StateException {
                fetch();
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                vcpu.apic.describe(c);
            }

            @Override
            public void afterLoad(int version) throws StateException {
                store();
            }
        };
    }

    /** QEMU: vmstate "cpu_common" v1. */
    static StateSection common(KvmVcpus group, KvmVcpu vcpu) {
        return new PerVcpu(group, vcpu, "cpu_common", 1) {
            private int interruptRequest;

            @Override
            public void describe(StateCodec c) throws StateException {
                // The kernel's multiprocessing state, which travels in "cpu", says it again.
                c.u32("halted", vcpu.state.mpState == KVM_MP_STATE_HALTED() ? 1 : 0);
                interruptRequest = c.u32("interrupt_request", interruptRequest);
                c.subsection("cpu_common/crash_occurred", 1, false, s -> s.bool("crash", false));
            }
        };
    }

    /** QEMU: vmstate "cpu" v12. */
    static StateSection cpu(KvmVcpus group, KvmVcpu vcpu) {
        return new PerVcpu(group, vcpu, "cpu", 12) {
            @Override
            public int minimumVersion() {
                return 11;
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                vcpu.state.describe(c);
            }

            @Override
            public void afterLoad(int version) throws StateException {
                store();
            }
        };
    }
}
