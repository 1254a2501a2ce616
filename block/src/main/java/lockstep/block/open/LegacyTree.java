package lockstep.block.open;

import lockstep.api.BlockdevDriver;
import lockstep.api.BlockdevOptions;
import lockstep.api.Qcow2OverlapCheckMode;
import lockstep.block.nbd.Nbd;
import lockstep.block.node.BlockException;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Completes option trees whose leaves are texts: guesses missing drivers, parses protocol file
 * names, and rewrites the older spellings of NBD servers.
 */
public final class LegacyTree {
    /** Tells the format of what a protocol node holds. */
    @FunctionalInterface
    public interface Probe {
        /** The driver's name: {@code qcow2} or {@code raw}. */
        String format(JsonValue file) throws BlockException;
    }

    private static final Set<String> PROTOCOLS =
            Set.of("blkdebug", "file", "host_device", "nbd", "null-co", "null-aio");

    private static final Set<String> NUMBERS =
            Set.of("cache-clean-interval", "latency-ns", "vote-threshold");

    /** Options that take suffixes here and are plain numbers in QMP. */
    private static final Set<String> SIZES =
            Set.of(
                    "size",
                    "offset",
                    "cache-size",
                    "l2-cache-size",
                    "l2-cache-entry-size",
                    "refcount-cache-size");

    private static final String OVERLAP = "overlap-check";

    /** Where the name of the file with rules begins in {@code blkdebug:rules:image}. */
    private static final int BLKDEBUG = "blkdebug:".length();

    private static final Pattern UNKNOWN =
            Pattern.compile("Invalid parameter '(?:(.*)\\.)?([^.']+)'");
    private static final int DEPTH_MAX = 32;

    private final Probe probe;

    public LegacyTree(Probe probe) {
        this.probe = probe;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Completes a tree in place and reads it. */
    public BlockdevOptions read(JsonObject tree) throws BlockException {
        complete(tree, false, 0);
        return parse(tree);
    }

    /** Reads a complete tree of texts, with the errors of drives. */
    static BlockdevOptions parse(JsonObject tree) throws BlockException {
        try {
            return BlockdevOptions.read(
                    new KeyvalInputVisitor(tree, KeyvalInputVisitor.Style.OPTIONS), null);
        } catch (QmpException e) {
            throw bad(translate(tree, e.description()));
        }
    }

    /** An option that a driver does not know is that driver's error. */
    private static String translate(JsonObject tree, String message) {
        Matcher match = UNKNOWN.matcher(message);
        if (!match.matches()) {
            return message;
        }
        JsonValue at = tree;
        String driver = text(tree, "driver");
        String option = "";
        String path = match.group(1);
        for (String part : path == null ? new String[0] : path.split("\\.")) {
            at =
                    switch (at) {
                        case JsonObject object when object.has(part) -> object.get(part);
                        case JsonArray array
                                when part.matches("[0-9]{1,4}")
                                        && Integer.parseInt(part) < array.size() ->
                                array.get(Integer.parseInt(part));
                        case null, default -> null;
                    };
            option += part + ".";
            if (at instanceof JsonObject object && text(object, "driver") != null) {
                driver = text(object, "driver");
                option = "";
            }
        }
        if (driver == null || !(at instanceof JsonObject)) {
            return message;
        }
        option += match.group(2);
        return PROTOCOLS.contains(driver)
                ? "Block protocol '" + driver + "' doesn't support the option '" + option + "'"
                : "Block format '" + driver + "' does not support the option '" + option + "'";
    }

    private static @Nullable String text(JsonObject object, String key) {
        return object.get(key) instanceof JsonString string ? string.value() : null;
    }

    private void complete(JsonObject node, boolean protocol, int depth) throws BlockException {
        if (depth > DEPTH_MAX) {
            throw bad("Block nodes are nested too deeply");
        }
        String driver = text(node, "driver");
        if (driver == null) {
            driver = protocol ? protocolDriver(node) : formatDriver(node, depth);
            node.put("driver", driver);
        }
        if (driver.equals("host_device")) {
            driver = "file";
            node.put("driver", driver);
        }
        if (BlockdevDriver.find(driver) == null) {
            throw bad("Unknown driver '" + driver + "'");
        }
        switch (driver) {
            case "file" -> {
                String name = text(node, "filename");
                if (name == null || name.isEmpty()) {
                    throw bad("The 'file' block driver requires a file name");
                }
                if (name.startsWith("file:")) {
                    node.put("filename", name.substring(5));
                }
            }
            case "nbd" -> nbd(node);
            case "blkdebug" -> child(node, "image", true, depth);
            case "quorum" -> {
                if (!(node.get("children") instanceof JsonArray children)) {
                    throw bad("Option children is not a valid array");
                }
                for (JsonValue child : children) {
                    if (child instanceof JsonObject object) {
                        complete(object, false, depth + 1);
                    }
                }
                if (!node.has("vote-threshold")) {
                    throw bad("Parameter 'vote-threshold' expects a value >= 1");
                }
                String pattern = text(node, "read-pattern");
                if (pattern != null && !pattern.equals("fifo") && !pattern.equals("quorum")) {
                    throw bad("Please set read-pattern as fifo or quorum");
                }
            }
            case "replication" -> {
                String mode = text(node, "mode");
                if (mode == null) {
                    throw bad("Missing the option mode");
                }
                if (!mode.equals("primary") && !mode.equals("secondary")) {
                    throw bad("The option mode's value should be primary or secondary");
                }
                child(node, "file", false, depth);
            }
            case "null-co", "null-aio" -> node.remove("filename");
            case "raw", "luks" -> child(node, "file", true, depth);
            case "qcow2" -> {
                checkOverlapMode(node.get("overlap-check"));
                if (node.get("encrypt") instanceof JsonObject encrypt && !encrypt.has("format")) {
                    encrypt.put("format", "luks"); // the header says it again
                }
                child(node, "file", true, depth);
            }
            default -> child(node, "file", false, depth);
        }
        for (String key : SIZES) {
            String text = text(node, key);
            if (text != null) {
                NumberText size = NumberText.size(text);
                if (size.outcome() != NumberText.Outcome.NUMBER) {
                    throw bad(size.sizeRefusal(key, text));
                }
                if (size.value() < 0) {
                    throw bad("Value '" + text + "' is out of range for parameter '" + key + "'");
                }
                node.put(key, Long.toString(size.value()));
            }
        }
        for (String key : NUMBERS) {
            String text = text(node, key);
            if (text != null) {
                long number = number(key, text);
                boolean unsigned = key.equals("latency-ns");
                node.put(key, unsigned ? Long.toUnsignedString(number) : Long.toString(number));
            }
        }
        if (node.get("backing") instanceof JsonObject backing) {
            complete(backing, false, depth + 1);
        }
    }

    /** A number of an option of a drive; a negative one stands for its 64 bits. */
    public static long number(String key, String text) throws BlockException {
        NumberText number = NumberText.wrapping(text);
        return switch (number.outcome()) {
            case NUMBER -> number.value();
            case OUT_OF_RANGE ->
                    throw bad("Value '" + text + "' is too large for parameter '" + key + "'");
            case INVALID -> throw bad("Parameter '" + key + "' expects a number");
        };
    }

    private static void checkOverlapMode(@Nullable JsonValue option) throws BlockException {
        JsonValue mode = option instanceof JsonObject parts ? parts.get("template") : option;
        if (mode instanceof JsonString text
                && (text.value().isEmpty() || Qcow2OverlapCheckMode.find(text.value()) == null)) {
            throw bad(
                    "Unsupported value '"
                            + text.value()
                            + "' for qcow2 option 'overlap-check'. Allowed are any of the"
                            + " following: none, constant, cached, all");
        }
    }

    /**
     * A tree from dotted keys. Older spellings of one option, {@code overlap-check} for its {@code
     * template}, may stand beside newer ones here.
     */
    public static JsonObject tree(Map<String, String> flat) throws QmpException, BlockException {
        Map<String, String> keys = new LinkedHashMap<>(flat);
        for (String key : flat.keySet()) {
            boolean named = key.equals(OVERLAP) || key.endsWith("." + OVERLAP);
            if (named && flat.keySet().stream().anyMatch(k -> k.startsWith(key + "."))) {
                String mode = String.valueOf(keys.remove(key));
                String other = keys.putIfAbsent(key + ".template", mode);
                if (other != null && !other.equals(mode)) {
                    throw bad(
                            "Conflicting values for qcow2 options 'overlap-check' ('"
                                    + mode
                                    + "') and 'overlap-check.template' ('"
                                    + other
                                    + "')");
                }
            }
        }
        return KeyvalText.tree(keys);
    }

    private void child(JsonObject node, String name, boolean protocol, int depth)
            throws BlockException {
        JsonValue child = node.get(name);
        if (child == null) {
            String filename = text(node, "filename");
            if (filename == null) {
                throw bad("A block device must be specified for \"" + name + "\"");
            }
            node.remove("filename");
            JsonObject made = fileNamed(filename);
            node.put(name, made);
            complete(made, protocol, depth + 1);
        } else if (child instanceof JsonObject object) {
            complete(object, protocol, depth + 1);
        }
    }

    private static String protocolDriver(JsonObject node) throws BlockException {
        String filename = text(node, "filename");
        if (filename == null) {
            throw bad("Must specify either driver or file");
        }
        JsonObject parsed = fileNamed(filename);
        node.remove("filename");
        for (Map.Entry<String, JsonValue> member : parsed.members().entrySet()) {
            node.put(member.getKey(), member.getValue());
        }
        String driver = text(parsed, "driver");
        if (driver == null) {
            throw bad("Unknown protocol '" + filename + "'");
        }
        return driver;
    }

    private String formatDriver(JsonObject node, int depth) throws BlockException {
        String filename = text(node, "filename");
        if (filename != null && !node.has("file")) {
            JsonObject parsed = fileNamed(filename);
            node.remove("filename");
            if (filename.startsWith("json:")) {
                parsed.members().forEach(node::put);
                complete(node, false, depth + 1);
                return String.valueOf(text(node, "driver"));
            }
            node.put("file", parsed);
        }
        JsonValue file = node.get("file");
        if (file == null) {
            throw bad("Must specify either driver or file");
        }
        if (file instanceof JsonObject object) {
            complete(object, true, depth + 1);
            String below = text(object, "driver");
            if (below != null && !PROTOCOLS.contains(below)) {
                // A tree that is complete already needs no further format on top, only a
                // transparent one.
                return "raw";
            }
        }
        return probe.format(file);
    }

    /** The options that a file name stands for. */
    public static JsonObject fileNamed(String filename) throws BlockException {
        if (filename.startsWith("json:")) {
            try {
                if (JsonStreamParser.parse(filename.substring(5)) instanceof JsonObject object) {
                    return unflatten(object);
                }
            } catch (QmpException e) {
                throw bad("Could not parse the JSON options: " + e.description());
            }
            throw bad("Invalid JSON object given");
        }
        JsonObject node = new JsonObject();
        if (filename.startsWith("nbd:") || filename.startsWith("nbd+unix:")) {
            node.put("driver", "nbd");
            NbdNames.parse(filename, node);
        } else if (filename.startsWith("blkdebug:")) {
            int colon = filename.indexOf(':', BLKDEBUG);
            if (colon < 0) {
                throw bad("blkdebug requires both config file and image path");
            }
            node.put("driver", "blkdebug");
            if (colon > BLKDEBUG) {
                node.put("config", filename.substring(BLKDEBUG, colon));
            }
            node.put("image", fileNamed(filename.substring(colon + 1)));
        } else if (filename.startsWith("null-co:") || filename.startsWith("null-aio:")) {
            node.put("driver", filename.substring(0, filename.indexOf(':')));
        } else {
            int colon = filename.indexOf(':');
            String prefix = colon > 0 ? filename.substring(0, colon) : "";
            boolean path = prefix.isEmpty() || prefix.contains("/");
            if (!path && !prefix.equals("file") && !prefix.equals("host_device")) {
                throw new BlockException(Errno.ENOENT, "Unknown protocol '" + prefix + "'");
            }
            node.put("driver", "file");
            node.put("filename", path ? filename : filename.substring(colon + 1));
        }
        return node;
    }

    /** The tree with all leaves as texts, dotted keys taken apart. */
    private static JsonObject unflatten(JsonObject object) throws QmpException, BlockException {
        Map<String, String> flat = new LinkedHashMap<>();
        flatten(object, "", flat);
        return tree(flat);
    }

    private static void flatten(JsonValue value, String key, Map<String, String> flat) {
        switch (value) {
            case JsonObject object ->
                    object.members()
                            .forEach(
                                    (name, member) ->
                                            flatten(
                                                    member,
                                                    key.isEmpty() ? name : key + "." + name,
                                                    flat));
            case JsonArray array -> {
                List<JsonValue> elements = array.elements();
                for (int i = 0; i < elements.size(); i++) {
                    flatten(elements.get(i), key + "." + i, flat);
                }
            }
            case JsonString string -> flat.put(key, string.value());
            case JsonBoolean bool -> flat.put(key, bool.value() ? "on" : "off");
            case JsonNumber number -> flat.put(key, number.toString());
            case JsonNull ignored -> flat.put(key, "");
        }
    }

    private static void nbd(JsonObject node) throws BlockException {
        String filename = text(node, "filename");
        if (filename != null) {
            node.remove("filename");
            NbdNames.parse(filename, node);
        }
        String host = text(node, "host");
        String port = text(node, "port");
        String path = text(node, "path");
        boolean legacy = host != null || port != null || path != null;
        if (node.get("server") instanceof JsonObject server) {
            if (legacy) {
                throw bad("Cannot use 'server' and path/host/port at the same time");
            }
            if ("inet".equals(text(server, "type")) && text(server, "port") == null) {
                server.put("port", Integer.toString(Nbd.DEFAULT_PORT));
            }
            return;
        }
        if (!legacy) {
            throw bad("NBD server address missing");
        }
        if (host != null && path != null) {
            throw bad("path and host may not be used at the same time");
        }
        if (port != null && host == null) {
            throw bad("port may not be used without host");
        }
        node.remove("host");
        node.remove("port");
        node.remove("path");
        JsonObject server = new JsonObject();
        if (path != null) {
            server.put("type", "unix").put("path", path);
        } else {
            server.put("type", "inet")
                    .put("host", String.valueOf(host))
                    .put("port", port == null ? Integer.toString(Nbd.DEFAULT_PORT) : port);
        }
        node.put("server", server);
    }
}
