package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.qmp.NumberText;
import lockstep.qmp.OptionText;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The options of an image to be made ({@code -o}), checked against what its format has. */
final class TargetOptions {
    /** In the order of qemu-img's line, with their defaults; those without are not shown unless given. */
    private static final Map<String, String> QCOW2 = new LinkedHashMap<>();

    private static final List<String> RAW =
            List.of("size", "nocow", "extent_size_hint", "preallocation");

    private static final List<String> ENCRYPTION =
            List.of(
                    "encryption",
                    "encrypt.format",
                    "encrypt.key-secret",
                    "encrypt.cipher-alg",
                    "encrypt.cipher-mode",
                    "encrypt.ivgen-alg",
                    "encrypt.ivgen-hash-alg",
                    "encrypt.hash-alg",
                    "encrypt.iter-time");

    static {
        QCOW2.put("cluster_size", "65536");
        QCOW2.put("extended_l2", "off");
        QCOW2.put("preallocation", "");
        QCOW2.put("compression_type", "zlib");
        QCOW2.put("size", "");
        QCOW2.put("data_file", "");
        QCOW2.put("data_file_raw", "");
        QCOW2.put("compat", "");
        QCOW2.put("backing_file", "");
        QCOW2.put("backing_fmt", "");
        QCOW2.put("lazy_refcounts", "off");
        QCOW2.put("refcount_bits", "16");
    }

    private final String format;
    private final Map<String, String> given = new LinkedHashMap<>();

    private TargetOptions(String format) {
        this.format = format;
    }

    /**
     * Reads the options.
     *
     * @param prefix stands in front of messages
     */
    static TargetOptions parse(String prefix, String format, List<String> texts)
            throws ToolException {
        TargetOptions options = new TargetOptions(format);
        for (String text : texts) {
            for (OptionText.Option option : OptionText.parse(text, null).options()) {
                options.put(prefix, option.name(), option.value());
            }
        }
        return options;
    }

    private void put(String prefix, String name, String value) throws ToolException {
        boolean known = format.equals("raw") ? RAW.contains(name) : QCOW2.containsKey(name);
        if (!known && format.equals("qcow2") && ENCRYPTION.contains(name)) {
            throw new ToolException(prefix + "Encrypted images are not supported (" + name + ")");
        }
        if (!known) {
            throw new ToolException(prefix + "Invalid parameter '" + name + "'");
        }
        switch (name) {
            case "cluster_size", "size", "extent_size_hint" -> {
                NumberText size = NumberText.size(value);
                if (size.outcome() != NumberText.Outcome.NUMBER || size.value() < 0) {
                    throw new ToolException(
                                    prefix
                                            + "Parameter '"
                                            + name
                                            + "' expects a non-negative number below 2^64")
                            .advising(
                                    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-,"
                                            + " tera-, peta-\nand exabytes, respectively.\n");
                }
                given.put(name, Long.toString(size.value()));
            }
            case "refcount_bits" -> {
                NumberText number = NumberText.unsigned(value);
                if (number.outcome() != NumberText.Outcome.NUMBER) {
                    throw new ToolException(prefix + "Parameter '" + name + "' expects a number");
                }
                given.put(name, Long.toString(number.value()));
            }
            case "lazy_refcounts", "extended_l2", "data_file_raw", "nocow" -> {
                if (!isOn(value) && !List.of("off", "no", "false", "n").contains(value)) {
                    throw new ToolException(
                            prefix + "Parameter '" + name + "' expects 'on' or 'off'");
                }
                given.put(name, value);
            }
            default -> given.put(name, value);
        }
    }

    private static boolean isOn(@Nullable String value) {
        return value != null && List.of("on", "yes", "true", "y").contains(value);
    }

    @Nullable String get(String name) {
        return given.get(name);
    }

    void set(String name, String value) {
        given.put(name, value);
    }

    boolean hasBacking() {
        return format.equals("qcow2");
    }

    /** The line that tells what is made. */
    String describe(String filename) {
        StringBuilder line = new StringBuilder();
        line.append("Formatting '").append(filename).append("', fmt=").append(format);
        if (format.equals("raw")) {
            for (String name : RAW) {
                append(line, name, given.get(name));
            }
        } else {
            QCOW2.forEach(
                    (name, fallback) -> {
                        String value = given.get(name);
                        append(
                                line,
                                name,
                                value != null ? value : fallback.isEmpty() ? null : fallback);
                    });
        }
        return line.toString();
    }

    private static void append(StringBuilder line, String name, @Nullable String value) {
        if (value != null) {
            line.append(' ').append(name).append('=').append(value);
        }
    }

    /** How storage is prepared: off, metadata, falloc or full. */
    String preallocation(String prefix) throws ToolException {
        String mode = given.get("preallocation");
        if (mode == null) {
            return "off";
        }
        if (!List.of("off", "metadata", "falloc", "full").contains(mode)) {
            throw new ToolException(
                    prefix + "Parameter 'preallocation' does not accept value '" + mode + "'");
        }
        return mode;
    }

    long clusterSize() {
        String size = given.get("cluster_size");
        return size == null ? 65536 : Long.parseLong(size);
    }

    int refcountBits() {
        String bits = given.get("refcount_bits");
        return bits == null ? 16 : Math.clamp(Long.parseLong(bits), 0, Integer.MAX_VALUE);
    }

    /** What is asked for of a qcow2 image; errors with the prefix when that cannot be made. */
    Qcow2Creator.Options qcow2(String prefix, long size) throws ToolException {
        String compat = given.getOrDefault("compat", "1.1");
        int version =
                switch (compat) {
                    case "1.1", "v3" -> 3;
                    case "0.10", "v2" -> 2;
                    default ->
                            throw new ToolException(
                                    prefix
                                            + "Parameter 'version' does not accept value '"
                                            + compat
                                            + "'");
                };
        String compression = given.getOrDefault("compression_type", "zlib");
        if (!List.of("zlib", "zstd").contains(compression)) {
            throw new ToolException(
                    prefix
                            + "Parameter 'compression-type' does not accept value '"
                            + compression
                            + "'");
        }
        if (isOn(given.get("extended_l2"))) {
            throw new ToolException(prefix + "extended_l2=on is not supported");
        }
        if (given.containsKey("data_file") || isOn(given.get("data_file_raw"))) {
            throw new ToolException(prefix + "External data files (data_file) are not supported");
        }
        long cluster = clusterSize();
        if (Long.bitCount(cluster) != 1) {
            throw new ToolException(
                    prefix + "Cluster size must be a power of two between 512 and 2048k");
        }
        Qcow2Creator.Options options =
                new Qcow2Creator.Options(
                        size,
                        Long.numberOfTrailingZeros(cluster),
                        given.get("backing_file"),
                        given.get("backing_fmt"),
                        version,
                        refcountBits(),
                        isOn(given.get("lazy_refcounts")),
                        compression.equals("zstd"));
        try {
            options.check();
        } catch (BlockException e) {
            throw ToolException.of(prefix, e);
        }
        if (!preallocation(prefix).equals("off") && given.containsKey("backing_file")) {
            throw new ToolException(
                    prefix
                            + "Backing file and preallocation can only be used at the same time if"
                            + " extended_l2 is on");
        }
        return options;
    }

    /** What a format's options mean. */
    static String help(String format) {
        return format.equals("raw")
                ? """
                Supported raw options:
                  size=<size>            - Virtual disk size

                The protocol level may support further options.
                Specify the target filename to include those options.
                """
                : """
                Supported qcow2 options:
                  backing_file=<str>     - Name of the image below
                  backing_fmt=<str>      - Format of the image below
                  cluster_size=<size>    - Unit in which storage is taken
                  compat=<str>           - Version of the format (v2 [0.10] or v3 [1.1])
                  compression_type=<str> - How compressed clusters are packed (zlib, zstd)
                  lazy_refcounts=<bool (on/off)> - Writers may postpone updates of refcounts
                  preallocation=<str>    - Storage taken at once (off, metadata, falloc, full)
                  refcount_bits=<num>    - Width of a refcount in bits
                  size=<size>            - Virtual disk size

                The protocol level may support further options.
                Specify the target filename to include those options.
                """;
    }
}
