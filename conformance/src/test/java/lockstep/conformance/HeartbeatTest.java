package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A pair with a heartbeat, on any machine that runs a guest; an arbiter of the first come, first served kind. */
@Timeout(value = 300, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HeartbeatTest {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @TempDir Path directory;

    private final class Side implements AutoCloseable {
        final Process process;
        final Path errors;
        final Monitor monitor;

        Side(String name, String socket, String... more) throws IOException {
            errors = directory.resolve(name + ".err");
            Path qmp = directory.resolve(name + ".qmp");
            List<String> command =
                    new ArrayList<>(
                            List.of(
                                    Host.binary().toString(),
                                    "-nodefaults",
                                    "-display",
                                    "none",
                                    "-m",
                                    "32",
                                    "-accel",
                                    Host.accelerator(),
                                    "-qmp",
                                    "unix:" + qmp + ",server=on,wait=off",
                                    "-object",
                                    "iothread,id=t",
                                    "-chardev",
                                    "socket,id=hb,path=" + directory.resolve("hb") + socket,
                                    "-object",
                                    "colo-heartbeat,id=hb0,chardev=hb,iothread=t,interval=100,"
                                            + "lease=2000,arbiter="
                                            + directory.resolve("arbiter")));
            command.addAll(List.of(more));
            process = new ProcessBuilder(command).redirectError(errors.toFile()).start();
            Host.await(name, PATIENCE, () -> Host.listens(qmp));
            monitor = new Monitor(List.of("nc", "-U", qmp.toString()));
            ok("migrate-set-capabilities", "'capabilities':[{'capability':'x-colo','state':true}]");
        }

        String ok(String name, String arguments) {
            return monitor.execute(
                    "{'execute':'%s','arguments':{%s}}"
                            .formatted(name, arguments)
                            .replace('\'', '"'));
        }

        void says(String text) {
            Host.await(text + " in " + errors, PATIENCE, () -> Host.text(errors).contains(text));
        }

        void signal(String name) {
            Host.run("kill", "-" + name, Long.toString(process.pid()));
        }

        @Override
        public void close() {
            monitor.close();
            process.destroyForcibly();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"primary", "secondary"})
    void oneSideGoesOnAloneAndTheOtherDoesNot(String hangs) throws IOException {
        Host.assumeProgram("nc");
        Path arbiter = directory.resolve("arbiter");
        Files.writeString(
                arbiter,
                """
                #!/bin/sh
                cd %s
                mkdir won 2>/dev/null && echo "$1" > won/who
                [ "$(cat won/who)" = "$1" ]
                """
                        .formatted(directory));
        assertTrue(arbiter.toFile().setExecutable(true));
        String stream = "'uri':'unix:" + directory.resolve("mig") + "'";
        try (Side secondary = new Side("secondary", ",server=on,wait=off", "-incoming", "defer");
                Side primary = new Side("primary", "")) {
            secondary.ok("migrate-incoming", stream);
            primary.ok("migrate", stream);
            primary.monitor.event("RESUME");
            boolean primaryHangs = hangs.equals("primary");
            Side lost = primaryHangs ? primary : secondary;
            Side survivor = primaryHangs ? secondary : primary;
            lost.signal("STOP");
            survivor.says("colo-heartbeat 'hb0': going on alone");
            survivor.monitor.event("COLO_EXIT");
            survivor.monitor.event("RESUME");
            lost.signal("CONT");
            String other = primaryHangs ? "primary" : "secondary";
            String status = lost.ok("query-colo-status", "");
            assertTrue(status.contains("\"mode\": \"" + other + "\""), status);
            if (primaryHangs) {
                // The secondary grants nothing any more.
                lost.says("colo-heartbeat 'hb0': not granted: exit status 1");
                status = lost.ok("query-colo-status", "");
                assertTrue(status.contains("\"mode\": \"primary\""), status);
            }
        }
    }
}
