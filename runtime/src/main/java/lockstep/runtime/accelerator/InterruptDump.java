package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.vmstate.FieldValues;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** Interrupt controllers as text, laid out as {@code info pic} and {@code info lapic} do. Under the machine lock. */
public final class InterruptDump {
    private static final int TABLE = 0x10;
    private static final int VECTOR = 0xff;
    private static final int LOGICAL = 1 << 11;
    private static final int PENDING = 1 << 12;
    private static final int ACTIVE_LOW = 1 << 13;
    private static final int REMOTE_IRR = 1 << 14;
    private static final int LEVEL = 1 << 15;
    private static final int MASKED = 1 << 16;
    private static final int PERIODIC = 1 << 17;
    private static final int TSC_DEADLINE = 1 << 18;
    private static final int ICR_ASSERT = 1 << 14;
    private static final int NMI = 4;
    private static final int FLAT = 0xf;

    private static final String[] IOAPIC_MODES = {
        "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT"
    };
    private static final String[] LOCAL_MODES = {
        "Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT"
    };
    private static final String[] SHORTHANDS = {"no-shorthand", "self", "all-self", "all"};
    // In the order in which they are shown, which is not that of the registers.
    private static final String[] LVT = {"LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT"};
    private static final int[] LVT_ORDER = {3, 4, 2, 5, 1, 0};

    private InterruptDump() {}

    /** The IOAPIC and the two PICs. */
    public static String of(InterruptControllers chips) throws StateException {
        StringBuilder out = new StringBuilder();
        List<StateSection> sections = chips.sections();
        ioapic(out, FieldValues.of(sections.get(2)));
        pic(out, 1, FieldValues.of(sections.get(1)));
        pic(out, 0, FieldValues.of(sections.get(0)));
        return out.toString();
    }

    private static void pic(StringBuilder out, int number, FieldValues v) {
        out.append(
                ("pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d elcr=%02x"
                                + " fnm=%d\n")
                        .formatted(
                                number,
                                v.get("irr"),
                                v.get("imr"),
                                v.get("isr"),
                                v.get("priority_add"),
                                v.get("irq_base"),
                                v.get("read_reg_select"),
                                v.get("elcr"),
                                v.get("special_fully_nested_mode")));
    }

    private static void ioapic(StringBuilder out, FieldValues v) {
        long select = v.get("ioregsel");
        out.append("ioapic0: ver=0x20 id=0x%02x sel=0x%02x".formatted(v.get("id"), select));
        if (select != 0) {
            out.append(
                    " (redir[%s])".formatted(Integer.toUnsignedString((int) select - TABLE >> 1)));
        }
        out.append('\n');
        long[] table = v.array("ioredtbl");
        long remote = 0;
        for (int pin = 0; pin < table.length; pin++) {
            long e = table[pin];
            boolean logical = (e & LOGICAL) != 0;
            out.append(
                    "  pin %-2d 0x%016x dest=%x vec=%-3d %s %-5s %-6s %-6s %s\n"
                            .formatted(
                                    pin,
                                    e,
                                    e >>> 56 & (logical ? 0xff : 0xf),
                                    e & VECTOR,
                                    polarity(e),
                                    trigger(e),
                                    (e & MASKED) != 0 ? "masked" : "",
                                    IOAPIC_MODES[(int) e >>> 8 & 7],
                                    logical ? "logical" : "physical"));
            if ((e & LEVEL) != 0 && (e & REMOTE_IRR) != 0) {
                remote |= 1L << pin;
            }
        }
        pins(out, "  IRR", v.get("irr"));
        pins(out, "  Remote IRR", remote);
    }

    private static void pins(StringBuilder out, String name, long bits) {
        out.append("%-10s ".formatted(name));
        if (bits == 0) {
            out.append("(none)");
        }
        for (int pin = 0; pin < 24; pin++) {
            if ((bits >>> pin & 1) != 0) {
                out.append("%-2d ".formatted(pin));
            }
        }
        out.append('\n');
    }

    private static String polarity(long entry) {
        return (entry & ACTIVE_LOW) != 0 ? "active-lo" : "active-hi";
    }

    private static String trigger(long entry) {
        return (entry & LEVEL) != 0 ? "level" : "edge";
    }

    /** The local APIC of a vCPU, whose state is up to date; {@code now} is guest time in nanoseconds. */
    static String of(int cpu, LocalApic s, long now) {
        StringBuilder out = new StringBuilder();
        out.append("dumping local APIC state for CPU %-2d\n\n".formatted(cpu));
        for (int i = 0; i < LVT.length; i++) {
            int entry = s.lvt[LVT_ORDER[i]];
            String timer =
                    LVT_ORDER[i] != 0
                            ? ""
                            : (entry & PERIODIC) != 0
                                    ? "periodic"
                                    : (entry & TSC_DEADLINE) != 0 ? "tsc-deadline" : "one-shot";
            int mode = entry >>> 8 & 7;
            out.append(
                    "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s%s\n"
                            .formatted(
                                    LVT[i],
                                    entry,
                                    polarity(entry),
                                    trigger(entry),
                                    (entry & MASKED) != 0 ? "masked" : "",
                                    (entry & PENDING) != 0 ? "pending" : "",
                                    timer,
                                    LOCAL_MODES[mode],
                                    mode == NMI ? "" : " (vec " + (entry & VECTOR) + ")"));
        }
        int divider = s.divide >>> 1 & 4 | s.divide & 3;
        out.append(
                "Timer\t DCR=0x%x (divide by %d) initial_count = %s current_count = %s\n"
                        .formatted(
                                s.divide & 0xf,
                                divider == 7 ? 1 : 2 << divider,
                                Integer.toUnsignedString(s.initialCount),
                                Integer.toUnsignedString(s.currentCount(now))));
        out.append(
                "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %d\n"
                        .formatted(
                                s.spurious,
                                (s.spurious & 1 << 8) != 0 ? "enabled" : "disabled",
                                (s.spurious & 1 << 9) != 0 ? "on" : "off",
                                s.spurious & VECTOR));
        command(out, s);
        out.append("ESR\t 0x%08x\n".formatted(s.esr));
        vectors(out, "ISR", s.isr, s.tmr);
        vectors(out, "IRR", s.irr, s.tmr);
        out.append(
                "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x"
                        .formatted(s.arbitration, s.tpr, s.destinationMode, s.logicalDestination));
        if (s.destinationMode == 0) {
            out.append(
                    "(cluster %d: id %d)"
                            .formatted(s.logicalDestination >>> 4, s.logicalDestination & 0xf));
        }
        out.append(" PPR 0x%02x\n".formatted(s.processorPriority()));
        return out.toString();
    }

    private static void command(StringBuilder out, LocalApic s) {
        int low = s.icr[0];
        int high = s.icr[1];
        int shorthand = low >>> 18 & 3;
        boolean logical = (low & LOGICAL) != 0;
        out.append(
                "ICR\t 0x%08x %s %s %s %s\nICR2\t 0x%08x"
                        .formatted(
                                low,
                                logical ? "logical" : "physical",
                                trigger(low),
                                (low & ICR_ASSERT) != 0 ? "assert" : "de-assert",
                                SHORTHANDS[shorthand],
                                high));
        int to = high >>> 24;
        if (shorthand == 0 && !logical) {
            out.append(" cpu %d (APIC ID)".formatted(to & 0xf));
        } else if (shorthand == 0 && s.destinationMode == FLAT) {
            out.append(" mask %s (APIC ID)".formatted(bits(to, 8)));
        } else if (shorthand == 0 && s.destinationMode == 0) {
            out.append(" cluster %d mask %s (APIC ID)".formatted(to >>> 4, bits(to, 4)));
        }
        out.append('\n');
    }

    private static String bits(int value, int width) {
        return Integer.toBinaryString(1 << width | value & (1 << width) - 1).substring(1);
    }

    private static void vectors(StringBuilder out, String name, int[] bits, int[] level) {
        out.append(name).append("\t ");
        boolean none = true;
        for (int vector = 0; vector < 256; vector++) {
            if (LocalApic.isSet(bits, vector)) {
                none = false;
                out.append(vector).append(LocalApic.isSet(level, vector) ? "(level) " : " ");
            }
        }
        out.append(none ? "(none)\n" : "\n");
    }
}
