package lockstep.runtime.commandline;

import lockstep.api.SMPConfiguration;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.runtime.option.OptionException;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What {@code -smp} says about the processors: how many there are and how they make up sockets, dies,
 * modules, cores and threads.
 *
 * @param given the numbers of the option by their names
 */
record CpuTopology(Map<String, Long> given) {
    /** All numbers. */
    private record Whole(
            long cpus,
            long sockets,
            long dies,
            long modules,
            long cores,
            long threads,
            long maxcpus) {}

    /** Levels that not every machine has, in the order in which they are looked at. */
    private static final List<String> LEVELS =
            List.of("modules", "clusters", "dies", "books", "drawers");

    /** Those that a PC does not have. */
    private static final List<String> ABSENT = List.of("drawers", "books", "clusters");

    /** What was said; what it means is looked at when the machine type is known. */
    static CpuTopology of(SMPConfiguration c) {
        Map<String, Long> all = new LinkedHashMap<>();
        all.put("cpus", c.cpus());
        all.put("drawers", c.drawers());
        all.put("books", c.books());
        all.put("sockets", c.sockets());
        all.put("dies", c.dies());
        all.put("clusters", c.clusters());
        all.put("modules", c.modules());
        all.put("cores", c.cores());
        all.put("threads", c.threads());
        all.put("maxcpus", c.maxcpus());
        all.values().removeIf(Objects::isNull);
        return new CpuTopology(all);
    }

    private long get(String name, long fallback) {
        return given.getOrDefault(name, fallback);
    }

    /** The processors of the machine at its start; only after {@link #check}. */
    int cpus() {
        return (int) resolve().cpus();
    }

    /** All numbers; only after {@link #check}. */
    JsonObject describe() {
        Whole all = resolve();
        JsonObject numbers = new JsonObject();
        for (String level : ABSENT) {
            numbers.put(level, JsonNumber.of(1));
        }
        return numbers.put("cpus", JsonNumber.of(all.cpus()))
                .put("sockets", JsonNumber.of(all.sockets()))
                .put("dies", JsonNumber.of(all.dies()))
                .put("modules", JsonNumber.of(all.modules()))
                .put("cores", JsonNumber.of(all.cores()))
                .put("threads", JsonNumber.of(all.threads()))
                .put("maxcpus", JsonNumber.of(all.maxcpus()));
    }

    /** All numbers, those that are not given worked out from the others: cores come before sockets. */
    private Whole resolve() {
        long cpus = get("cpus", 0);
        long sockets = get("sockets", 0);
        long dies = get("dies", 1);
        long modules = get("modules", 1);
        long cores = get("cores", 0);
        long threads = get("threads", 0);
        long most = get("maxcpus", 0);
        if (cpus == 0 && most == 0) {
            sockets = Math.max(sockets, 1);
            cores = Math.max(cores, 1);
            threads = Math.max(threads, 1);
        } else {
            most = most > 0 ? most : cpus;
            if (cores == 0) {
                sockets = Math.max(sockets, 1);
                threads = Math.max(threads, 1);
                cores = most / (sockets * dies * modules * threads);
            } else if (sockets == 0) {
                threads = Math.max(threads, 1);
                sockets = most / (dies * modules * cores * threads);
            }
            if (threads == 0) {
                threads = most / (sockets * dies * modules * cores);
            }
        }
        most = most > 0 ? most : sockets * dies * modules * cores * threads;
        cpus = cpus > 0 ? cpus : most;
        return new Whole(cpus, sockets, dies, modules, cores, threads, most);
    }

    /**
     * Refuses what a machine cannot have, in QEMU's words.
     *
     * @param machine the machine type's name
     * @param limit the most processors of that type
     * @param hasDies whether its sockets are made up of dies and these of modules
     */
    void check(String machine, int limit, boolean hasDies) throws OptionException {
        for (Map.Entry<String, Long> e : given.entrySet()) {
            if (e.getValue() == 0) {
                throw invalid("CPU topology parameters must be greater than zero");
            }
            // So the products below stay within 64 bits.
            if (e.getValue() < 0 || e.getValue() > 0xff_ffff && !e.getKey().equals("cpus")) {
                throw tooMany(e.getValue(), machine, limit);
            }
        }
        for (String level : LEVELS) {
            boolean absent = ABSENT.contains(level) || !hasDies;
            if (absent && get(level, 1) > 1) {
                throw new OptionException(
                        level + " > 1 not supported by this machine's CPU topology", false);
            }
        }
        if (List.of("sockets", "dies", "modules", "cores", "threads").stream()
                        .mapToDouble(level -> get(level, 1))
                        .reduce(1, (a, b) -> a * b)
                > Integer.MAX_VALUE) {
            throw tooMany(Integer.MAX_VALUE, machine, limit);
        }
        Whole all = resolve();
        long product = all.sockets() * all.dies() * all.modules() * all.cores() * all.threads();
        String hierarchy =
                "sockets (%d)%s * cores (%d) * threads (%d)"
                        .formatted(
                                all.sockets(),
                                hasDies
                                        ? " * dies (%d) * modules (%d)"
                                                .formatted(all.dies(), all.modules())
                                        : "",
                                all.cores(),
                                all.threads());
        long cpus = all.cpus();
        long most = all.maxcpus();
        if (product != most) {
            throw invalid(
                    "product of the hierarchy must match maxcpus: "
                            + hierarchy
                            + " != maxcpus ("
                            + most
                            + ")");
        }
        if (most < cpus) {
            throw invalid(
                    "maxcpus must be equal to or greater than smp: "
                            + hierarchy
                            + " == maxcpus ("
                            + most
                            + ") < smp_cpus ("
                            + cpus
                            + ")");
        }
        if (most > limit) {
            throw tooMany(most, machine, limit);
        }
    }

    private static OptionException invalid(String text) {
        return new OptionException("Invalid CPU topology: " + text, false);
    }

    private static OptionException tooMany(long count, String machine, int limit) {
        return new OptionException(
                "Invalid SMP CPUs "
                        + count
                        + ". The max CPUs supported by machine '"
                        + machine
                        + "' is "
                        + limit,
                false);
    }
}
