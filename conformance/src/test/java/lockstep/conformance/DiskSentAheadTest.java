package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;

/** A machine that is waited for has its disk written by an export before it comes, as libvirt migrates without shared storage. */
@Tag("qemu")
class DiskSentAheadTest {
    @TempDir Path directory;

    private ProbedMonitor machine(String program, Path disk, String... more) {
        String[] words = {
            "-M",
            "pc-i440fx-7.2",
            "-accel",
            Host.accelerator(),
            "-m",
            "16",
            "-nodefaults",
            "-display",
            "none",
            "-drive",
            "if=none,id=disk,format=qcow2,file=" + disk,
            "-device",
            "ide-hd,drive=disk"
        };
        String[] all = Arrays.copyOf(words, words.length + more.length);
        System.arraycopy(more, 0, all, words.length, more.length);
        return ProbedMonitor.start(program, all);
    }

    @Test
    void exportedWhileTheMachineIsOnItsWay() {
        Host.assumeProgram(Host.qemu());
        Path from = directory.resolve("from");
        Path to = directory.resolve("to");
        for (Path disk : new Path[] {from, to}) {
            Host.run("qemu-img", "create", "-q", "-fqcow2", disk.toString(), "4M");
        }
        Path socket = directory.resolve("nbd");
        String channel = "unix:" + directory.resolve("migration");
        String address = "{'addr': {'type': 'unix', 'data': {'path': '" + socket + "'}}}";
        String export = "{'device': 'disk', 'writable': true}";
        try (ProbedMonitor theirs = machine(Host.qemu(), from);
                ProbedMonitor ours = machine(Host.binary().toString(), to, "-incoming", channel)) {
            ours.execute("nbd-server-start", address);
            ours.execute("nbd-server-add", export);
            Host.run(
                    "qemu-io",
                    "-fraw",
                    "-c",
                    "write -P 9 0 4M",
                    "nbd+unix:///disk?socket=" + socket);
            ours.execute("nbd-server-stop");
            theirs.execute("migrate", "{'uri': '" + channel + "'}");
            Host.await(
                    "the machine is here",
                    Duration.ofSeconds(60),
                    () -> ours.execute("query-status").toString().contains("running\": true"));
            ours.execute("nbd-server-start", address);
            assertTrue(ProbedMonitor.failed(ours.answer("nbd-server-add", export)));
            assertFalse(ProbedMonitor.failed(ours.answer("nbd-server-add", "{'device': 'disk'}")));
            ours.execute("quit");
            theirs.execute("quit");
        }
        Host.run("qemu-io", "-r", "-fqcow2", "-c", "read -P 9 0 4M", to.toString());
    }
}
