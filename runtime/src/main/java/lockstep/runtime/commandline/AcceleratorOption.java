package lockstep.runtime.commandline;

import lockstep.qmp.NumberText;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.process.VmmProcess;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/** The accelerators that the command line asks for, in order. Under the machine lock. */
final class AcceleratorOption {
    private static final Set<String> ACCELERATORS = Set.of("kvm", "tcg", "qtest");

    /** What QEMU lets users set on an accelerator. */
    private static final Map<String, Set<String>> ACCELERATOR_PROPERTIES =
            Map.of(
                    "kvm",
                    Set.of(
                            "device",
                            "dirty-ring-size",
                            "kernel-irqchip",
                            "kvm-shadow-mem",
                            "notify-vmexit",
                            "notify-window",
                            "xen-evtchn-max-pirq",
                            "xen-gnttab-max-frames",
                            "xen-version"),
                    "tcg",
                    Set.of("one-insn-per-tb", "split-wx", "tb-size", "thread"));

    /** Those with a number, by its type. */
    private static final Map<String, String> ACCELERATOR_NUMBERS =
            Map.of(
                    "dirty-ring-size", "uint32",
                    "kvm-shadow-mem", "int64",
                    "notify-window", "uint32",
                    "tb-size", "uint32");

    private final VmmProcess vmm;
    private final GivenSettings settings;

    AcceleratorOption(VmmProcess vmm, GivenSettings settings) {
        this.vmm = vmm;
        this.settings = settings;
    }

    /** {@code -accel}. */
    void read(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, "accel");
        String name = values.get("accel", "");
        if (name.equals("help")) {
            throw new EndOfProgram("Accelerators supported in this binary:\nkvm\n");
        }
        if (!ACCELERATORS.contains(name)) {
            throw new OptionException("invalid accelerator " + name);
        }
        for (String property : values.values().keySet()) {
            if (!property.equals("accel")
                    && !ACCELERATOR_PROPERTIES.getOrDefault(name, Set.of()).contains(property)) {
                throw new OptionException(
                        "Property '" + name + "-accel." + property + "' not found");
            }
            String type = ACCELERATOR_NUMBERS.get(property);
            if (type != null) {
                checkNumber(property, values.get(property, ""), type.equals("int64"));
            }
        }
        settings.accelerators.add(name);
    }

    private static void checkNumber(String name, String text, boolean signed)
            throws OptionException {
        OptionalLong number =
                (signed ? NumberText.signed(text) : NumberText.wrapping(text)).toOptional();
        if (number.isEmpty()) {
            throw new OptionException(
                    "Parameter '" + name + "' expects " + (signed ? "int64" : "uint64"));
        }
        if (!signed && number.getAsLong() >>> 32 != 0) {
            throw new OptionException("Parameter '" + name + "' expects uint32_t");
        }
        if (name.equals("dirty-ring-size") && Long.bitCount(number.getAsLong()) > 1) {
            throw new OptionException("dirty-ring-size must be a power of two.");
        }
    }

    /** Of a list such as {@code kvm:tcg}, unknown names are told and passed over. */
    void check() throws OptionException {
        List<String> given = List.copyOf(settings.accelerators);
        settings.accelerators.removeIf(name -> !ACCELERATORS.contains(name));
        for (String name : given) {
            if (!ACCELERATORS.contains(name)) {
                if (settings.accelerators.isEmpty()) {
                    throw new OptionException("invalid accelerator " + name, false);
                }
                vmm.report("invalid accelerator " + name);
            }
        }
    }
}
