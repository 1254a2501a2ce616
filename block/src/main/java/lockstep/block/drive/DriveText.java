package lockstep.block.drive;

import lockstep.api.DriveOptions;
import lockstep.api.ThrottleLimits;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.block.open.LegacyTree;
import lockstep.block.throttle.Limits;
import lockstep.qmp.JsonObject;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * One {@code -drive} text taken apart: what the drive keeps for itself, and the tree of the root
 * node's options.
 *
 * @param options the drive's own options
 * @param tree the root node's options as texts; empty for a drive without medium
 * @param limits what limits its requests
 * @param group the throttle group that it names, or null
 */
record DriveText(
        DriveOptions options,
        JsonObject tree,
        boolean writethrough,
        Limits limits,
        @Nullable String group) {
    /** Older names of limits. */
    private static final Map<String, String> THROTTLING = throttling();

    /** How a file name begins that is none. */
    private static final Pattern PROTOCOL = Pattern.compile("[a-z][-+.a-z0-9]*:");

    /** Where a drive is. */
    private static final Set<String> PLACES = Set.of("bus", "unit", "index");

    private static final Set<String> OWN =
            Set.of(
                    "if",
                    "bus",
                    "unit",
                    "index",
                    "media",
                    "id",
                    "werror",
                    "rerror",
                    "snapshot",
                    "stats-account-invalid",
                    "stats-account-failed",
                    "copy-on-read");

    /**
     * The interfaces a drive can name, with the units of one bus (0: no limit) and their QMP order.
     */
    enum Interface {
        NONE(0),
        IDE(2),
        SCSI(7),
        FLOPPY(0),
        PFLASH(0),
        MTD(0),
        SD(0),
        VIRTIO(0),
        XEN(0);

        final int units;

        Interface(int units) {
            this.units = units;
        }

        String text() {
            return name().toLowerCase(Locale.ROOT);
        }

        static Interface find(String text) throws BlockException {
            for (Interface one : values()) {
                if (one.text().equals(text)) {
                    return one;
                }
            }
            throw bad("unsupported bus type '" + text + "'");
        }
    }

    private static Map<String, String> throttling() {
        Map<String, String> names = new LinkedHashMap<>();
        for (String kind : List.of("bps", "iops")) {
            Map.of("", "-total", "_rd", "-read", "_wr", "-write")
                    .forEach(
                            (older, name) -> {
                                names.put(kind + older, "throttling." + kind + name);
                                names.put(
                                        kind + older + "_max",
                                        "throttling." + kind + name + "-max");
                            });
        }
        names.put("iops_size", "throttling.iops-size");
        names.put("group", "throttling.group");
        return names;
    }

    static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Parses a text; further keys and defaults come from options such as {@code -hda}. */
    static DriveText parse(String text, Map<String, String> defaults) throws BlockException {
        Map<String, String> all = new LinkedHashMap<>(defaults);
        all.putAll(OptionText.parse(text, null).toMap());
        return of(all);
    }

    private static DriveText of(Map<String, String> all) throws BlockException {
        Map<String, String> own = new LinkedHashMap<>();
        Map<String, String> node = new LinkedHashMap<>();
        for (Map.Entry<String, String> entry : all.entrySet()) {
            String key = entry.getKey();
            if (key.startsWith("stats-intervals")) {
                throw new BlockException(
                        Errno.ENOTSUP, "Drive option '" + key + "' is not supported");
            }
            String throttling = THROTTLING.get(key);
            if (throttling != null && all.containsKey(throttling)) {
                throw bad(
                        "'"
                                + throttling
                                + "' and its alias '"
                                + key
                                + "' can't be used at the same time");
            }
            String full = throttling == null ? key : throttling;
            boolean mine = OWN.contains(full) || full.startsWith("throttling.");
            (mine ? own : node).put(full, entry.getValue());
        }
        String group = own.remove("throttling.group");
        boolean writethrough = cacheMode(node);
        String readOnly = node.remove("readonly");
        if (readOnly != null) {
            node.putIfAbsent("read-only", readOnly);
        }
        String format = node.remove("format");
        if (format != null) {
            if (node.containsKey("driver")) {
                throw bad("Cannot specify both 'driver' and 'format'");
            }
            node.put("driver", format);
        }
        String aio = node.remove("aio");
        if (aio != null && !Set.of("threads", "native", "io_uring").contains(aio)) {
            throw bad("invalid aio option");
        }
        if ("cdrom".equals(own.get("media"))) {
            node.putIfAbsent("read-only", "on");
        }
        String file = node.remove("file");
        if (aio != null) {
            handedOver(node, file, aio);
        }
        for (Map.Entry<String, String> option : own.entrySet()) {
            String key = option.getKey();
            if (PLACES.contains(key) || key.startsWith("throttling.")) {
                option.setValue(Long.toString(LegacyTree.number(key, option.getValue())));
            }
        }
        try {
            DriveOptions options =
                    DriveOptions.read(
                            new KeyvalInputVisitor(
                                    KeyvalText.tree(own), KeyvalInputVisitor.Style.OPTIONS),
                            null);
            if (own.containsKey("copy-on-read") && Boolean.TRUE.equals(options.copyOnRead())) {
                throw new BlockException(
                        Errno.ENOTSUP, "Drive option 'copy-on-read' is not supported");
            }
            JsonObject tree = LegacyTree.tree(node);
            if (file != null && !file.isEmpty()) {
                named(tree, file);
            }
            if (onlySettings(tree)) {
                tree = new JsonObject();
            }
            ThrottleLimits limits = options.throttling();
            return new DriveText(
                    options,
                    tree,
                    writethrough,
                    limits == null ? Limits.NONE : Limits.NONE.with(limits),
                    group);
        } catch (QmpException e) {
            throw new BlockException(Errno.EINVAL, e.description(), e);
        }
    }

    /**
     * {@code file=X} names what the root node is stored in, or the root itself when its driver is a
     * protocol.
     */
    static void named(JsonObject tree, String file) throws BlockException {
        if (tree.get("file") instanceof JsonObject child && !child.has("filename")) {
            // Further options of the file, such as its locking, stand beside its name.
            LegacyTree.fileNamed(file)
                    .members()
                    .forEach(
                            (name, value) -> {
                                if (!child.has(name)) {
                                    child.put(name, value);
                                }
                            });
            return;
        }
        if (tree.has("file")) {
            throw bad("Can't specify 'file' and 'filename' options at the same time");
        }
        String driver =
                tree.get("driver") instanceof lockstep.qmp.JsonString string ? string.value() : "";
        if (driver.equals("file") || driver.equals("nbd") || driver.startsWith("null-")) {
            tree.put("filename", file);
        } else if (driver.isEmpty()) {
            tree.put("filename", file);
        } else {
            tree.put("file", LegacyTree.fileNamed(file));
        }
    }

    /** Whether there is nothing that says where data is: a drive without medium. */
    private static boolean onlySettings(JsonObject tree) {
        return tree.members().keySet().stream()
                .allMatch(
                        key ->
                                Set.of(
                                                "cache",
                                                "read-only",
                                                "auto-read-only",
                                                "discard",
                                                "detect-zeroes",
                                                "force-share")
                                        .contains(key));
    }

    /** Replaces {@code cache=MODE} by its parts; answers whether writes go through. */
    private static boolean cacheMode(Map<String, String> node) throws BlockException {
        String mode = node.remove("cache");
        boolean writeback = true;
        if (mode != null) {
            boolean direct = false;
            boolean noFlush = false;
            switch (mode) {
                case "none", "off" -> direct = true;
                case "directsync" -> {
                    direct = true;
                    writeback = false;
                }
                case "writeback" -> {}
                case "unsafe" -> noFlush = true;
                case "writethrough" -> writeback = false;
                default -> throw bad("invalid cache option");
            }
            node.putIfAbsent("cache.direct", direct ? "on" : "off");
            node.putIfAbsent("cache.no-flush", noFlush ? "on" : "off");
        }
        String given = node.remove("cache.writeback");
        if (given != null) {
            writeback =
                    switch (given) {
                        case "on", "yes", "true", "y" -> true;
                        case "off", "no", "false", "n" -> false;
                        default -> throw bad("Parameter 'cache.writeback' expects 'on' or 'off'");
                    };
        }
        return !writeback;
    }

    /** How requests are handed to the kernel is said of the file below a format; what is no file does not care. */
    private static void handedOver(Map<String, String> node, @Nullable String file, String aio) {
        String driver = node.get("driver");
        if (driver != null && Set.of("file", "host_device").contains(driver)) {
            node.putIfAbsent("aio", aio);
        } else if (node.containsKey("file.filename")
                || file != null
                        && (file.startsWith("file:") || !PROTOCOL.matcher(file).lookingAt())) {
            node.putIfAbsent("file.aio", aio);
        }
    }

    /** The policy for reads or writes. */
    static ErrorAction action(@Nullable String text, boolean read) throws BlockException {
        return switch (text) {
            case null -> read ? ErrorAction.REPORT : ErrorAction.ENOSPC;
            case "ignore" -> ErrorAction.IGNORE;
            case "stop" -> ErrorAction.STOP;
            case "report" -> ErrorAction.REPORT;
            default -> {
                if (!read && text.equals("enospc")) {
                    yield ErrorAction.ENOSPC;
                }
                throw bad("'" + text + "' invalid " + (read ? "read" : "write") + " error action");
            }
        };
    }
}
