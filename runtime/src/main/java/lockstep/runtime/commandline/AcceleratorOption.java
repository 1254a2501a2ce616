package lockstep.runtime.commandline;

import lockstep.qmp.QmpException;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The choice of what runs the guest: {@code -accel}, each tried in the order of the command line; or the list of {@code
 * -machine accel=}; or, when nothing is said, what rooms offer, in their order. The first that opens is it. Under the
 * machine lock.
 */
final class AcceleratorOption {
    private final VmmProcess vmm;
    private boolean given;
    private @Nullable String list;

    /** What {@code -machine} says of accelerators; what an {@code -accel} says itself goes first. */
    private final Map<String, String> usual = new HashMap<>();

    /** What failed last, not told yet: it is the end of the program when nothing else works. */
    private @Nullable String failure;

    private @Nullable Accelerator chosen;

    AcceleratorOption(VmmProcess vmm) {
        this.vmm = vmm;
    }

    /** {@code -accel}, when it is read. */
    void check(String text) throws OptionException {
        given = true;
        OptionValues values = OptionValues.parse(text, "accel");
        String name = values.get("accel", "");
        if (name.isEmpty() || name.equals("help") || name.equals("?")) {
            StringBuilder out = new StringBuilder("Accelerators supported in this binary:\n");
            vmm.acceleratorTypes().stream()
                    .filter(AcceleratorType::automatic)
                    .flatMap(t -> Stream.concat(Stream.of(t.name()), t.aliases().stream()))
                    .forEach(n -> out.append(n).append('\n'));
            throw new EndOfProgram(out.toString());
        }
        AcceleratorType type = find(name);
        if (type != null && TypeHelp.asked(values)) {
            StringBuilder out = new StringBuilder(type.name()).append("-accel options:\n");
            type.properties().entrySet().stream()
                    .map(p -> "  %-22s - %s\n".formatted(p.getKey(), p.getValue().effect()))
                    .sorted()
                    .forEach(out::append);
            throw new EndOfProgram(out.toString());
        }
    }

    /** {@code -machine accel=}: names with colons between them. */
    void machine(String names) {
        list = names;
    }

    /** {@code -machine kernel-irqchip=} and the like: for those accelerators that have such a property. */
    void usually(String property, String value) {
        usual.put(property, value);
    }

    private Map<String, String> withUsual(AcceleratorType type, Map<String, String> own)
            throws OptionException {
        Map<String, String> all = new HashMap<>(usual);
        all.keySet().retainAll(type.properties().keySet());
        for (Map.Entry<String, String> e : all.entrySet()) {
            try {
                checkProperties(type.name(), type, Map.of(e.getKey(), e.getValue()));
            } catch (OptionException wrong) {
                throw new OptionException(
                        "can't apply global %s-accel.%s=%s: %s"
                                .formatted(
                                        type.name(), e.getKey(), e.getValue(), wrong.getMessage()));
            }
        }
        all.putAll(own);
        return all;
    }

    /** {@code -accel}, when it is carried out. */
    void open(String text) throws OptionException {
        if (list != null) {
            throw new OptionException(
                    "The -accel and \"-machine accel=\" options are incompatible", false);
        }
        if (chosen == null) {
            OptionValues values = OptionValues.parse(text, "accel");
            Map<String, String> properties = new HashMap<>(values.values());
            properties.remove("accel");
            attempt(values.get("accel", ""), properties);
        }
    }

    private @Nullable AcceleratorType find(String name) {
        for (AcceleratorType type : vmm.acceleratorTypes()) {
            if (type.name().equals(name) || type.aliases().contains(name)) {
                return type;
            }
        }
        return null;
    }

    private void attempt(String name, Map<String, String> own) throws OptionException {
        AcceleratorType type = find(name);
        if (type == null) {
            failed(located("invalid accelerator " + name));
            return;
        }
        checkProperties(name, type, own);
        Map<String, String> properties = withUsual(type, own);
        try {
            chosen = type.open(properties, vmm.mainLoop());
        } catch (AcceleratorException e) {
            String why = e.getMessage();
            failed(why);
            String reason = why.substring(why.lastIndexOf(": ") + 1).strip();
            failed(located("failed to initialize " + name + ": " + reason));
        }
    }

    private String located(String message) {
        String where = vmm.options().location();
        return where == null ? message : where + ": " + message;
    }

    private void failed(String message) {
        String before = failure;
        if (before != null) {
            vmm.report(before);
        }
        failure = message;
    }

    private static void checkProperties(
            String name, AcceleratorType type, Map<String, String> properties)
            throws OptionException {
        for (Map.Entry<String, String> e : properties.entrySet()) {
            String property = e.getKey();
            AcceleratorType.Property known = type.properties().get(property);
            if (known == null) {
                throw new OptionException(
                        "Property '" + name + "-accel." + property + "' not found");
            }
            try {
                known.kind().readText(property, e.getValue());
            } catch (QmpException wrong) {
                throw new OptionException(wrong.description());
            }
        }
    }

    /** Settles what the guest runs on. */
    Accelerator choose() throws OptionException {
        String names = list;
        if (names != null) {
            // Unknown names are told of first, even behind one that works.
            List<String> known = new ArrayList<>();
            for (String name : names.isEmpty() ? new String[0] : names.split(":", -1)) {
                if (find(name) != null) {
                    known.add(name);
                } else {
                    failed("invalid accelerator " + name);
                }
            }
            for (String name : known) {
                if (chosen == null) {
                    attempt(name, Map.of());
                }
            }
        } else if (!given) {
            chosen = first();
        }
        Accelerator accelerator = chosen;
        String why = failure;
        if (accelerator == null) {
            throw new OptionException(why == null ? "no accelerator found" : why, false);
        }
        // A test that drives the devices asks for whatever is there, and reads what is printed.
        if (why != null && !vmm.options().used("qtest")) {
            vmm.report(why);
            vmm.report("falling back to " + accelerator.type().name());
        }
        vmm.accelerator(accelerator);
        return accelerator;
    }

    /** The first that opens of those that need not be asked for. */
    private @Nullable Accelerator first() throws OptionException {
        List<String> failures = new ArrayList<>();
        for (AcceleratorType type : vmm.acceleratorTypes()) {
            if (!type.automatic()) {
                continue;
            }
            Map<String, String> properties = withUsual(type, Map.of());
            try {
                Accelerator opened = type.open(properties, vmm.mainLoop());
                if (!failures.isEmpty()) {
                    vmm.report(String.join("; ", failures) + "; falling back to " + type.name());
                }
                return opened;
            } catch (AcceleratorException e) {
                failures.add(e.getMessage());
            }
        }
        if (!failures.isEmpty()) {
            throw new OptionException(String.join("\n", failures), false);
        }
        return null;
    }

    /** Likewise with {@code -machine none}, where nothing runs, and only what was asked for has to be there. */
    void chooseForNothing() throws OptionException {
        if (given || list != null) {
            choose().close();
        }
    }
}
