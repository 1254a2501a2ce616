package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Two virtual machines started from the given scripts, in a network namespace of their own, with nothing
 * adapted but image paths, memory size, the tap scripts, and the accelerator where there is no KVM.
 */
final class ColoPair implements AutoCloseable {
    static final int PRIMARY_QMP = 25555;
    static final int SECONDARY_QMP = 55555;
    private static final int SECONDARY_HMP = 55554;
    static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final String IMAGES = "/home/lizhijian/images/colo/";
    private static final Pattern TICK = Pattern.compile("tick ([0-9a-f]{8})\r");

    /** One of the two, or one that takes the place of one that is gone. */
    final class Side {
        final String name;
        final int qmp;
        private final String script;
        final Path output;
        final Path errors;
        Process process;

        /** Whether packets stay in the process on their way to the comparison and back. */
        boolean direct;

        /** Options of this side alone. */
        List<String> own = List.of();

        /** What is changed in the script besides. */
        UnaryOperator<String> rewired = UnaryOperator.identity();

        private Side(String name, String script, int qmp) {
            this.name = name;
            this.script = script;
            this.qmp = qmp;
            this.output = directory.resolve(name + ".out");
            this.errors = directory.resolve(name + ".err");
        }

        private void start() {
            try {
                String text = Files.readString(Host.scripts().resolve(script + ".sh"));
                if (direct) {
                    text =
                            text.replaceAll("socket,id=(compare0|compare_out),\\S+", "pair,id=$1")
                                    .replaceAll(
                                            "socket,id=(compare0|compare_out)(-?0),\\S+",
                                            "pair,id=$1$2,peer=$1");
                }
                if (certificates != null) {
                    text =
                            text.replaceAll(
                                    "port=900[34]\\S*",
                                    "$0,tls-creds=" + (this == primary ? "server" : "client"));
                }
                Path adapted = directory.resolve(name + ".sh");
                text =
                        text.replace(IMAGES + script, directory + "/images/" + name)
                                .replace(":" + SECONDARY_QMP, ":" + qmp)
                                .replace(":" + SECONDARY_HMP, ":" + (qmp - 1))
                                .replace("-enable-kvm", "-accel " + accelerator)
                                .replace("-m 4096", "-m " + memory)
                                .replace("/etc/qemu-ifup", directory + "/ifup")
                                .replace("/etc/qemu-ifdown", "no")
                                .replace("exec $cmd", "exec $cmd \"$@\"");
                if (twofold) {
                    text = twice(text);
                    emptyDisks(name, "-1");
                }
                Files.writeString(adapted, rewired.apply(text));
                List<String> command = inNamespace("sh", adapted.toString());
                command.addAll(options);
                command.addAll(own);
                if (certificates != null) {
                    for (String end : List.of("server", "client")) {
                        command.add("-object");
                        command.add(
                                "tls-creds-x509,id="
                                        + end
                                        + ",endpoint="
                                        + end
                                        + ",dir="
                                        + certificates);
                    }
                }
                process =
                        new ProcessBuilder(command)
                                .directory(directory.toFile())
                                .redirectInput(Path.of("/dev/null").toFile())
                                .redirectOutput(output.toFile())
                                .redirectError(errors.toFile())
                                .start();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Pulls the plug. */
        void kill() {
            process.destroyForcibly();
            join();
        }

        private void join() {
            try {
                if (!process.waitFor(30, TimeUnit.SECONDS)) {
                    throw new AssertionError(name + " did not end");
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new AssertionError(e);
            }
        }

        /** The numbers that the guest has counted on this side, in order. */
        List<Integer> ticks() {
            List<Integer> ticks = new ArrayList<>();
            Matcher m = TICK.matcher(Host.text(output));
            while (m.find()) {
                ticks.add(Integer.parseInt(m.group(1), 16));
            }
            return ticks;
        }

        int lastTick() {
            List<Integer> ticks = ticks();
            return ticks.isEmpty() ? 0 : ticks.getLast();
        }

        /** The trace lines of the families that the scripts switch on, without the others. */
        List<String> traces() {
            return Host.text(errors)
                    .lines()
                    .filter(l -> l.startsWith("colo_") || l.startsWith("migrate_set_state"))
                    .toList();
        }

        @Override
        public String toString() {
            return name
                    + " printed:\n"
                    + Host.text(errors)
                    + "\nand its guest, at the end:\n"
                    + tail(Host.text(output));
        }
    }

    final Path directory;
    final Side primary;
    final Side secondary;
    private final String namespace;
    private final boolean withQemu;
    private final String accelerator;
    private final List<String> options;
    private @Nullable Path certificates;

    /** Whether the guest has a second disk, and a second card, each with all that belongs to it. */
    boolean twofold;

    /** What is changed in the script of {@link #another}. */
    UnaryOperator<String> others = UnaryOperator.identity();

    /** The guest's RAM in MiB. */
    int memory = 128;

    private final List<Side> sides = new ArrayList<>();

    /** Makes images and network; {@code boot} is the guest's boot sector. */
    ColoPair(Path directory, byte[] boot) throws IOException {
        this(directory, boot, Host.binary(), Host.binary());
    }

    /** With a program of its own for either side. */
    ColoPair(Path directory, byte[] boot, Path primaryBinary, Path secondaryBinary)
            throws IOException {
        this(directory, boot, primaryBinary, secondaryBinary, Host.accelerator(), List.of());
    }

    /** With an accelerator, and options that both sides have besides. */
    ColoPair(
            Path directory,
            byte[] boot,
            Path primaryBinary,
            Path secondaryBinary,
            String accelerator,
            List<String> options)
            throws IOException {
        this.directory = directory;
        this.accelerator = accelerator;
        Path ours = Host.binary();
        withQemu = !primaryBinary.equals(ours) || !secondaryBinary.equals(ours);
        this.options = options;
        this.primary = new Side("primary", "primary", PRIMARY_QMP);
        this.secondary = new Side("secondary", "secondary", SECONDARY_QMP);
        sides.add(primary);
        sides.add(secondary);
        this.namespace = "lockstep-" + ProcessHandle.current().pid();
        makeDisk(directory.resolve("images/primary/primary.qcow2"), boot);
        makeDisk(directory.resolve("images/secondary/primary.qcow2"), boot);
        emptyDisk(directory.resolve("images/secondary/secondary-active.qcow2"));
        emptyDisk(directory.resolve("images/secondary/secondary-hidden.qcow2"));
        Files.createSymbolicLink(directory.resolve("primary"), primaryBinary);
        Files.createSymbolicLink(directory.resolve("secondary"), secondaryBinary);
        Path ifup = directory.resolve("ifup");
        Files.writeString(ifup, "#!/bin/sh\nip link set \"$1\" up master br0\n");
        ifup.toFile().setExecutable(true);
        Host.run("ip", "netns", "add", namespace);
        Host.run(inNamespace("ip", "link", "set", "lo", "up"));
        Host.run(inNamespace("ip", "link", "add", "br0", "type", "bridge"));
        Host.run(inNamespace("ip", "link", "set", "br0", "up"));
    }

    /** Has everything between the two go over TLS with the certificates of a directory. Before {@link #start}. */
    void secure(Path directoryOfCertificates) {
        certificates = directoryOfCertificates;
    }

    private void tellMigrations() {
        for (int port : new int[] {SECONDARY_QMP, PRIMARY_QMP}) {
            talk(
                    port,
                    "{\"execute\": \"qmp_capabilities\"} {\"execute\": \"migrate-set-parameters\","
                            + " \"arguments\": {\"tls-creds\": \""
                            + (port == PRIMARY_QMP ? "client" : "server")
                            + "\", \"tls-hostname\": \"localhost\"}}",
                    3);
        }
    }

    /** Skips the test where no pair can be made. */
    static void assumePossible() {
        Host.assumeNetworkRoot();
        Host.assumeProgram("nc");
        Host.assumeProgram("qemu-img");
    }

    /** QEMU in {@code directory}, with the one option of the scripts spelled as those before 9.2 know it. */
    static Path qemu(Path directory) throws IOException {
        Path wrapper = directory.resolve("qemu");
        if (!Files.exists(wrapper)) {
            Matcher version =
                    Pattern.compile("version (\\d+)\\.(\\d+)")
                            .matcher(Host.run(Host.qemu(), "--version"));
            boolean milliseconds =
                    version.find()
                            && 100 * Integer.parseInt(version.group(1))
                                            + Integer.parseInt(version.group(2))
                                    >= 902;
            Files.writeString(
                    wrapper,
                    """
                    #!/bin/bash
                    exec %s "${@%s}"
                    """
                            .formatted(
                                    Host.qemu(),
                                    milliseconds ? "" : "/reconnect-ms=1/reconnect=1"));
            wrapper.toFile().setExecutable(true);
        }
        return wrapper;
    }

    private void makeDisk(Path image, byte[] boot) throws IOException {
        Files.createDirectories(image.getParent());
        Path raw = Files.createTempFile(directory, "disk", ".raw");
        try (FileChannel c = FileChannel.open(raw, StandardOpenOption.WRITE)) {
            c.write(java.nio.ByteBuffer.wrap(boot), 0);
            c.write(java.nio.ByteBuffer.allocate(1), (64 << 20) - 1);
        }
        Host.run(
                "qemu-img",
                "convert",
                "-f",
                "raw",
                "-O",
                "qcow2",
                raw.toString(),
                image.toString());
        Files.delete(raw);
    }

    /** Adds the second of each to a side's script, with other names and ports. */
    private static String twice(String script) {
        String all = script.replaceFirst("(?s).*?cmd=\"(.*?)\".*", "$1");
        StringBuilder more = new StringBuilder();
        for (String option : all.split(" (?=-)")) {
            if (option.matches("-(netdev|chardev|object|drive) .*|-device e1000.*")) {
                more.append(' ')
                        .append(
                                Pattern.compile("port=(\\d+)")
                                        .matcher(option)
                                        .replaceAll(
                                                m -> "port=" + (Integer.parseInt(m.group(1)) + 10))
                                        .replaceAll("\\b(hn|colo-disk|parent|childs|id=e)0", "$11")
                                        .replace(".qcow2", "-1.qcow2")
                                        .replaceAll(
                                                "(id|indev|outdev|_in|iothread)"
                                                        + "=((?!hn|colo-|par|chi|e1)[a-z][^, ]+)",
                                                "$1=$2.1"));
            }
        }
        return script.replace(all, all + more);
    }

    private void emptyDisks(String side, String suffix) {
        for (String image : List.of("primary", "secondary-active", "secondary-hidden")) {
            emptyDisk(directory.resolve("images/" + side + "/" + image + suffix + ".qcow2"));
        }
    }

    private static void emptyDisk(Path image) {
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "64M");
    }

    List<String> inNamespace(String... command) {
        List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", namespace));
        all.addAll(List.of(command));
        return all;
    }

    /** Starts both, in the order of the instructions: the primary waits for the secondary. */
    void start() {
        primary.start();
        Host.await(
                "the primary waits for the secondary",
                PATIENCE,
                () -> {
                    alive(primary);
                    return Host.text(primary.errors).contains("QEMU waiting for connection on");
                });
        secondary.start();
        if (certificates != null) {
            tellMigrations();
        }
    }

    /** A side's disk. */
    Path disk(Side side) {
        return directory.resolve("images/" + side.name + "/primary.qcow2");
    }

    /** A side's first or second disk. */
    Path disk(Side side, int index) {
        return index == 0
                ? disk(side)
                : directory.resolve("images/" + side.name + "/primary-1.qcow2");
    }

    /** Starts another secondary, with an empty disk and a monitor on a port of its own. */
    Side another(String name, int qmp) {
        return another(name, qmp, null);
    }

    /** Likewise, with the disk of a side that has ended; what is written to it goes to an image of its own over that. */
    Side another(String name, int qmp, @Nullable Side lost) {
        for (String image : List.of("primary", "secondary-active", "secondary-hidden")) {
            Path file = directory.resolve("images/" + name + "/" + image + ".qcow2");
            file.getParent().toFile().mkdirs();
            if (lost != null && image.equals("primary")) {
                Host.run(
                        "qemu-img",
                        "create",
                        "-q",
                        "-fqcow2",
                        "-Fqcow2",
                        "-b",
                        disk(lost).toString(),
                        file.toString());
            } else {
                emptyDisk(file);
            }
        }
        Side side = new Side(name, "secondary", qmp);
        side.rewired = others;
        sides.add(side);
        side.start();
        listening(qmp);
        return side;
    }

    /** Pipes the two command files, in order, and waits until both sides are in COLO. */
    void protect() {
        List<String> expected = replies("secondary-cmd");
        Replies.compare(expected, nc(SECONDARY_QMP, "secondary-cmd", expected.size()));
        expected = replies("primary-cmd");
        Replies.compare(expected, nc(PRIMARY_QMP, "primary-cmd", expected.size()));
    }

    /** A given file of JSON through nc, whose input stays open until {@code lines} lines came back. */
    List<String> nc(int port, String script, int lines) {
        return talk(port, script(script), lines + " lines of answers", l -> l.size() >= lines);
    }

    /** Likewise, until all commands are answered: events may have come before the connection, or come later. */
    List<String> ncAnswers(int port, String script) {
        long commands = replies(script).stream().filter(ColoPair::isAnswer).count();
        return talk(
                port,
                script(script),
                commands + " answers",
                l -> l.stream().filter(ColoPair::isAnswer).count() >= commands);
    }

    /** Likewise, until one of the lines holds a text. */
    List<String> ncUntil(int port, String script, String text) {
        return talk(port, script(script), text, l -> l.stream().anyMatch(x -> x.contains(text)));
    }

    private static boolean isAnswer(String line) {
        return line.startsWith("{\"return\"") || line.startsWith("{\"error\"");
    }

    private byte[] script(String name) {
        try {
            String json = Files.readString(Host.scripts().resolve(name + ".json"));
            if (withQemu) {
                json = Host.coloOfQemu(json);
            }
            if (certificates != null) {
                json =
                        json.replace(
                                        "file.port=9999",
                                        "file.port=9999,file.tls-creds=client,"
                                                + "file.tls-hostname=localhost")
                                .replace("\"9999\"} }", "\"9999\"} }, \"tls-creds\": \"server\"");
            }
            return json.getBytes(StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** JSON text through nc. */
    List<String> talk(int port, String json, int lines) {
        return talk(
                port,
                json.getBytes(StandardCharsets.UTF_8),
                lines + " lines of answers",
                l -> l.size() >= lines);
    }

    private List<String> talk(
            int port, byte[] json, String what, Predicate<List<String>> complete) {
        listening(port);
        try {
            Path answer = Files.createTempFile(directory, "nc", ".txt");
            Process nc =
                    new ProcessBuilder(inNamespace("nc", "localhost", Integer.toString(port)))
                            .redirectOutput(answer.toFile())
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            try (OutputStream in = nc.getOutputStream()) {
                in.write(json);
                in.flush();
                Host.await(
                        what + "; so far: " + answer,
                        PATIENCE,
                        () -> complete.test(Replies.lines(Host.text(answer))) || !nc.isAlive());
            }
            if (!nc.waitFor(10, TimeUnit.SECONDS)) {
                nc.destroyForcibly();
                throw new AssertionError("the monitor did not end the connection");
            }
            return Replies.lines(Host.text(answer));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /** Waits until somebody listens on a port, without connecting: a monitor serves one at a time. */
    private void listening(int port) {
        String socket = ":%04X ".formatted(port);
        Host.await(
                "somebody listens on port " + port,
                PATIENCE,
                () ->
                        Host.run(inNamespace("cat", "/proc/net/tcp", "/proc/net/tcp6"))
                                .lines()
                                .anyMatch(l -> l.contains(socket) && l.contains(" 0A ")));
    }

    /** What a real QEMU answered to a script. */
    static List<String> replies(String name) {
        try (var in = ColoPair.class.getResourceAsStream("/replies/" + name + ".txt")) {
            return Replies.lines(new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits until the network guest is up on both sides; on the secondary also by a checkpoint of one that is. */
    void networkGuestIsUp() {
        for (Side side : List.of(primary, secondary)) {
            Host.await(
                    "the guest is up on both sides; " + side,
                    PATIENCE,
                    () -> {
                        alive(side);
                        return Host.text(side.output).contains("network guest is up")
                                || side == secondary
                                        && Host.text(side.errors).contains("'vmstate-loaded'");
                    });
        }
    }

    /** Waits until the network guest is up on a side that is alone. */
    void guestIsUp(Side side) {
        Host.await(
                "the guest is up; " + side,
                PATIENCE,
                () -> {
                    alive(side);
                    return Host.text(side.output).contains("network guest is up");
                });
    }

    /** Waits until the guest has counted on both sides. */
    void countsOnBoth() {
        for (Side side : List.of(primary, secondary)) {
            Host.await(
                    "the guest counts on both sides; " + side,
                    PATIENCE,
                    () -> {
                        alive(side);
                        return side.ticks().size() >= 5;
                    });
        }
    }

    /** Waits until the guest has counted on, without a gap, far enough to have written to its disk again. */
    void goesOn(Side side) {
        int before = side.ticks().size();
        Host.await(
                "the guest goes on after the failover; " + side,
                PATIENCE,
                () -> {
                    alive(side);
                    return side.ticks().size() >= before + 20;
                });
        List<Integer> after = side.ticks().subList(before - 1, before + 20);
        for (int i = 1; i < after.size(); i++) {
            assertEquals(after.get(i - 1) + 1, after.get(i), "a gap in " + after);
        }
    }

    /** Fails with the whole output if a side has ended by itself. */
    void alive(Side side) {
        if (!side.process.isAlive()) {
            throw new AssertionError(
                    side.name + " ended with status " + side.process.exitValue() + "; " + side);
        }
    }

    /** Every image must be clean once nobody uses it. */
    void checkImages() {
        for (String image :
                List.of(
                        "images/primary/primary.qcow2",
                        "images/secondary/primary.qcow2",
                        "images/secondary/secondary-active.qcow2",
                        "images/secondary/secondary-hidden.qcow2")) {
            Host.run("qemu-img", "check", "-q", directory.resolve(image).toString());
        }
    }

    private static String tail(String text) {
        return text.substring(Math.max(0, text.length() - 500));
    }

    @Override
    public void close() {
        // All of them first: a test that was interrupted waits for none.
        for (Side side : sides) {
            if (side.process != null) {
                side.process.destroyForcibly();
            }
        }
        for (Side side : sides) {
            if (side.process != null) {
                side.join();
            }
        }
        Host.run("ip", "netns", "del", namespace);
    }
}
