package lockstep.runtime.commandline;

import lockstep.api.BootConfiguration;
import lockstep.api.MemorySizeConfiguration;
import lockstep.api.SMPConfiguration;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.option.OptionException;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * The properties of a machine that have members: {@code boot}, {@code memory} and {@code smp}. Each can be said by {@code
 * -machine group.member=value}, by an option of its own, and, of a machine that is there, by qom-set; what is left out
 * has the same value each time. Under the machine lock.
 */
final class MachineGroups {
    /** The group of {@code -boot}. */
    static final String BOOT = "boot";

    /** The group of {@code -m}. */
    static final String MEMORY = "memory";

    /** The group of {@code -smp}. */
    static final String SMP = "smp";

    private static final Map<String, ValueReader<?>> READERS =
            Map.of(
                    BOOT, BootConfiguration::read,
                    MEMORY, MemorySizeConfiguration::read,
                    SMP, SMPConfiguration::read);

    /**
     * What a board makes of its groups.
     *
     * @param name the machine type's name
     * @param maxCpus the most processors
     * @param hasDies whether its sockets are made up of dies and these of modules
     * @param order what it boots from usually, empty if from nothing
     * @param ram its usual bytes of RAM
     */
    record Board(String name, int maxCpus, boolean hasDies, String order, long ram) {}

    private final Map<String, Map<String, String>> given = new TreeMap<>();

    /** What {@code -m} says, which counts more than {@code -machine}, whichever comes first. */
    private final Map<String, String> memoryOption = new LinkedHashMap<>();

    private Board board = new Board("none", 1, false, "", 0);

    /** With nothing said. */
    MachineGroups() {
        READERS.keySet().forEach(name -> given.put(name, new LinkedHashMap<>()));
    }

    /**
     * Takes a property of {@code -machine} if it is a member of a group.
     *
     * @return false if it is not
     */
    boolean take(String property, String value) throws OptionException {
        if (property.equals(MEMORY)) {
            // Its size is among its members even when nobody says so.
            throw new OptionException("Parameter 'memory' used inconsistently", false);
        }
        int dot = property.indexOf('.');
        ValueReader<?> reader = dot < 0 ? null : READERS.get(property.substring(0, dot));
        if (reader == null) {
            return false;
        }
        String member = property.substring(dot + 1);
        if (MemberOutline.of(reader).stream().noneMatch(m -> m.name().equals(member))) {
            throw new OptionException("Parameter '" + property + "' is unexpected", false);
        }
        of(property.substring(0, dot)).put(member, value);
        return true;
    }

    /** The texts that were said of a group, for its option to add to. */
    Map<String, String> of(String group) {
        Map<String, String> texts = given.get(group);
        if (texts == null) {
            throw new IllegalArgumentException(group);
        }
        return texts;
    }

    /** The texts of {@code -m} by the names of members. */
    Map<String, String> memoryOption() {
        return memoryOption;
    }

    /** Refuses what a board cannot have, in QEMU's words; for it the rest is said. */
    void check(Board chosen) throws OptionException {
        board = chosen;
        of(MEMORY).putAll(memoryOption);
        for (String group : given.keySet()) {
            whole(group);
        }
    }

    /** How many processors there are and how they belong together. */
    CpuTopology topology() throws OptionException {
        return CpuTopology.of(read(SMP, SMPConfiguration::read));
    }

    /** How much RAM there is and may be. */
    RamSize memory() throws OptionException {
        return RamSize.of(read(MEMORY, MemorySizeConfiguration::read), board.ram());
    }

    /** Has the machine's properties say what was said here, and completes what is set later. */
    void show(MachineProperties properties) throws OptionException {
        for (String group : given.keySet()) {
            properties.group(group, whole(group), value -> set(group, value));
        }
    }

    private <T> T read(String group, ValueReader<T> reader) throws OptionException {
        JsonObject members = new JsonObject();
        of(group).forEach(members::put);
        try {
            KeyvalInputVisitor visitor =
                    new KeyvalInputVisitor(
                            new JsonObject().put(group, members), KeyvalInputVisitor.Style.KEYVAL);
            visitor.startStruct(null);
            return reader.read(visitor, group);
        } catch (QmpException e) {
            throw new OptionException(e.description(), false);
        }
    }

    private JsonValue whole(String group) throws OptionException {
        return switch (group) {
            case BOOT -> whole(read(BOOT, BootConfiguration::read));
            case MEMORY -> memory().describe();
            default -> whole(read(SMP, SMPConfiguration::read));
        };
    }

    private JsonValue set(String group, JsonValue value) throws QmpException {
        InputVisitor in = new JsonInputVisitor(value);
        try {
            return switch (group) {
                case BOOT -> whole(BootConfiguration.read(in, null));
                case MEMORY ->
                        RamSize.of(MemorySizeConfiguration.read(in, null), board.ram()).describe();
                default -> whole(SMPConfiguration.read(in, null));
            };
        } catch (OptionException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    private JsonValue whole(SMPConfiguration numbers) throws OptionException {
        CpuTopology topology = CpuTopology.of(numbers);
        topology.check(board.name(), board.maxCpus(), board.hasDies());
        return topology.describe();
    }

    private JsonValue whole(BootConfiguration boot) throws OptionException {
        checkDevices(boot.order());
        checkDevices(boot.once());
        JsonObject all = (JsonObject) JsonOutputVisitor.toJson(boot, BootConfiguration::write);
        if (!all.has("order") && !board.order().isEmpty()) {
            all.put("order", board.order());
        }
        return all;
    }

    /** The letters that a boot order can have on any machine. */
    private static void checkDevices(@Nullable String order) throws OptionException {
        for (int i = 0; order != null && i < order.length(); i++) {
            char c = order.charAt(i);
            if (c < 'a' || c > 'p') {
                throw new OptionException("Invalid boot device '" + c + "'", false);
            }
            if (order.indexOf(c) < i) {
                throw new OptionException("Boot device '" + c + "' was given twice", false);
            }
        }
    }
}
