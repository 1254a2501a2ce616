package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Snapshots in images of their own: the same of ours and of QEMU's, to the client and on the disk. */
@Tag("qemu")
class SnapshotsBesideQemuTest {
    private static final String SNAPSHOT = "blockdev-snapshot";
    private static final String SYNC = "blockdev-snapshot-sync";

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
    }

    /** The qcow2 disks a, b and c, raw r, and the drive of another one. */
    private static List<String> disks(Path own) {
        List<String> arguments = new ArrayList<>();
        for (String node : List.of("a", "b", "c", "r")) {
            String format = node.equals("r") ? "raw" : "qcow2";
            String image = own.resolve(node).toString();
            Host.run("qemu-img", "create", "-q", "-f" + format, image, "1M");
            arguments.add("-blockdev");
            arguments.add(
                    "%s,node-name=%s,file.driver=file,file.filename=%s"
                            .formatted(format, node, image));
        }
        String image = own.resolve("d").toString();
        Host.run("qemu-img", "create", "-q", "-fqcow2", image, "1M");
        arguments.addAll(List.of("-drive", "if=none,id=disk,format=qcow2,file=" + image));
        arguments.addAll(List.of("-drive", "if=none,id=empty"));
        return arguments;
    }

    private void compare(ComparedMachine.Conversation conversation) {
        ComparedMachine.compare(directory, SnapshotsBesideQemuTest::disks, conversation);
    }

    @Test
    void mistakes() {
        compare(
                m -> {
                    m.say(SNAPSHOT, "{'node': 'x', 'overlay': 'a'}");
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'x'}");
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'a'}");
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'r'}");
                    m.say(SNAPSHOT, "{'node': 'empty', 'overlay': 'b'}");
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'b'}");
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'c'}");
                    m.say(SNAPSHOT, "{'node': 'c', 'overlay': 'b'}");
                    m.say(SYNC, "{'snapshot-file': '%n'}");
                    m.say(SYNC, "{'node-name': 'b', 'snapshot-file': '%n'}");
                    m.say(
                            SYNC,
                            "{'node-name': 'b', 'snapshot-file': '%n', 'snapshot-node-name': 'a'}");
                    m.say(
                            SYNC,
                            "{'node-name': 'b', 'snapshot-file': '%no', 'snapshot-node-name': 'n',"
                                    + " 'mode': 'existing'}");
                    m.show();
                });
    }

    @Test
    void laterWritesGoToTheOverlay() {
        compare(
                m -> {
                    m.write("a", "0 64k", 1);
                    m.say(SNAPSHOT, "{'node': 'a', 'overlay': 'b'}");
                    m.write("b", "32k 64k", 2);
                    m.holds("a", "0 64k", 1);
                    m.holds("b", "32k 64k", 2);
                    // QEMU tells on its standard output, which its monitor has, of one that it
                    // makes.
                    Host.run(
                            "qemu-img",
                            "create",
                            "-q",
                            "-u",
                            "-fqcow2",
                            "-Fqcow2",
                            "-b",
                            m.image("d"),
                            m.image("n"),
                            "1M");
                    m.write("disk", "0 64k", 3);
                    m.say(
                            SYNC,
                            "{'device': 'disk', 'snapshot-file': '%n', 'snapshot-node-name': 'n',"
                                    + " 'mode': 'existing'}");
                    m.write("disk", "32k 64k", 4);
                    m.holds("d", "0 64k", 3);
                    m.holds("n", "0 32k", 3);
                    m.holds("n", "32k 64k", 4);
                    m.show();
                    m.say("blockdev-del", "{'node-name': 'b'}");
                });
    }

    @Test
    void insideTheImage() {
        String take = "blockdev-snapshot-internal-sync";
        String delete = "blockdev-snapshot-delete-internal-sync";
        compare(
                m -> {
                    m.say(take, "{'device': 'x', 'name': 's'}");
                    m.say(take, "{'device': 'empty', 'name': 's'}");
                    m.say(take, "{'device': 'r', 'name': 's'}");
                    m.say(take, "{'device': 'a', 'name': ''}");
                    m.write("a", "0 64k", 1);
                    m.say(take, "{'device': 'a', 'name': 's'}");
                    m.say(take, "{'device': 'a', 'name': 's'}");
                    m.write("a", "32k 64k", 2);
                    m.say(
                            "transaction",
                            "{'actions': [{'type': 'blockdev-snapshot-internal-sync', 'data':"
                                    + " {'device': 'a', 'name': 't'}}, {'type': 'abort', 'data':"
                                    + " {}}]}");
                    m.say(take, "{'device': 'a', 'name': 't'}");
                    m.say(delete, "{'device': 'a'}");
                    m.say(delete, "{'device': 'r', 'name': 's'}");
                    m.say(delete, "{'device': 'a', 'name': 'no'}");
                    m.say(delete, "{'device': 'a', 'id': '1', 'name': 't'}");
                    m.say(delete, "{'device': 'a', 'id': '7'}");
                    m.say(delete, "{'device': 'disk', 'name': 's'}");
                    String deleted =
                            m.monitor.execute(delete, "{'device': 'a', 'name': 't'}").toString();
                    m.heard.add(deleted.replaceAll("(sec|nsec)\": [0-9]+", "$1"));
                    m.holds("a", "32k 64k", 2);
                });
        for (String who : List.of("qemu", "ours")) {
            String image = directory.resolve(who).resolve("a").toString();
            Host.run("qemu-img", "check", image);
            Host.run("qemu-img", "snapshot", "-a", "s", image);
            String read =
                    Host.run("qemu-io", "-c", "read -P 1 0 64k", "-c", "read -P 0 64k 64k", image);
            assertEquals(-1, read.indexOf("failed"), read);
        }
    }

    @Test
    void aTransactionTakesAllOrNone() {
        compare(
                m -> {
                    m.write("a", "0 64k", 1);
                    m.say(
                            "transaction",
                            "{'actions': [{'type': 'blockdev-snapshot', 'data': {'node': 'a',"
                                    + " 'overlay': 'b'}}, {'type': 'abort', 'data': {}}]}");
                    m.show();
                    m.write("a", "64k 64k", 2);
                    m.say(
                            "transaction",
                            "{'actions': [{'type': 'blockdev-snapshot', 'data': {'node': 'a',"
                                    + " 'overlay': 'b'}}, {'type': 'blockdev-snapshot', 'data':"
                                    + " {'node': 'c', 'overlay': 'r'}}]}");
                    m.show();
                    m.say(
                            "transaction",
                            "{'actions': [{'type': 'blockdev-snapshot', 'data': {'node': 'a',"
                                    + " 'overlay': 'b'}}, {'type': 'block-dirty-bitmap-add',"
                                    + " 'data': {'node': 'c', 'name': 'x'}}]}");
                    m.show();
                    m.holds("a", "64k 64k", 2);
                });
    }
}
