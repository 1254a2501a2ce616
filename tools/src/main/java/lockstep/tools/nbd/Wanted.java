package lockstep.tools.nbd;

import lockstep.qmp.NumberText;
import lockstep.runtime.option.TypeHelp;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** What a command line asks for. */
final class Wanted {
    private static final int LONGEST = 4096;

    private final Options options;
    private final int shared;
    private final CacheMode cache;
    private final List<String> bitmaps = new ArrayList<>();

    private Wanted(Options options) throws ToolException {
        this.options = options;
        if (given("c", "--connect") || given("d", "--disconnect")) {
            throw new ToolException("Kernel /dev/nbdN support not available");
        }
        if (options.has("--selinux-label")) {
            throw new ToolException("SELinux support not enabled in this binary");
        }
        if (given("P", "--partition")) {
            throw new ToolException(
                    "--partition was removed: serve the part with --offset, or by --image-opts");
        }
        once("-n and --cache", "n", "--nocache", "--cache");
        once("--aio", "--aio");
        once("--discard", "--discard");
        cache = given("n", "--nocache") ? CacheMode.NONE : cache(options.get("--cache"));
        oneOf("aio mode '%s'", options.get("--aio"), "threads", "native", "io_uring");
        oneOf("discard mode `%s'", options.get("--discard"), "ignore", "off", "unmap", "on");
        detectZeroes();
        shared = shared(text("e", "--shared"));
        if (text("o", "--offset") != null) {
            offset();
        }
        options.all("B").forEach(bitmaps::add);
        options.all("--bitmap").forEach(bitmaps::add);
        longest("name", name());
        longest("description", description());
        check();
    }

    /** Reads it. */
    static Wanted of(Options options) throws ToolException {
        return new Wanted(options);
    }

    private void check() throws ToolException {
        if (list()) {
            if (!options.arguments().isEmpty()) {
                throw new ToolException("List mode is incompatible with a file name");
            }
            if (given("x", "--export-name")
                    || given("D", "--description")
                    || given("o", "--offset")
                    || given("A", "--allocation-depth")
                    || !bitmaps.isEmpty()) {
                throw new ToolException("List mode is incompatible with per-device settings");
            }
            if (fork()) {
                throw new ToolException("List mode is incompatible with forking");
            }
        } else if (options.arguments().size() != 1
                && objects().stream().noneMatch(TypeHelp::askedForTypes)) {
            throw new ToolException("Invalid number of arguments")
                    .advising("Try `" + Console.PROGRAM + " --help' for more information.\n");
        }
        String socket = socket();
        if (socket != null && !socket.startsWith("/")) {
            throw new ToolException("socket path must be absolute");
        }
        for (String option : List.of("--tls-authz", "--tls-hostname")) {
            if (options.has(option) && tlsCreds() == null) {
                throw new ToolException(option + " is not permitted without --tls-creds");
            }
        }
        if (tlsHostname() != null && !list()) {
            throw new ToolException("TLS hostname is only supported in list mode");
        }
        if (imageOptions() && given("f", "--format")) {
            throw new ToolException("--image-opts and -f are mutually exclusive");
        }
    }

    private void once(String what, String... names) throws ToolException {
        long times =
                options.given().stream().filter(o -> List.of(names).contains(o.name())).count();
        if (times > 1) {
            throw new ToolException(what + " can only be specified once");
        }
    }

    private static CacheMode cache(@Nullable String text) throws ToolException {
        try {
            return CacheMode.of("", text, CacheMode.WRITEBACK);
        } catch (ToolException e) {
            throw new ToolException("Invalid cache mode `" + text + "'");
        }
    }

    private static void oneOf(String what, @Nullable String text, String... values)
            throws ToolException {
        if (text != null && !List.of(values).contains(text)) {
            throw new ToolException("Invalid " + what.formatted(text));
        }
    }

    private void detectZeroes() throws ToolException {
        String mode = options.get("--detect-zeroes");
        if (mode == null) {
            return;
        }
        if (!List.of("off", "on", "unmap").contains(mode)) {
            throw new ToolException(
                    "Failed to parse detect_zeroes mode: invalid parameter value: " + mode);
        }
        if (mode.equals("unmap") && !unmap()) {
            throw new ToolException(
                    "setting detect-zeroes to unmap is not allowed without setting discard"
                            + " operation to unmap");
        }
    }

    private static int shared(@Nullable String text) throws ToolException {
        if (text == null) {
            return 1;
        }
        OptionalInt number = NumberText.decimal(text);
        if (number.isEmpty() || number.getAsInt() < 0) {
            throw new ToolException("Invalid shared device number '" + text + "'");
        }
        return number.getAsInt();
    }

    private static void longest(String what, String text) throws ToolException {
        if (text.length() > LONGEST) {
            throw new ToolException("export " + what + " '" + text + "' too long");
        }
    }

    private boolean given(String letter, String name) {
        return options.has(letter) || options.has(name);
    }

    private @Nullable String text(String letter, String name) {
        String text = options.get(letter);
        return text == null ? options.get(name) : text;
    }

    private String text(String letter, String name, String fallback) {
        String text = text(letter, name);
        return text == null ? fallback : text;
    }

    /** Whether a server's exports are to be shown. */
    boolean list() {
        return given("L", "--list");
    }

    boolean fork() {
        return options.has("--fork");
    }

    boolean persistent() {
        return given("t", "--persistent");
    }

    boolean readOnly() {
        return given("r", "--read-only") || snapshotInside() != null;
    }

    /** Whether what is written goes to a file that ends with the program. */
    boolean temporary() {
        return given("s", "--snapshot");
    }

    boolean allocationDepth() {
        return given("A", "--allocation-depth");
    }

    boolean imageOptions() {
        return options.has("--image-opts");
    }

    boolean unmap() {
        String discard = options.get("--discard");
        return "unmap".equals(discard) || "on".equals(discard);
    }

    /** How many clients at a time, 0 for any number. */
    int shared() {
        return shared;
    }

    CacheMode cache() {
        return cache;
    }

    List<String> bitmaps() {
        return bitmaps;
    }

    /** The image. */
    String image() {
        return options.arguments().getFirst();
    }

    String name() {
        return text("x", "--export-name", "");
    }

    String description() {
        return text("D", "--description", "");
    }

    String host() {
        return text("b", "--bind", "0.0.0.0");
    }

    String port() {
        return text("p", "--port", "10809");
    }

    @Nullable String socket() {
        return text("k", "--socket");
    }

    @Nullable String format() {
        return text("f", "--format");
    }

    @Nullable String snapshotInside() {
        return text("l", "--load-snapshot");
    }

    @Nullable String aio() {
        return options.get("--aio");
    }

    @Nullable String zeroes() {
        return options.get("--detect-zeroes");
    }

    @Nullable String pidFile() {
        return options.get("--pid-file");
    }

    @Nullable String tlsCreds() {
        return options.get("--tls-creds");
    }

    @Nullable String tlsAuthz() {
        return options.get("--tls-authz");
    }

    @Nullable String tlsHostname() {
        return options.get("--tls-hostname");
    }

    List<String> objects() {
        return options.all("--object");
    }

    /** Texts of {@code --trace}. */
    List<String> traces() {
        List<String> texts = new ArrayList<>(options.all("T"));
        texts.addAll(options.all("--trace"));
        return texts;
    }

    /** Bytes in front of what is served. */
    long offset() throws ToolException {
        String text = text("o", "--offset", "0");
        NumberText number = NumberText.unsigned(text);
        if (number.outcome() != NumberText.Outcome.NUMBER || number.value() < 0) {
            throw new ToolException("Invalid offset '" + text + "'");
        }
        return number.value();
    }
}
