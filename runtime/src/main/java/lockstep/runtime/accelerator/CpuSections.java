package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

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
                // QEMU's emulated processors have only this, real ones say it in "cpu".
                int mp = vcpu.state.mpState;
                boolean rests = mp == VcpuState.HALTED || mp == VcpuState.NOT_STARTED;
                vcpu.halted = c.u32("halted", rests ? 1 : 0) != 0;
                interruptRequest = c.u32("interrupt_request", interruptRequest);
                c.subsection("cpu_common/crash_occurred", 1, false, s -> s.bool("crash", false));
            }
        };
    }

    /** QEMU: vmstate "cpu" v12. What one of QEMU's emulated processors says elsewhere is brought into it. */
    static StateSection cpu(Vcpus group, Vcpu vcpu, @Nullable GuestTime time) {
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
                VcpuState s = vcpu.state;
                if (s.mpState == 0 && vcpu.halted) {
                    s.mpState =
                            vcpu.apic.waitForSipi != 0 ? VcpuState.NOT_STARTED : VcpuState.HALTED;
                }
                if (s.tsc == 0 && time != null) {
                    s.tsc = time.ticks();
                }
                store();
            }
        };
    }
}
