package lockstep.runtime.command;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.InterruptDump;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.vmstate.StateException;

/** {@code info pic} and {@code info irq}. Under the machine lock. */
final class InterruptTopics {
    private final VmmProcess vmm;

    InterruptTopics(VmmProcess vmm) {
        this.vmm = vmm;
    }

    void register(HmpTable t) {
        t.addInfo("pic", "", "", "state of the interrupt controllers", this::controllers);
        t.addInfo("irq", "", "", "how often interrupts were raised", this::counts);
    }

    private void controllers(HmpArguments a, StringBuilder out) throws StateException {
        Accelerator accelerator = vmm.accelerator();
        if (vmm.machine() != null && accelerator != null) {
            out.append(InterruptDump.of(accelerator.interrupts()));
        }
    }

    private void counts(HmpArguments a, StringBuilder out) {
        Accelerator accelerator = vmm.accelerator();
        if (vmm.machine() == null || accelerator == null) {
            return;
        }
        var names = accelerator.namesOfChips();
        list(out, names.ioapic(), accelerator.interrupts().ioapicCounts());
        list(out, names.pic(), accelerator.interrupts().picCounts());
    }

    private static void list(StringBuilder out, String chip, long[] counts) {
        if (counts.length == 0) {
            out.append("IRQ statistics not available for ").append(chip).append(".\n");
            return;
        }
        out.append("IRQ statistics for ").append(chip).append(":\n");
        for (int i = 0; i < counts.length; i++) {
            if (counts[i] != 0) {
                out.append("%2d: %d\n".formatted(i, counts[i]));
            }
        }
    }
}
