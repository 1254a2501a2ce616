package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** drive-mirror, beside QEMU: what the image holds and what is below it, and what is refused. */
@Tag("qemu")
@Timeout(300)
class DriveMirrorTest {

    @TempDir private Path home;

    private final List<Monitor> machines = new ArrayList<>();

    @BeforeEach
    void images() throws IOException {
        Host.assumeProgram("qemu-img");
        Host.assumeProgram("qemu-io");
        byte[] noise = new byte[1 << 20];
        new Random(1).nextBytes(noise);
        Files.write(home.resolve("base"), noise);
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                home + "/base",
                "-F",
                "raw",
                home + "/top",
                "2M");
        Host.run(
                "qemu-io",
                "-f",
                "qcow2",
                "-c",
                "write -P 7 64k 64k",
                "-c",
                "write -z 256k 64k",
                home + "/top");
        Files.copy(home.resolve("top"), home.resolve("compare"));
    }

    @AfterEach
    void end() {
        machines.forEach(Monitor::close);
    }

    private Monitor machine(String who) {
        return machine(who, "top");
    }

    private Monitor machine(String who, String image) {
        Monitor m =
                new Monitor(
                        List.of(
                                who.equals("lockstep") ? Host.binary().toString() : Host.qemu(),
                                "-M",
                                "none",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-S",
                                "-qmp",
                                "stdio",
                                "-blockdev",
                                "driver=null-co,node-name=other",
                                "-drive",
                                "if=none,id=d0,format=qcow2,file=" + home + "/" + image,
                                "-drive",
                                "if=none,id=empty"));
        machines.add(m);
        return m;
    }

    private String mirror(Monitor m, String more) {
        return m.execute(
                "{\"execute\": \"drive-mirror\", \"arguments\": {\"device\": \"d0\", \"target\": \""
                        + home
                        + "/copy\", "
                        + more
                        + "}}");
    }

    private void complete(Monitor m) {
        Host.await(
                "the job is ready",
                Duration.ofMinutes(1),
                () -> {
                    String jobs = m.execute("{\"execute\": \"query-jobs\"}");
                    assertTrue(jobs.contains("\"id\""), "the job has failed");
                    return jobs.contains("\"ready\"");
                });
        m.execute("{\"execute\": \"job-complete\", \"arguments\": {\"id\": \"d0\"}}");
        Host.await(
                "the job is over",
                Duration.ofMinutes(1),
                () -> !m.execute("{\"execute\": \"query-jobs\"}").contains("\"id\""));
    }

    /** The images that the drive is made of. */
    private static Set<String> chain(Monitor m) {
        String block = m.execute("{\"execute\": \"query-block\"}");
        Set<String> names = new TreeSet<>();
        Matcher image = Pattern.compile("\"filename\": \"([^\"]*)\"").matcher(block);
        while (image.find()) {
            names.add(Path.of(image.group(1)).getFileName().toString());
        }
        return names;
    }

    private void same(String format) {
        Host.run(
                "qemu-img",
                "compare",
                "-U",
                "-f",
                format,
                "-F",
                "qcow2",
                home + "/copy",
                home + "/compare");
    }

    @ParameterizedTest
    @CsvSource({
        "lockstep, full, qcow2, copy",
        "lockstep, full, raw, copy",
        "lockstep, top, qcow2, base copy",
        "lockstep, none, qcow2, base copy top",
        "qemu, full, qcow2, copy",
        "qemu, top, qcow2, base copy",
        "qemu, none, qcow2, base copy top"
    })
    void aNewImage(String who, String sync, String format, String wanted) throws IOException {
        Files.write(home.resolve("copy"), new byte[] {1, 2, 3});
        Monitor m = machine(who);
        String form = format.equals("raw") ? ", \"format\": \"raw\"" : "";
        assertEquals("{\"return\": {}}", mirror(m, "\"sync\": \"" + sync + "\"" + form));
        complete(m);
        assertEquals(wanted, String.join(" ", chain(m)));
        m.close();
        same(format);
    }

    /** One that is there, with its own backing file that a mirror of the top does not look at. */
    @ParameterizedTest
    @CsvSource({"lockstep, full", "lockstep, top", "qemu, full", "qemu, top"})
    void anImageThatIsThere(String who, String sync) throws IOException {
        Files.copy(home.resolve("base"), home.resolve("base2"));
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                home + "/base2",
                "-F",
                "raw",
                home + "/copy",
                "2M");
        Monitor m = machine(who);
        String there = "\"mode\": \"existing\", \"node-name\": \"n\", \"sync\": ";
        assertEquals("{\"return\": {}}", mirror(m, there + "\"" + sync + "\""));
        complete(m);
        assertEquals(Set.of("base2", "copy"), chain(m));
        assertTrue(m.execute("{\"execute\": \"query-block\"}").contains("\"node-name\": \"n\""));
        m.close();
        same("qcow2");
    }

    @Test
    void theHumanMonitorMirrorsTheTop() {
        Monitor m = machine("lockstep");
        m.execute(
                "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\":"
                        + " \"drive_mirror d0 %s/copy\"}}".formatted(home));
        complete(m);
        assertEquals(Set.of("base", "copy"), chain(m));
        m.close();
        same("qcow2");
    }

    /** What is refused, in QEMU's words; an image that is in use stays as it is, which QEMU's does not. */
    @Test
    void mistakes() throws IOException {
        byte[] base = Files.readAllBytes(home.resolve("base"));
        Monitor ours = machine("lockstep");
        String[] more = {
            "\"sync\": \"incremental\"",
            "\"sync\": \"full\", \"format\": \"nosuch\"",
            "\"sync\": \"full\", \"format\": \"quorum\"",
            "\"sync\": \"full\", \"mode\": \"existing\"",
            "\"sync\": \"full\", \"replaces\": \"other\"",
            "\"sync\": \"full\", \"replaces\": \"nobody\", \"node-name\": \"n\"",
            "\"sync\": \"full\", \"node-name\": \"other\"",
            "\"sync\": \"full\", \"granularity\": 600",
            "\"sync\": \"full\", \"speed\": -1",
            "\"sync\": \"full\", \"job-id\": \"1\"",
            "\"sync\": \"full\", \"device\": \"empty\"",
            "\"sync\": \"full\", \"device\": \"nobody\"",
            "\"sync\": \"full\", \"target\": \"/nonexistent/x\"",
            "\"sync\": \"full\", \"target\": \"%s\"".formatted(home),
            "\"sync\": \"full\", \"format\": \"raw\", \"target\": \"%s/base\"".formatted(home)
        };
        List<String> answers = new ArrayList<>();
        for (String one : more) {
            answers.add(refused(ours, one));
            assertTrue(answers.getLast().contains("error"), one);
        }
        ours.close();
        assertArrayEquals(base, Files.readAllBytes(home.resolve("base")));
        Files.copy(home.resolve("top"), home.resolve("theirs"));
        Monitor theirs = machine("qemu", "theirs");
        for (int i = 0; i < more.length; i++) {
            assertEquals(refused(theirs, more[i]), answers.get(i), more[i]);
        }
    }

    private String refused(Monitor m, String more) throws IOException {
        Files.deleteIfExists(home.resolve("copy"));
        String device = more.contains("\"device\"") ? "" : ", \"device\": \"d0\"";
        String target = more.contains("\"target\"") ? "" : ", \"target\": \"%s/copy\"";
        m.send(
                "{\"execute\": \"drive-mirror\", \"arguments\": {%s%s%s}}"
                        .formatted(more, device, target.formatted(home)));
        return m.await(line -> line.contains("\"error\": {") || line.contains("\"return\": {}"));
    }
}
