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
        String raw = own.resolve("raw").toString();
        Host.run("qemu-img", "create", "-q", "-fraw", raw, "4M");
        return List.of(
                "-blockdev",
                "raw,node-name=raw,file.driver=file,file.filename=" + raw,
                "-blockdev",
                "null-co,node-name=small,size=1048576",
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
    void jobsOfTheHumanMonitor() {
        // QEMU tells on its standard output when it makes images, where the test hears its answers.
        ComparedMachine.compare(
                directory,
                own -> {
                    List<String> disks = disks(own);
                    String copy = own.resolve("copy").toString();
                    Host.run("qemu-img", "create", "-q", "-fqcow2", copy, "4M");
                    String top = own.resolve("top").toString();
                    String above = own.resolve("new").toString();
                    Host.run("qemu-img", "create", "-q", "-fqcow2", "-Fqcow2", "-b", top, above);
                    return disks;
                },
                m -> {
                    for (String line :
                            List.of(
                                    "info block-jobs",
                                    "block_job_pause x",
                                    "block_job_cancel x",
                                    "block_job_cancel -f x",
                                    "block_job_complete x",
                                    "block_job_resume x",
                                    "block_job_set_speed x 1M",
                                    "block_stream nosuch",
                                    "block_stream disk 0 nosuch",
                                    "snapshot_blkdev disk",
                                    "snapshot_blkdev nosuch %new",
                                    "snapshot_blkdev -n disk %nosuch",
                                    "snapshot_blkdev_internal disk snap",
                                    "snapshot_blkdev_internal disk snap",
                                    "snapshot_delete_blkdev_internal disk snap",
                                    "snapshot_delete_blkdev_internal disk snap",
                                    "drive_backup nosuch %copy",
                                    "snapshot_blkdev -n disk %new")) {
                        say(m, line);
                    }
                    say(m, "drive_backup -n -f -c disk %copy");
                    m.awaitEvents("JOB_STATUS_CHANGE", "null");
                    say(m, "block_stream disk 0 %base");
                    m.awaitEvents("JOB_STATUS_CHANGE", "null");
                    say(m, "info block-jobs");
                    m.holds("copy", "0 512k", 1);
                    m.holds("copy", "1536k 512k", 4);
                    m.show();
                });
    }

    private static void say(ComparedMachine machine, String line) {
        machine.say("human-monitor-command", "{'command-line': '" + line + "'}");
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

    @Test
    void backupsThatCannotBe() {
        compare(
                m -> {
                    m.say("block-dirty-bitmap-add", "{'node': 'top', 'name': 'b'}");
                    String on = "'device': 'disk', 'target': 'other', ";
                    for (String what :
                            List.of(
                                    "'device': 'x', 'target': 'other', 'sync': 'full'",
                                    "'device': 'empty', 'target': 'other', 'sync': 'full'",
                                    "'device': 'disk', 'target': 'x', 'sync': 'full'",
                                    "'device': 'disk', 'target': 'top', 'sync': 'full'",
                                    "'device': 'disk', 'target': 'small', 'sync': 'full'",
                                    "'device': 'disk', 'target': 'base', 'sync': 'full'",
                                    on + "'sync': 'incremental'",
                                    on + "'sync': 'bitmap'",
                                    on + "'sync': 'bitmap', 'bitmap': 'x'",
                                    on + "'sync': 'bitmap', 'bitmap': 'b'",
                                    on
                                            + "'sync': 'incremental', 'bitmap': 'b',"
                                            + " 'bitmap-mode': 'never'",
                                    on
                                            + "'sync': 'none', 'bitmap': 'b', 'bitmap-mode':"
                                            + " 'always'",
                                    on
                                            + "'sync': 'full', 'bitmap': 'b', 'bitmap-mode':"
                                            + " 'never'",
                                    on + "'sync': 'full', 'bitmap-mode': 'never'",
                                    on + "'sync': 'full', 'speed': -1",
                                    on + "'sync': 'full', 'filter-node-name': 'raw'",
                                    on + "'sync': 'full', 'x-perf': {'max-workers': 0}",
                                    on + "'sync': 'full', 'x-perf': {'max-chunk': 1000}",
                                    "'device': 'disk', 'target': 'raw', 'sync': 'full',"
                                            + " 'compress': true")) {
                        m.say("blockdev-backup", "{'job-id': 'j', " + what + "}");
                    }
                    m.say(
                            "blockdev-backup",
                            "{'device': 'raw', 'target': 'other', 'sync': 'full'}");
                    for (String what :
                            List.of(
                                    "'device': 'x', 'target': '%n'",
                                    "'device': 'empty', 'target': '%n'",
                                    "'device': 'disk', 'target': '%n', 'format': 'x'",
                                    "'device': 'disk', 'target': '%n', 'mode': 'existing'",
                                    "'device': 'disk', 'target': '%other', 'mode': 'existing'")) {
                        m.say("drive-backup", "{'sync': 'full', " + what + "}");
                    }
                    m.show();
                });
    }

    @Test
    void backup() {
        compare(
                m -> {
                    m.say(
                            "blockdev-backup",
                            "{'job-id': 'j', 'device': 'disk', 'target': 'other', 'sync': 'full',"
                                    + " 'auto-finalize': false, 'filter-node-name': 'filter'}");
                    m.awaitEvents("BLOCK_JOB_PENDING", "");
                    m.say("query-block-jobs", "");
                    m.show();
                    m.say(
                            "blockdev-backup",
                            "{'job-id': 'k', 'device': 'disk', 'target': 'raw', 'sync': 'full'}");
                    m.say(
                            "blockdev-backup",
                            "{'job-id': 'k', 'device': 'raw', 'target': 'other', 'sync': 'full'}");
                    m.say("block-commit", "{'device': 'disk', 'job-id': 'k'}");
                    m.say("blockdev-del", "{'node-name': 'other'}");
                    m.sayAndWait("job-finalize", "{'id': 'j'}");
                    m.show();
                    m.say("block-dirty-bitmap-add", "{'node': 'top', 'name': 'b'}");
                    m.write("disk", "3M 64k", 9);
                    m.say(
                            "blockdev-backup",
                            "{'job-id': 'j', 'device': 'disk', 'target': 'other', 'sync':"
                                    + " 'incremental', 'bitmap': 'b', 'auto-finalize': false}");
                    m.awaitEvents("BLOCK_JOB_PENDING", "");
                    m.say("query-block-jobs", "");
                    m.say("block-dirty-bitmap-clear", "{'node': 'top', 'name': 'b'}");
                    m.sayAndWait("job-finalize", "{'id': 'j'}");
                    m.say("blockdev-del", "{'node-name': 'other'}"); // QEMU writes the last of it
                    for (int i = 0; i < 4; i++) {
                        m.holds("other", 512 * i + "k 512k", i + 1);
                    }
                    m.holds("other", "3M 64k", 9);
                    m.say("x-debug-block-dirty-bitmap-sha256", "{'node': 'top', 'name': 'b'}");
                    m.say(
                            "blockdev-backup",
                            "{'job-id': 'j', 'device': 'disk', 'target': 'raw', 'sync': 'none'}");
                    m.say("query-block-jobs", "");
                    m.write("disk", "0 64k", 10);
                    m.say("block-job-cancel", "{'device': 'j'}");
                    m.awaitEvents("JOB_STATUS_CHANGE", "null");
                });
    }

    @Test
    void backupsOfOneTransaction() {
        String grouped = "], 'properties': {'completion-mode': 'grouped'}}";
        String first =
                "{'type': 'blockdev-backup', 'data': {'job-id': 'j', 'device': 'disk', 'target':"
                        + " 'other', 'sync': 'full', 'auto-finalize': false}}";
        String second =
                "{'type': 'blockdev-backup', 'data': {'job-id': 'k', 'device': 'middle', 'target':"
                        + " 'raw', 'sync': '%s'}}";
        String abort = "{'type': 'abort', 'data': {}}";
        compare(
                m -> {
                    m.say("transaction", "{'actions': [" + first + ", " + abort + "]}");
                    m.awaitEvents("JOB_STATUS_CHANGE", "null");
                    m.show();
                    m.say(
                            "transaction",
                            "{'actions': [{'type': 'block-dirty-bitmap-add', 'data': {'node':"
                                    + " 'top', 'name': 'b'}}"
                                    + grouped);
                    m.say(
                            "transaction",
                            "{'actions': [" + first + ", " + second.formatted("full") + grouped);
                    m.awaitEvents("BLOCK_JOB_PENDING", "");
                    m.say("query-jobs", "");
                    m.say("job-finalize", "{'id': 'j'}");
                    m.say("query-jobs", "");
                    m.show();
                    m.say(
                            "transaction",
                            "{'actions': [" + first + ", " + second.formatted("none") + grouped);
                    m.monitor.eventsUntil("JOB_STATUS_CHANGE", "waiting");
                    m.say("query-jobs", "");
                    m.say("block-job-cancel", "{'device': 'k'}");
                    m.monitor.eventsUntil("JOB_STATUS_CHANGE", "null");
                    m.monitor.eventsUntil("JOB_STATUS_CHANGE", "null");
                    m.say("query-jobs", "");
                    m.show();
                });
    }

    /** What a client of an export reads of a disk as it was, while another writes to it. */
    @Test
    void aDiskAsItWas() {
        compare(
                m -> {
                    String add = "{'driver': 'copy-before-write', 'node-name': 'filter', ";
                    m.say("blockdev-add", add + "'file': 'x', 'target': 'raw'}");
                    m.say("blockdev-add", add + "'file': 'other'}");
                    m.say(
                            "blockdev-add",
                            add
                                    + "'file': 'other', 'target': 'raw', 'bitmap': {'node':"
                                    + " 'other', 'name': 'b'}}");
                    m.say(
                            "blockdev-add",
                            add
                                    + "'file': 'other', 'target': 'raw', 'on-cbw-error':"
                                    + " 'break-snapshot', 'cbw-timeout': 5}");
                    m.say(
                            "blockdev-add",
                            "{'driver': 'snapshot-access', 'node-name': 'old', 'file': 'filter'}");
                    m.write("filter", "0 1M", 1);
                    m.write("filter", "512k 1M", 2);
                    m.reads("old", "0 4M", 0);
                    m.reads("filter", "0 512k", 1);
                    m.say("blockdev-del", "{'node-name': 'filter'}");
                    m.say("blockdev-del", "{'node-name': 'raw'}");
                    m.say("blockdev-del", "{'node-name': 'old'}");
                    m.say("blockdev-del", "{'node-name': 'filter'}");
                    m.say(
                            "blockdev-add",
                            "{'driver': 'copy-on-read', 'node-name': 'keep', 'file': 'top',"
                                    + " 'bottom': 'x'}");
                    m.say(
                            "blockdev-add",
                            "{'driver': 'copy-on-read', 'node-name': 'keep', 'file': 'top'}");
                    m.reads("keep", "0 512k", 1);
                    m.say("blockdev-del", "{'node-name': 'keep'}");
                });
    }

    @Test
    void imagesThatAreMade() {
        compare(
                m -> {
                    String qcow2 = "'driver': 'qcow2', 'file': 'raw', 'size': 1048576";
                    for (String options :
                            List.of(
                                    "'driver': 'file', 'filename': '%new', 'size': 1000",
                                    "'driver': 'file', 'filename': '%no/new', 'size': 1000",
                                    "'driver': 'file', 'filename': '%full', 'size': 70000,"
                                            + " 'preallocation': 'full'",
                                    "'driver': 'file', 'filename': '%full', 'size': 1000,"
                                            + " 'preallocation': 'metadata'",
                                    "'driver': 'qcow2', 'file': 'x', 'size': 1048576",
                                    "'driver': 'qcow2', 'file': 'raw', 'size': 1000",
                                    qcow2 + ", 'cluster-size': 1000",
                                    qcow2 + ", 'backing-fmt': 'raw'",
                                    qcow2 + ", 'version': 'v2'",
                                    qcow2
                                            + ", 'cluster-size': 4096, 'refcount-bits': 1,"
                                            + " 'backing-file': '%base', 'backing-fmt': 'qcow2',"
                                            + " 'lazy-refcounts': true")) {
                        m.say("blockdev-create", "{'job-id': 'j', 'options': {" + options + "}}");
                        m.awaitEvents("JOB_STATUS_CHANGE", "concluded");
                        m.say("query-jobs", "");
                        m.say("query-block-jobs", "");
                        m.sayAndWait("job-dismiss", "{'id': 'j'}");
                    }
                    m.holds("raw", "0 512k", 1);
                });
    }
}
