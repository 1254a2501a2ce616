package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

/**
 * The sections of one vCPU. What arrives is in force as soon as a section is complete; where they say the same of one
 * thing, what it is follows from all that have come.
 */
final class CpuSections {
    /** Where a processor begins that has not been started. */
    private static final long RESET_VECTOR = 0xfff0;

    private final Vcpus group;
    private final Vcpu vcpu;
    private final @Nullable GuestTime time;

    // As it came. QEMU's emulated processors hand on what they do not use: their own say is
    // elsewhere.
    private boolean waits;
    private boolean halted;
    private int mpState;
    private long tsc;

    /**
     * The sections of {@code vcpu}.
     *
     * @param time the section of guest time, or null where there is none
     */
    CpuSections(Vcpus group, Vcpu vcpu, @Nullable GuestTime time) {
        this.group = group;
        this.vcpu = vcpu;
        this.time = time;
    }

    private abstract class Section implements StateSection {
        private final String name;
        private final int version;

        Section(String name, int version) {
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
    }

    private void fetch() throws StateException {
        try {
            group.fetch(vcpu);
        } catch (AcceleratorException e) {
            throw new StateException(e.getMessage(), e);
        }
    }

    /** Puts what has come in force, or what it means now. */
    void store() throws StateException {
        settle();
        try {
            group.store(vcpu);
        } catch (AcceleratorException e) {
            throw new StateException(e.getMessage(), e);
        }
    }

    /** Works out what several sections have. */
    private void settle() {
        VcpuState s = vcpu.state;
        LocalApic apic = vcpu.apic;
        // A kernel's APIC says nothing of the wait, the vCPU beside an emulator's nothing new.
        boolean began = s.rip != RESET_VECTOR;
        if (!waits && (began || mpState == VcpuState.RUNNABLE || mpState == VcpuState.HALTED)) {
            apic.startupKnown();
            s.mpState = halted ? VcpuState.HALTED : VcpuState.RUNNABLE;
        } else {
            apic.waitForSipi = 1;
            if (!waits && mpState == VcpuState.SIPI_RECEIVED) {
                apic.sipiVector = s.sipiVector;
                vcpu.requests |= Vcpu.SIPI;
            }
            s.sipiVector = apic.sipiVector;
            if ((vcpu.requests & Vcpu.SIPI) != 0) {
                s.mpState = VcpuState.SIPI_RECEIVED;
            } else if (waits) {
                s.mpState = VcpuState.INIT_RECEIVED; // a kernel takes the start-up message then
            } else {
                s.mpState = mpState;
            }
        }
        if ((vcpu.requests & Vcpu.NMI) != 0) {
            s.nmiPending = 1;
        }
        if (time != null) {
            s.tsc = time.timestamp(tsc, s.tscKhz != 0, vcpu.index() == 0, apic.loadTime);
        }
    }

    /** QEMU: vmstate "apic" v3; the first section of all. */
    StateSection apic() {
        return new Section("apic", 3) {
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
                waits = vcpu.apic.waitForSipi != 0;
            }

            @Override
            public void afterLoad(int version) throws StateException {
                store();
            }
        };
    }

    /** QEMU: vmstate "cpu_common" v1. */
    StateSection common() {
        return new Section("cpu_common", 1) {
            @Override
            public void describe(StateCodec c) throws StateException {
                int mp = vcpu.state.mpState;
                boolean rests = mp == VcpuState.HALTED || mp == VcpuState.NOT_STARTED;
                halted = c.u32("halted", rests ? 1 : 0) != 0;
                vcpu.requests = c.u32("interrupt_request", vcpu.requests);
                // Why QEMU's emulator left its loop last; an exception is always delivered before.
                c.subsection(
                        "cpu_common/exception_index", 1, false, s -> s.i32("exception_index", -1));
                c.subsection("cpu_common/crash_occurred", 1, false, s -> s.bool("crash", false));
            }
        };
    }

    /** QEMU: vmstate "cpu" v12. */
    StateSection cpu() {
        return new Section("cpu", 12) {
            @Override
            public int minimumVersion() {
                return 11;
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                vcpu.state.describe(c);
                mpState = vcpu.state.mpState;
                tsc = vcpu.state.tsc;
            }

            @Override
            public void afterLoad(int version) throws StateException {
                store();
            }
        };
    }
}
