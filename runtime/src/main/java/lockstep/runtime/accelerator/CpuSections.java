package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** The sections of one vCPU. Loaded state is in force as soon as a section is complete. */
final class CpuSections {
    private CpuSections() {}

    private abstract static class PerVcpu implements StateSection {
        final Vcpus group;
        final Vcpu vcpu;
        private final String name;
        private final int version;

        PerVcpu(Vcpus group, Vcpu vcpu, String name, int version) {
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
            return vcpu.index();
        }

        @Override
        public boolean undoable() {
            return false;
        }

        @Override
        public int version() {
            return version;
        }

        void fetch() throws StateException {
            try {
                group.fetch(vcpu);
            } catch (AcceleratorException e) {
                throw new StateException(e.getMessage(), e);
            }
        }

        void store() throws StateException {
            try {
                group.store(vcpu);
            } catch (AcceleratorException e) {
                throw new StateException(e.getMessage(), e);
            }
        }
    }

    /** QEMU: vmstate "apic" v3; the first section of all. */
    static StateSection apic(Vcpus group, Vcpu vcpu) {
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
    static StateSection common(Vcpus group, Vcpu vcpu) {
        return new PerVcpu(group, vcpu, "cpu_common", 1) {
            private int interruptRequest;

            @Override
            public void describe(StateCodec c) throws StateException {
                // The multiprocessing state, which travels in "cpu", says it again.
                c.u32("halted", vcpu.state.mpState == VcpuState.HALTED ? 1 : 0);
                interruptRequest = c.u32("interrupt_request", interruptRequest);
                c.subsection("cpu_common/crash_occurred", 1, false, s -> s.bool("crash", false));
            }
        };
    }

    /** QEMU: vmstate "cpu" v12. */
    static StateSection cpu(Vcpus group, Vcpu vcpu) {
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
