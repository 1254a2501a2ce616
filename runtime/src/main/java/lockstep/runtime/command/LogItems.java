package lockstep.runtime.command;

import java.util.List;
import java.util.TreeMap;

/**
 * The items of {@code -d} and of the human monitor's {@code log}. Scripts for QEMU may use their names;
 * most are about translated code, which does not exist here, and only trace events are logged.
 */
public final class LogItems {
    private static final TreeMap<String, String> ITEMS = new TreeMap<>();

    static {
        for (String translation :
                List.of(
                        "out_asm",
                        "in_asm",
                        "op",
                        "op_opt",
                        "op_ind",
                        "op_plugin",
                        "exec",
                        "cpu",
                        "fpu",
                        "mmu",
                        "pcall",
                        "nochain",
                        "plugin",
                        "strace",
                        "tid",
                        "vpu")) {
            ITEMS.put(translation, "accepted; there is no translated code to tell about");
        }
        ITEMS.put("int", "accepted; the processor handles interrupts");
        ITEMS.put("cpu_reset", "accepted; see the trace events");
        ITEMS.put("page", "accepted; memory is mapped by the kernel");
        ITEMS.put("unimp", "accepted; unknown registers read as documented");
        ITEMS.put("guest_errors", "accepted; a guest's mistakes are not logged");
        ITEMS.put("invalid_mem", "accepted; bad accesses are not logged");
    }

    private LogItems() {}

    /** Whether there is an item of that name, trace events aside. */
    public static boolean known(String item) {
        return ITEMS.containsKey(item);
    }

    /** The list, as a user reads it. */
    public static String help() {
        StringBuilder out = new StringBuilder("Log items (comma separated):\n");
        ITEMS.forEach((item, what) -> out.append("%-15s %s\n".formatted(item, what)));
        return out.append("trace:PATTERN   enable trace events\n\n").toString();
    }
}
