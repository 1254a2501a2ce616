package lockstep.tools.daemon;

import lockstep.api.ControlCommands;
import lockstep.api.Introspection;
import lockstep.qmp.CommandTable;
import lockstep.qmp.Empty;
import lockstep.qmp.JsonArray;
import lockstep.runtime.command.RuntimeCommands;
import lockstep.runtime.process.VmmProcess;

import java.util.ArrayList;
import java.util.List;

/** What the daemon's monitors know: the commands of QEMU's, and no word about machines. */
final class DaemonCommands {
    private static final List<String> COMMANDS =
            List.of(
                    ("block-commit block-dirty-bitmap-add block-dirty-bitmap-clear"
                                    + " block-dirty-bitmap-disable block-dirty-bitmap-enable"
                                    + " block-dirty-bitmap-merge block-dirty-bitmap-remove"
                                    + " block-export-add block-export-del block-job-cancel"
                                    + " block-job-change block-job-complete block-job-dismiss"
                                    + " block-job-finalize block-job-pause block-job-resume"
                                    + " block-job-set-speed block-set-write-threshold block-stream"
                                    + " block_resize blockdev-add blockdev-backup blockdev-create"
                                    + " blockdev-del blockdev-mirror blockdev-reopen"
                                    + " blockdev-set-active blockdev-snapshot"
                                    + " blockdev-snapshot-delete-internal-sync"
                                    + " blockdev-snapshot-internal-sync blockdev-snapshot-sync"
                                    + " change-backing-file chardev-add chardev-change"
                                    + " chardev-remove chardev-send-break drive-backup drive-mirror"
                                    + " job-cancel job-complete job-dismiss job-finalize job-pause"
                                    + " job-resume nbd-server-add nbd-server-remove"
                                    + " nbd-server-start nbd-server-stop object-add object-del"
                                    + " qmp_capabilities qom-get qom-list qom-list-properties"
                                    + " qom-list-types qom-set query-block query-block-exports"
                                    + " query-block-jobs query-blockstats query-chardev"
                                    + " query-chardev-backends query-commands query-jobs"
                                    + " query-named-block-nodes query-version ringbuf-read"
                                    + " ringbuf-write transaction x-blockdev-amend"
                                    + " x-blockdev-change x-blockdev-set-iothread"
                                    + " x-debug-block-dirty-bitmap-sha256"
                                    + " x-debug-query-block-graph")
                            .split(" "));

    private static final List<String> EVENTS =
            List.of(
                    "BLOCK_EXPORT_DELETED",
                    "BLOCK_IMAGE_CORRUPTED",
                    "BLOCK_IO_ERROR",
                    "BLOCK_JOB_CANCELLED",
                    "BLOCK_JOB_COMPLETED",
                    "BLOCK_JOB_ERROR",
                    "BLOCK_JOB_PENDING",
                    "BLOCK_JOB_READY",
                    "BLOCK_WRITE_THRESHOLD",
                    "JOB_STATUS_CHANGE",
                    "QUORUM_FAILURE",
                    "QUORUM_REPORT_BAD",
                    "VSERPORT_CHANGE");

    private DaemonCommands() {}

    /** Leaves those of the process's commands, and ends it without an event. */
    static void install(VmmProcess vmm) {
        CommandTable table = vmm.commands();
        table.keep(COMMANDS);
        table.register(
                ControlCommands.QUIT,
                none -> {
                    vmm.leave(0);
                    return Empty.EMPTY;
                });
        table.register(RuntimeCommands.SCHEMA, none -> schema(table));
    }

    private static JsonArray schema(CommandTable table) {
        List<String> names = new ArrayList<>(table.names());
        names.addAll(EVENTS);
        return SchemaPart.of(Introspection.schemaInfo(), names);
    }
}
