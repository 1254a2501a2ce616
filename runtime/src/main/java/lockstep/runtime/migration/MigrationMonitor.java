package lockstep.runtime.migration;

import lockstep.api.MigrateArguments;
import lockstep.api.MigrateContinueArguments;
import lockstep.api.MigrateIncomingArguments;
import lockstep.api.MigrateRecoverArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.api.MigrationInfo;
import lockstep.api.MigrationParameters;
import lockstep.api.MigrationStats;
import lockstep.api.MigrationStatus;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;

import java.util.List;
import java.util.OptionalLong;
import java.util.Set;

/** The human monitor's commands about migration. Under the machine lock. */
final class MigrationMonitor {
    private final MigrationService service;

    MigrationMonitor(MigrationService service) {
        this.service = service;
    }

    void register(HmpTable table) {
        table.add(
                "migrate",
                "detach:-d,resume:-r,uri:s",
                "[-d] [-r] uri",
                "move the guest to URI (-d: do not wait for the end)",
                (arguments, output) -> {
                    service.migrate(
                            MigrateArguments.builder()
                                    .uri(arguments.string("uri"))
                                    .resume(arguments.flag("resume"))
                                    .build());
                    if (!arguments.flag("detach")) {
                        output.append(
                                "terminal does not allow synchronous migration, continuing"
                                        + " detached\n");
                    }
                });
        table.add(
                "migrate_cancel",
                "",
                "",
                "give a running migration up",
                (arguments, output) -> service.migrateCancel());
        table.add(
                "migrate_continue",
                "state:s",
                "state",
                "Continue migration from the given paused state",
                (arguments, output) ->
                        service.migrateContinue(
                                new MigrateContinueArguments(status(arguments.string("state")))));
        table.add(
                "migrate_incoming",
                "uri:s",
                "uri",
                "Continue an incoming migration from an -incoming defer",
                (arguments, output) ->
                        service.migrateIncoming(
                                MigrateIncomingArguments.builder()
                                        .uri(arguments.string("uri"))
                                        .build()));
        table.add(
                "migrate_start_postcopy",
                "",
                "",
                "go on with a migration on the destination before its RAM is there",
                (arguments, output) -> service.migrateStartPostcopy());
        table.add(
                "migrate_recover",
                "uri:s",
                "uri",
                "go on with a migration that was paused behind its switchover",
                (arguments, output) ->
                        service.migrateRecover(
                                new MigrateRecoverArguments(arguments.string("uri"))));
        table.add(
                "migrate_pause",
                "",
                "",
                "pause a migration behind its switchover",
                (arguments, output) -> service.migratePause());
        table.add(
                "migrate_set_capability",
                "capability:s,state:b",
                "capability state",
                "Enable/Disable the usage of a capability for migration",
                (arguments, output) -> setCapability(arguments));
        table.add(
                "migrate_set_parameter",
                "parameter:s,value:s",
                "parameter value",
                "Set the parameter for migration",
                (arguments, output) -> setParameter(arguments));
        table.addInfo(
                "migrate",
                "all:-a",
                "[-a]",
                "progress of a migration (-a: settings as well)",
                (arguments, output) -> info(output));
        table.addInfo(
                "migrate_capabilities",
                "",
                "",
                "migration capabilities that are on or off",
                (arguments, output) -> {
                    for (MigrationCapabilityStatus c : service.queryMigrateCapabilities()) {
                        output.append(c.capability().wireName())
                                .append(c.state() ? ": on\n" : ": off\n");
                    }
                });
        table.addInfo(
                "migrate_parameters",
                "",
                "",
                "settings of migration",
                (arguments, output) -> parameters(output));
    }

    private static MigrationStatus status(String name) throws QmpException {
        for (MigrationStatus status : MigrationStatus.known()) {
            if (status.wireName().equals(name)) {
                return status;
            }
        }
        throw new QmpException("invalid parameter value: " + name);
    }

    private void setCapability(HmpArguments arguments) throws QmpException {
        String name = arguments.string("capability");
        for (MigrationCapability capability : MigrationCapability.known()) {
            if (capability.wireName().equals(name)) {
                service.migrateSetCapabilities(
                        new MigrateSetCapabilitiesArguments(
                                List.of(
                                        new MigrationCapabilityStatus(
                                                capability, arguments.flag("state")))));
                return;
            }
        }
        throw new QmpException("invalid parameter value: " + name);
    }

    private void setParameter(HmpArguments arguments) throws QmpException {
        String name = arguments.string("parameter");
        if (name.equals("block-bitmap-mapping")) {
            throw new QmpException(
                    "The block-bitmap-mapping parameter can only be set through QMP");
        }
        String text = arguments.string("value");
        JsonObject now = shown();
        JsonValue old = now.get(name);
        if (old == null) {
            throw new QmpException("invalid parameter value: " + name);
        }
        JsonObject change = new JsonObject();
        switch (old) {
            case JsonNumber number -> change.put(name, size(name, text));
            case JsonBoolean bool -> {
                if (!text.equals("on") && !text.equals("off")) {
                    throw new QmpException("Parameter '" + name + "' expects 'on' or 'off'");
                }
                change.put(name, text.equals("on"));
            }
            default -> change.put(name, text);
        }
        service.migrateSetParameters(MigrateSetParameters.read(new JsonInputVisitor(change), null));
    }

    /** What counts in bytes, or is read as if it did. */
    private static final Set<String> SIZES =
            Set.of(
                    "announce-initial",
                    "announce-max",
                    "announce-rounds",
                    "announce-step",
                    "downtime-limit",
                    "max-postcopy-bandwidth",
                    "xbzrle-cache-size");

    /** A number; the bandwidths are in MiB unless a suffix says otherwise. */
    private static long size(String name, String text) throws QmpException {
        if (name.endsWith("bandwidth") && !SIZES.contains(name)) {
            NumberText size = NumberText.size(text, 'M');
            if (size.outcome() != NumberText.Outcome.NUMBER || size.value() < 0) {
                throw new QmpException("Invalid size " + text);
            }
            return size.value();
        }
        if (SIZES.contains(name)) {
            NumberText size = NumberText.size(text);
            if (size.outcome() != NumberText.Outcome.NUMBER) {
                throw new QmpException(size.sizeRefusal(name, text));
            }
            return size.value();
        }
        OptionalLong number = NumberText.wrapping(text).toOptional();
        if (number.isEmpty()) {
            throw new QmpException("Parameter '" + name + "' expects uint64");
        }
        return number.getAsLong();
    }

    private JsonObject shown() {
        return (JsonObject)
                JsonOutputVisitor.toJson(
                        service.queryMigrateParameters(), MigrationParameters::write);
    }

    private void parameters(StringBuilder output) {
        shown().members()
                .forEach(
                        (name, value) ->
                                output.append(name)
                                        .append(": ")
                                        .append(text(name, value))
                                        .append('\n'));
    }

    private static String text(String name, JsonValue value) {
        return switch (value) {
            case JsonString s -> name.startsWith("tls") ? "'" + s.value() + "'" : s.value();
            case JsonBoolean b -> b.value() ? "on" : "off";
            case JsonNumber n -> n + unit(name);
            default -> value.toString();
        };
    }

    private static String unit(String name) {
        return switch (name) {
            case "announce-initial",
                    "announce-max",
                    "announce-step",
                    "downtime-limit",
                    "x-checkpoint-delay",
                    "x-checkpoint-pause",
                    "x-colo-timeout",
                    "x-vcpu-dirty-limit-period" ->
                    " ms";
            case "max-bandwidth", "avail-switchover-bandwidth" -> " bytes/second";
            case "xbzrle-cache-size" -> " bytes";
            case "vcpu-dirty-limit" -> " MB/s";
            default -> "";
        };
    }

    private void info(StringBuilder output) {
        MigrationInfo info = service.queryMigrate();
        List<String> reasons = info.blockedReasons();
        if (reasons != null) {
            output.append("Outgoing migration blocked:\n");
            reasons.forEach(r -> output.append("  ").append(r).append('\n'));
        }
        MigrationStatus status = info.status();
        if (status == null) {
            return;
        }
        output.append("Status: \t\t").append(status.wireName());
        if (status == MigrationStatus.FAILED && info.errorDesc() != null) {
            output.append(" (").append(info.errorDesc()).append(')');
        }
        output.append('\n');
        if (info.totalTime() != null) {
            output.append("Time (ms): \t\ttotal=").append(info.totalTime());
            append(output, ", setup=", info.setupTime());
            append(output, ", exp_down=", info.expectedDowntime());
            append(output, ", down=", info.downtime());
            output.append('\n');
        }
        MigrationStats ram = info.ram();
        if (ram != null) {
            output.append("RAM info:\n");
            output.append("  Throughput (Mbps): \t%.2f\n".formatted(ram.mbps()));
            output.append("  Sizes: \t\tpagesize=4 KiB, total=").append(size(ram.total()));
            output.append("\n  Transfers: \t\ttransferred=").append(size(ram.transferred()));
            output.append(", remain=").append(size(ram.remaining()));
            output.append("\n    Channels: \t\tprecopy=").append(size(ram.precopyBytes()));
            output.append(", multifd=0 B, postcopy=0 B\n    Page Types: \tnormal=");
            output.append(ram.normal()).append(", zero=").append(ram.duplicate());
            output.append("\n  Page Rates (pps): \ttransfer=").append(ram.pagesPerSecond());
            if (ram.dirtyPagesRate() > 0) {
                output.append(", dirty=").append(ram.dirtyPagesRate());
            }
            output.append("\n  Others: \t\tdirty_syncs=").append(ram.dirtySyncCount());
            output.append('\n');
        }
    }

    private static void append(
            StringBuilder output, String label, @org.jspecify.annotations.Nullable Long value) {
        if (value != null) {
            output.append(label).append(value);
        }
    }

    /** A number of bytes with at most three digits before the unit. */
    private static String size(long bytes) {
        String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
        double value = bytes;
        int unit = 0;
        while (value >= 1000 && unit < units.length - 1) {
            value /= 1024;
            unit++;
        }
        String text = "%.3g".formatted(value);
        if (text.contains("e")) {
            text = "%.0f".formatted(value);
        }
        return (value == Math.rint(value) ? "%.0f".formatted(value) : text) + " " + units[unit];
    }
}
