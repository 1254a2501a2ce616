package lockstep.tools.img;

import lockstep.block.luks.LuksHeader;
import lockstep.block.luks.Secrets;
import lockstep.block.node.BlockException;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
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

    /** What a LUKS header is made by; qcow2 has the same with a prefix. */
    private static final List<String> LUKS =
            List.of(
                    "key-secret",
                    "cipher-alg",
                    "cipher-mode",
                    "ivgen-alg",
                    "ivgen-hash-alg",
                    "hash-alg",
                    "iter-time");

    private static final String PREFIX = "encrypt.";

    static {
        QCOW2.put("encryption", "");
        QCOW2.put("encrypt.format", "");
        LUKS.forEach(name -> QCOW2.put(PREFIX + name, ""));
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
        boolean known =
                switch (format) {
                    case "raw" -> RAW.contains(name);
                    case "luks" -> name.equals("size") || LUKS.contains(name);
                    default -> QCOW2.containsKey(name);
                };
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
            case "refcount_bits", "iter-time", "encrypt.iter-time" -> {
                NumberText number = NumberText.unsigned(value);
                if (number.outcome() != NumberText.Outcome.NUMBER) {
                    throw new ToolException(prefix + "Parameter '" + name + "' expects a number");
                }
                given.put(name, Long.toString(number.value()));
            }
            case "lazy_refcounts", "extended_l2", "data_file_raw", "nocow", "encryption" -> {
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

    String format() {
        return format;
    }

    /** The name by which what was made is opened. */
    String opening(String filename) {
        String secret = given.get(option("key-secret"));
        if (secret == null) {
            return filename;
        }
        JsonObject tree = new JsonObject().put("driver", format);
        tree.put("file", new JsonObject().put("driver", "file").put("filename", filename));
        if (format.equals("luks")) {
            tree.put("key-secret", secret);
        } else {
            JsonObject encrypt =
                    new JsonObject()
                            .put(
                                    "format",
                                    isOn(given.get("encryption"))
                                            ? "aes"
                                            : String.valueOf(given.get("encrypt.format")));
            tree.put("encrypt", encrypt.put("key-secret", secret));
        }
        return "json:" + JsonPrinter.pretty(tree);
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
        } else if (format.equals("luks")) {
            append(line, "size", given.get("size"));
            for (String name : LUKS) {
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
                        compression.equals("zstd"),
                        0,
                        null);
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

    /** How a qcow2 image is to be encrypted: luks, aes or null. */
    @Nullable String encryption(String prefix) throws ToolException {
        String wanted = given.get("encrypt.format");
        if (given.containsKey("encryption")) {
            if (wanted != null) {
                throw new ToolException(
                        prefix
                                + "'encrypt.format' and its alias 'encryption' can't be used at the"
                                + " same time");
            }
            wanted = isOn(given.get("encryption")) ? "aes" : null;
        }
        if (wanted == null) {
            for (String name : LUKS) {
                if (given.containsKey(PREFIX + name)) {
                    throw new ToolException(prefix + "Parameter 'encrypt.format' is missing");
                }
            }
            return null;
        }
        if (!List.of("luks", "aes").contains(wanted)) {
            throw new ToolException(
                    prefix + "Parameter 'format' does not accept value '" + wanted + "'");
        }
        return wanted;
    }

    /** Errors when no secret is named; answers its identifier. */
    String secret(String prefix) throws ToolException {
        String name = format.equals("luks") ? "key-secret" : PREFIX + "key-secret";
        String secret = given.get(name);
        if (secret == null) {
            throw new ToolException(prefix + "Parameter '" + name + "' is required for cipher");
        }
        return secret;
    }

    /** Makes the LUKS header that is asked for. */
    LuksHeader.Fresh luks(String prefix, Secrets secrets) throws ToolException {
        String secret = secret(prefix);
        LuksHeader.Kind usual = LuksHeader.Kind.DEFAULT;
        try {
            byte[] password = secrets.find(secret);
            LuksHeader.Kind kind =
                    LuksHeader.Kind.of(
                            choice(prefix, "cipher-alg", usual.cipher(), "aes-128 aes-192 aes-256"),
                            choice(prefix, "cipher-mode", usual.mode(), "ecb cbc xts"),
                            choice(prefix, "ivgen-alg", usual.vector(), "plain plain64 essiv"),
                            choice(prefix, "ivgen-hash-alg", null, HASHES),
                            choice(prefix, "hash-alg", usual.hash(), HASHES));
            String time = given.get(option("iter-time"));
            return LuksHeader.create(
                    kind,
                    password,
                    secret,
                    time == null ? LuksHeader.ITERATION_TIME : Long.parseLong(time));
        } catch (BlockException e) {
            throw ToolException.of(prefix, e);
        }
    }

    private static final String HASHES = "sha1 sha224 sha256 sha384 sha512";

    private String option(String name) {
        return format.equals("luks") ? name : PREFIX + name;
    }

    @SuppressWarnings("NullAway") // what is given back is null only where the fallback is
    private String choice(String prefix, String name, @Nullable String fallback, String values)
            throws ToolException {
        String value = given.get(option(name));
        if (value == null) {
            return fallback;
        }
        if (!List.of(values.split(" ")).contains(value)) {
            throw new ToolException(
                    prefix + "Parameter '" + name + "' does not accept value '" + value + "'");
        }
        return value;
    }

    /** What a format's options mean. */
    static String help(String format) {
        return !format.equals("qcow2")
                ? """
                Supported options:
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
                  encrypt.cipher-alg=<str> - aes-128, aes-192 or aes-256
                  encrypt.cipher-mode=<str> - xts, cbc or ecb
                  encrypt.format=<str>   - How the image is encrypted (luks, aes)
                  encrypt.hash-alg=<str> - Hash of passwords
                  encrypt.iter-time=<num> - Milliseconds that hashing a password takes
                  encrypt.ivgen-alg=<str> - plain64, plain or essiv
                  encrypt.ivgen-hash-alg=<str> - Hash of keys for essiv
                  encrypt.key-secret=<str> - Identifier of the secret with the password
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
