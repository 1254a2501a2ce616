package lockstep.runtime.monitor;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Function;

/**
 * The commands of the human monitor, and those behind {@code info}. Filled at start, before the main
 * loop runs.
 */
public final class HmpTable {
    /** What may run before there is a machine. */
    private static final Set<String> EARLY =
            Set.of(
                    "help",
                    "quit",
                    "exit_preconfig",
                    "block_resize",
                    "block_job_set_speed",
                    "block_job_cancel",
                    "block_job_complete",
                    "block_job_pause",
                    "block_job_resume",
                    "netdev_add",
                    "netdev_del",
                    "object_add",
                    "object_del",
                    "nbd_server_start",
                    "nbd_server_add",
                    "nbd_server_remove",
                    "nbd_server_stop",
                    "getfd",
                    "closefd",
                    "block_set_io_throttle",
                    "qom-list",
                    "qom-get",
                    "qom-set",
                    "info");

    private static final Set<String> EARLY_INFO =
            Set.of(
                    "version",
                    "chardev",
                    "history",
                    "status",
                    "name",
                    "uuid",
                    "qom-tree",
                    "memdev",
                    "iothreads",
                    "cryptodev");

    private final Map<String, HmpCommand> commands = new LinkedHashMap<>();
    private final Map<String, HmpCommand> infos = new LinkedHashMap<>();
    private BooleanSupplier complete = () -> true;
    private Function<String, @Nullable Long> registers = name -> null;

    /** Says what a register of the processor holds, by its name, or null; none is known without this. */
    public void registers(Function<String, @Nullable Long> source) {
        registers = source;
    }

    /** Says whether there is a machine, without which most commands make no sense. */
    public void availableWhen(BooleanSupplier machine) {
        complete = machine;
    }

    /** Whether a command, or an {@code info} command, may run now. */
    public boolean available(HmpCommand command, boolean info) {
        return complete.getAsBoolean()
                || (info ? EARLY_INFO : EARLY).contains(command.names().getFirst());
    }

    /** The value of a register, or null when there is none of that name. */
    public @Nullable Long register(String name) {
        return registers.apply(name);
    }

    /** Adds a command. */
    public void add(HmpCommand command) {
        add(commands, command);
    }

    /** Adds a command whose names are given as {@code cont|c}. */
    public void add(
            String names, String pattern, String params, String help, HmpCommand.Handler handler) {
        add(new HmpCommand(List.of(names.split("\\|")), pattern, params, help, handler));
    }

    /** Adds an {@code info} command. */
    public void addInfo(
            String names, String pattern, String params, String help, HmpCommand.Handler handler) {
        add(infos, new HmpCommand(List.of(names.split("\\|")), pattern, params, help, handler));
    }

    /** The command of that name or alias, or null. */
    public @Nullable HmpCommand find(String name) {
        return commands.get(name);
    }

    /** The {@code info} command of that name, or null. */
    public @Nullable HmpCommand findInfo(String name) {
        return infos.get(name);
    }

    /** All commands that may run now once, by first name. */
    public List<HmpCommand> all() {
        return sorted(commands, false);
    }

    /** All {@code info} commands likewise. */
    public List<HmpCommand> allInfo() {
        return sorted(infos, true);
    }

    private List<HmpCommand> sorted(Map<String, HmpCommand> table, boolean info) {
        List<HmpCommand> list = new ArrayList<>(new java.util.LinkedHashSet<>(table.values()));
        list.removeIf(c -> !available(c, info));
        list.sort((a, b) -> a.names().getFirst().compareTo(b.names().getFirst()));
        return list;
    }

    private static void add(Map<String, HmpCommand> table, HmpCommand command) {
        for (String name : command.names()) {
            if (table.putIfAbsent(name, command) != null) {
                throw new IllegalArgumentException("monitor command " + name + " exists already");
            }
        }
    }
}
