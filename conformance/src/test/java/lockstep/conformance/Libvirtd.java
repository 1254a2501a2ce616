package lockstep.conformance;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A libvirtd of the test's own, and what {@code virsh} says through it. */
final class Libvirtd implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofMinutes(2);

    private final Path directory;
    private final Process daemon;

    /** Starts one that keeps everything in {@code directory}. */
    Libvirtd(Path directory) throws IOException {
        this.directory = directory;
        Path script = directory.resolve("private-libvirtd.sh");
        try (var in = Libvirtd.class.getResourceAsStream("/libvirt/private-libvirtd.sh")) {
            if (in == null) {
                throw new IOException("no private-libvirtd.sh");
            }
            Files.write(script, in.readAllBytes());
        }
        daemon =
                new ProcessBuilder(
                                "unshare",
                                "--mount",
                                "--net",
                                "sh",
                                script.toString(),
                                directory.toString())
                        .redirectErrorStream(true)
                        .redirectOutput(directory.resolve("libvirtd.out").toFile())
                        .start();
        Host.await(
                "libvirtd answers",
                LIMIT,
                () -> {
                    if (!daemon.isAlive()) {
                        throw new AssertionError("libvirtd ended: " + log("libvirtd.out"));
                    }
                    return Files.exists(directory.resolve("libvirt-sock"));
                });
    }

    /** The first part of every command. */
    private List<String> virsh(String... arguments) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "virsh",
                                "--connect",
                                "qemu+unix:///system?socket=" + directory.resolve("libvirt-sock")));
        command.addAll(List.of(arguments));
        return command;
    }

    /** Runs one command of virsh and gives what it prints; fails with all logs if it fails. */
    String run(String... arguments) {
        try {
            return Host.run(virsh(arguments));
        } catch (AssertionError e) {
            throw new AssertionError(
                    e.getMessage()
                            + "\n"
                            + log("libvirtd.log")
                            + log("host/var/log/libvirt/qemu/guest.log"),
                    e);
        }
    }

    /** Connects to a domain's console, on a terminal as virsh wants one. */
    Process console(String domain) throws IOException {
        return new ProcessBuilder(
                        "script",
                        "--quiet",
                        "--flush",
                        "--command",
                        String.join(" ", virsh("console", domain, "--force")),
                        "/dev/null")
                .redirectErrorStream(true)
                .start();
    }

    private String log(String name) {
        Path file = directory.resolve(name);
        try {
            return Files.exists(file) ? Files.readString(file) : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Ends it. Domains that still run are ended first. */
    @Override
    public void close() throws IOException {
        try {
            if (daemon.isAlive()) {
                new ProcessBuilder(virsh("destroy", "guest"))
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start()
                        .waitFor(60, TimeUnit.SECONDS);
            }
            daemon.destroy();
            if (!daemon.waitFor(30, TimeUnit.SECONDS)) {
                daemon.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            daemon.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
