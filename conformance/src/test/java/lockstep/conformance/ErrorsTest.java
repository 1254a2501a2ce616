package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** What goes wrong is said in one clear sentence, with the exit status that scripts rely on. */
class ErrorsTest {
    @TempDir Path directory;

    private record Ended(int status, String output, String errors) {}

    /** Runs the monitor with {@code input} on its standard input until it ends by itself. */
    private Ended run(String input, List<String> prefix, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.add(Host.binary().toString());
        command.addAll(List.of(arguments));
        Path in = Files.writeString(directory.resolve("in"), input);
        Path out = directory.resolve("out");
        Path err = directory.resolve("err");
        Process p =
                new ProcessBuilder(command)
                        .directory(directory.toFile())
                        .redirectInput(in.toFile())
                        .redirectOutput(out.toFile())
                        .redirectError(err.toFile())
                        .start();
        try {
            if (!p.waitFor(30, TimeUnit.SECONDS)) {
                p.destroyForcibly();
                throw new AssertionError(
                        command + " did not end; " + Host.text(out) + Host.text(err));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
        return new Ended(p.exitValue(), Host.text(out), Host.text(err));
    }

    private void refused(String expected, String... arguments) throws IOException {
        Ended end = run("", List.of(), arguments);
        assertTrue(end.errors.contains(expected), end.errors);
        assertEquals(1, end.status, end.errors);
    }

    @Test
    void wrongOptions() throws IOException {
        refused("-nosuch: invalid option", "-nosuch");
        refused("-m: requires an argument", "-m");
        refused("unsupported machine type: \"nosuch\"", "-machine", "nosuch");
        refused("Invalid parameter 'bogus'", "-machine", "none", "-chardev", "null,id=a,bogus=1");
        refused(
                "Parameter 'qom-type' does not accept value 'foo'",
                "-machine",
                "none",
                "-object",
                "foo,id=a");
        refused("unknown migration protocol: foo:1", "-machine", "none", "-incoming", "foo:1");
    }

    @Test
    void missingAndWrongImages() throws IOException {
        refused(
                "Could not open '/nonexistent/disk': No such file or directory",
                "-machine",
                "none",
                "-drive",
                "if=none,id=d,file=/nonexistent/disk");
        Path garbage = Files.writeString(directory.resolve("garbage"), "garbage".repeat(1000));
        refused(
                "Image is not in qcow2 format",
                "-machine",
                "none",
                "-drive",
                "if=none,id=d,driver=qcow2,file=" + garbage);
    }

    @Test
    void portInUse() throws IOException {
        try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            refused(
                    "Address already in use",
                    "-machine",
                    "none",
                    "-qmp",
                    "tcp:127.0.0.1:" + taken.getLocalPort() + ",server,nowait");
        }
    }

    @Test
    void absentPeer() throws IOException {
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        refused(
                "Failed to connect to '127.0.0.1:" + port + "': Connection refused",
                "-machine",
                "none",
                "-chardev",
                "socket,id=c,host=127.0.0.1,port=" + port);
    }

    @Test
    void missingFirmware() throws IOException {
        refused(
                "could not load PC BIOS 'nosuch.bin'",
                "-accel",
                Host.accelerator(),
                "-m",
                "64",
                "-display",
                "none",
                "-bios",
                "nosuch.bin");
    }

    @Test
    @Tag("root")
    void missingKvm() throws IOException {
        Host.assumeNetworkRoot();
        Path dev = Files.createDirectory(directory.resolve("dev"));
        Path wrapper =
                Files.writeString(
                        directory.resolve("without-kvm"),
                        """
                        #!/bin/sh
                        set -e
                        for device in null:3 zero:5 random:8 urandom:9; do
                            mknod -m 666 %1$s/${device%%:*} c 1 ${device#*:}
                        done
                        mount --bind %1$s /dev
                        exec "$@"
                        """
                                .formatted(dev));
        wrapper.toFile().setExecutable(true);
        Ended end =
                run(
                        "",
                        List.of("unshare", "-m", wrapper.toString()),
                        "-enable-kvm",
                        "-m",
                        "64",
                        "-display",
                        "none");
        assertTrue(
                end.errors.contains(
                        "Could not access KVM kernel module: No such file or directory"),
                end.errors);
        assertEquals(1, end.status);
    }

    @Test
    void commandsThatCannotBe() throws IOException {
        String input =
                """
                {"execute": "qmp_capabilities"}
                {"execute": "nosuch", "id": 1}
                {"execute": "x-colo-lost-heartbeat", "id": 2}
                {"execute": "migrate", "arguments": {"uri": "foo:1"}, "id": 3}
                {"execute": "x-blockdev-change", "arguments": {"parent": "nosuch"}, "id": 4}
                {"execute": "quit"}
                """;
        Ended end = run(input, List.of(), "-machine", "none", "-display", "none", "-qmp", "stdio");
        assertEquals(0, end.status, end.errors);
        List<String> lines = Replies.lines(end.output);
        String all = String.join("\n", lines);
        assertTrue(
                lines.contains(
                        "{\"id\": 1, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The"
                                + " command nosuch has not been found\"}}"),
                all);
        assertTrue(
                lines.contains(
                        "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"VM is not"
                                + " in COLO mode\"}}"),
                all);
        assertTrue(all.contains("unknown migration protocol: foo:1"), all);
        assertTrue(all.contains("Cannot find device='nosuch' nor node-name='nosuch'"), all);
        assertTrue(all.contains("host-qmp-quit"), all);
        assertTrue(StandardCharsets.US_ASCII.newEncoder().canEncode(all), all);
    }
}
