package lockstep.runtime.option;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/** The options of the program, the reading of a command line and the acting on it. */
public final class OptionTable {
    /** One option on a command line; {@code shown} is what error messages put in front. */
    private record Use(OptionHandler handler, String argument, String shown) {}

    /** A command line that cannot be carried out. The message is complete but for the program's name. */
    public static class Failure extends Exception {
        private static final long serialVersionUID = 1L;

        /** With the whole message. */
        public Failure(String message) {
            super(message);
        }
    }

    private final Map<String, OptionHandler> byName = new LinkedHashMap<>();
    private final List<OptionHandler> handlers = new ArrayList<>();
    private final List<Use> uses = new ArrayList<>();
    private @Nullable Use current;

    /** With no options. */
    public OptionTable() {}

    /** Adds an option; one without names only takes part in its phase. */
    public void add(OptionHandler handler) {
        for (String name : handler.names()) {
            if (byName.putIfAbsent(name, handler) != null) {
                throw new IllegalArgumentException("option -" + name + " exists already");
            }
        }
        handlers.add(handler);
    }

    /** All options, in order of registration. */
    public Collection<OptionHandler> all() {
        return new LinkedHashSet<>(handlers);
    }

    /** The handler of an option or null. */
    public @Nullable OptionHandler find(String name) {
        return byName.get(name);
    }

    /** Whether the command line has an option. */
    public boolean used(String name) {
        return uses.stream().anyMatch(u -> u.handler().names().contains(name));
    }

    /** Reads a command line and has every option check its text. */
    public void read(List<String> arguments) throws Failure {
        for (int i = 0; i < arguments.size(); i++) {
            String word = arguments.get(i);
            if (!word.startsWith("-") || word.equals("-")) {
                OptionHandler disk = byName.get("hda");
                if (disk == null) {
                    throw new Failure(word + ": this build has no disks");
                }
                accept(new Use(disk, word, word));
                continue;
            }
            String name = word.substring(word.startsWith("--") ? 2 : 1);
            OptionHandler handler = byName.get(name);
            if (handler == null) {
                throw new Failure(word + ": invalid option");
            }
            String argument = "";
            if (handler.takesArgument()) {
                if (++i >= arguments.size()) {
                    throw new Failure(word + ": requires an argument");
                }
                argument = arguments.get(i);
            }
            String shown = handler.takesArgument() ? "-" + name + " " + argument : "-" + name;
            accept(new Use(handler, argument, shown));
        }
    }

    private void accept(Use use) throws Failure {
        current = use;
        try {
            use.handler().parse(use.argument());
        } catch (OptionException e) {
            throw failure(use, e);
        } finally {
            current = null;
        }
        uses.add(use);
    }

    /** What is in front of messages about the option being handled now, or null. */
    public @Nullable String location() {
        Use use = current;
        return use == null ? null : use.shown();
    }

    /** Carries out all options of a phase. */
    public void run(StartPhase phase) throws Failure {
        for (Use use : uses) {
            if (use.handler().phase() == phase) {
                current = use;
                try {
                    use.handler().apply(use.argument());
                } catch (OptionException e) {
                    throw failure(use, e);
                } finally {
                    current = null;
                }
            }
        }
        for (OptionHandler handler : List.copyOf(handlers)) {
            if (handler.phase() == phase) {
                try {
                    handler.finish();
                } catch (OptionException e) {
                    throw new Failure(String.valueOf(e.getMessage()));
                }
            }
        }
    }

    private static Failure failure(Use use, OptionException e) {
        if (e instanceof EndOfProgram) {
            return new EndOfProgram.Reached(String.valueOf(e.getMessage()));
        }
        return new Failure(
                e.located() ? use.shown() + ": " + e.getMessage() : String.valueOf(e.getMessage()));
    }
}
