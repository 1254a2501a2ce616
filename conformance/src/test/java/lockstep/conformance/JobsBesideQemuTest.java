package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Jobs on disks: the same of ours and of QEMU's, to the client and on the disk. */
@Tag("qemu")
class JobsBesideQemuTest {
    private static final String COMMIT = "block-commit";

    @TempDir Path directory;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-io");
    }

    /** The drive disk, whose images top, upper, middle and base are one over the other, and the node other. */
    private static List<String> disks(Path own) {
        String tree = "";
        String below = "";
        int number = 0;
        for (String name : List.of("base", "middle", "upper", "top")) {
            String image = own.resolve(name).toString();
            List<String> create =
                    new ArrayList<>(List.of("qemu-img", "create", "-q", "-fqcow2", image, "4M"));
            if (!below.isEmpty()) {
                create.addAll(4, List.of("-Fqcow2", "-b", below));
            }
            Host.run(create.toArray(String[]::new));
            number++;
            Host.run(
                    "qemu-io",
                    "-c",
                    "write -P %d %dk 1M".formatted(number, 512 * number - 512),
                    image);
            String node =
                    "node-name=%s,driver=qcow2,file.driver=file,file.filename=%s"
                            .formatted(name, image);
            tree = node + (tree.isEmpty() ? "" : ",backing." + tree.replace(",", ",backing."));
            below = image;
        }
        String other = own.resolve("other").toString();
        Host.run("qemu-img", "create", "-q", "-fqcow2", other, "4M");
        return List.of(
                "-drive",
                "if=none,id=disk," + tree,
                "-drive",
                "if=none,id=empty",
                "-blockdev",
                "qcow2,node-name=other,file.driver=file,file.filename=" + other);
    }

    private void compare(ComparedMachine.Conversation conversation) {
        ComparedMachine.compare(directory, JobsBesideQemuTest::disks, conversation);
    }

    @Test
    void commitsThatCannotBe() {
        compare(
                m -> {
                    for (String device : List.of("x", "empty", "other", "middle")) {
                        m.say(COMMIT, "{'job-id': 'j', 'device': '" + device + "'}");
                    }
                    for (String what :
                            List.of(
                                    "'top': 'x'",
                                    "'base': 'x'",
                                    "'top-node': 'x'",
                                    "'base-node': 'x'",
                                    "'top': '%base', 'base': '%middle'",
                                    "'top': '%middle', 'base': '%upper'",
                                    "'top': '%middle', 'top-node': 'middle'",
                                    "'base': '%middle', 'base-node': 'middle'",
                                    "'top-node': 'other'",
                                    "'base-node': 'other'",
                                    "'top-node': 'middle', 'base-node': 'middle'",
                                    "'top-node': 'base', 'base-node': 'middle'",
                                    "'speed': -1",
                                    "'backing-file': 'x'",
                                    "'top-node': 'middle', 'filter-node-name': 'other'")) {
                        m.say(COMMIT, "{'device': 'disk', " + what + "}");
                    }
                    m.show();
                });
    }

    @Test
    void commitInTheMiddle() {
        compare(
                m -> {
                    m.say(
                            COMMIT,
                            "{'device': 'disk', 'job-id': 'j', 'top': '%upper', 'base-node':"
                                    + " 'middle', 'auto-finalize': false, 'filter-node-name':"
                                    + " 'filter'}");
                    m.awaitEvents("BLOCK_JOB_PENDING", "");
                    m.say("query-jobs", "");
                    m.say("query-block-jobs", "");
                    m.show();
                    m.say(COMMIT, "{'device': 'disk', 'job-id': 'k'}");
                    m.say("block-stream", "{'device': 'disk', 'job-id': 'k'}");
                    m.say("blockdev-del", "{'node-name': 'other'}");
                    m.sayAndWait("job-finalize", "{'id': 'j'}");
                    m.show();
                    m.holds("top", "512k 512k", 2);
                    m.holds("top", "1M 512k", 3);
                    m.sayAndWait(
                            COMMIT,
                            "{'device': 'disk', 'top-node': 'middle', 'backing-file': '%base'}");
                    m.show();
                });
    }

    @Test
    void commitOfTheTopmost() {
        compare(
                m -> {
                    m.say(
                            COMMIT,
                            "{'device': 'top', 'base': '%middle', 'filter-node-name': 'filter'}");
                    m.awaitEvents("BLOCK_JOB_READY", "");
                    m.say("query-block-jobs", "");
                    m.say(COMMIT, "{'device': 'disk', 'job-id': 'k'}");
                    m.say("job-dismiss", "{'id': 'disk'}");
                    m.write("disk", "0 64k", 9);
                    m.say("block-job-complete", "{'device': 'disk'}");
                    m.awaitEvents("JOB_STATUS_CHANGE", "null");
                    m.show();
                    m.write("disk", "64k 64k", 10);
                    m.holds("middle", "0 64k", 9);
                    m.holds("middle", "64k 64k", 10);
                    m.holds("middle", "512k 512k", 2);
                    m.holds("middle", "1536k 1M", 4);
                    m.holds("middle", "1M 512k", 3);
                });
    }
}
