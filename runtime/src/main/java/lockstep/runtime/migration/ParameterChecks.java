package lockstep.runtime.migration;

import lockstep.api.MigrateSetParameters;
import lockstep.api.MigrationParameters;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

/** What migrate-set-parameters checks, with the texts that clients of QEMU know. */
final class ParameterChecks {
    private ParameterChecks() {}

    /** The parameters with the changes in place. */
    static MigrationParameters merge(MigrationParameters old, MigrateSetParameters changes)
            throws QmpException {
        range(
                "downtime_limit",
                changes.downtimeLimit(),
                0,
                2_000_000,
                "an integer in the range" + " of 0 to (2000 * 1000) ms");
        integer("throttle_trigger_threshold", changes.throttleTriggerThreshold(), 1, 100);
        integer("cpu_throttle_initial", changes.cpuThrottleInitial(), 1, 99);
        integer("cpu_throttle_increment", changes.cpuThrottleIncrement(), 1, 99);
        Integer initial =
                changes.cpuThrottleInitial() != null
                        ? changes.cpuThrottleInitial()
                        : old.cpuThrottleInitial();
        Integer most = changes.maxCpuThrottle();
        if (most != null && (most > 99 || (initial != null && most < initial))) {
            throw bad("max_cpu_throttle", "an integer in the range of cpu_throttle_initial to 99");
        }
        between("multifd_channels", asLong(changes.multifdChannels()), 1, 255);
        between("multifd_zlib_level", asLong(changes.multifdZlibLevel()), 0, 9);
        between("multifd_qatzip_level", asLong(changes.multifdQatzipLevel()), 1, 9);
        between("multifd_zstd_level", asLong(changes.multifdZstdLevel()), 0, 20);
        between("announce_initial", changes.announceInitial(), 0, 100_000);
        between("announce_max", changes.announceMax(), 0, 100_000);
        between("announce_rounds", changes.announceRounds(), 0, 1000);
        // QEMU's text says so, though it refuses 0, with which the announcements would never end.
        range("announce_step", changes.announceStep(), 1, 10_000, "a value between 0 and 10000");
        Long cache = changes.xbzrleCacheSize();
        if (cache != null && (Long.compareUnsigned(cache, 4096) < 0 || Long.bitCount(cache) != 1)) {
            throw bad("xbzrle_cache_size", "a power of two no less than the target page size");
        }
        between("x_vcpu_dirty_limit_period", changes.xVcpuDirtyLimitPeriod(), 1, 1000);
        if (changes.vcpuDirtyLimit() != null && changes.vcpuDirtyLimit() == 0) {
            throw new QmpException("Parameter 'vcpu_dirty_limit' must be greater than 1 MB/s");
        }
        if (changes.blockBitmapMapping() != null) {
            BitmapNames.check(changes.blockBitmapMapping());
        }
        if (Boolean.TRUE.equals(changes.directIo())) {
            throw new QmpException("No build-time support for direct-io");
        }
        JsonObject all = (JsonObject) JsonOutputVisitor.toJson(old, MigrationParameters::write);
        JsonObject fresh =
                (JsonObject) JsonOutputVisitor.toJson(changes, MigrateSetParameters::write);
        for (var change : fresh.members().entrySet()) {
            String name = change.getKey();
            // null stands for none.
            boolean none = name.startsWith("tls-") && change.getValue() instanceof JsonNull;
            all.put(name, none ? new JsonString("") : change.getValue());
        }
        return MigrationParameters.read(new JsonInputVisitor(all), null);
    }

    private static @Nullable Long asLong(@Nullable Integer value) {
        return value == null ? null : Long.valueOf(value);
    }

    private static void integer(String name, @Nullable Integer value, int low, int high)
            throws QmpException {
        range(
                name,
                asLong(value),
                low,
                high,
                "an integer in the range of %d to %d".formatted(low, high));
    }

    private static void between(String name, @Nullable Long value, long low, long high)
            throws QmpException {
        range(name, value, low, high, "a value between %d and %d".formatted(low, high));
    }

    private static void range(
            String name, @Nullable Long value, long low, long high, String expected)
            throws QmpException {
        if (value != null && (value < low || value > high)) {
            throw bad(name, expected);
        }
    }

    private static QmpException bad(String name, String expected) {
        return new QmpException("Parameter '" + name + "' expects " + expected);
    }
}
