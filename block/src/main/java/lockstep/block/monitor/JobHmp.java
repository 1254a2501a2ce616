package lockstep.block.monitor;

import lockstep.api.BlockJobCancelArguments;
import lockstep.api.BlockJobCompleteArguments;
import lockstep.api.BlockJobInfo;
import lockstep.api.BlockJobPauseArguments;
import lockstep.api.BlockJobResumeArguments;
import lockstep.api.BlockJobSetSpeedArguments;
import lockstep.api.BlockStreamArguments;
import lockstep.api.BlockdevSnapshotDeleteInternalSyncArguments;
import lockstep.api.BlockdevSnapshotInternal;
import lockstep.api.BlockdevSnapshotSync;
import lockstep.api.DriveBackup;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NewImageMode;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;

import java.util.List;

/** The human monitor's commands for jobs and snapshots: those of QMP with fewer choices. Main loop, machine lock held. */
record JobHmp(JobQmp qmp) {
    void register(HmpTable table) {
        jobs(table);
        snapshots(table);
        table.add(
                "block_stream",
                "device:B,speed:o?,base:s?",
                "device [speed [base]]",
                "copy what is below an image into it",
                (arguments, output) -> stream(arguments));
        table.add(
                "drive_backup",
                "reuse:-n,full:-f,compress:-c,device:B,target:s,format:s?",
                "[-n] [-f] [-c] device target [format]",
                "copy a drive as it is now to an image (-n: to an image that is there; -f: the"
                        + " whole disk; -c: compressed)",
                (arguments, output) -> backup(arguments));
    }

    private void jobs(HmpTable table) {
        table.add(
                "block_job_set_speed",
                "device:B,speed:o",
                "device speed",
                "limit a block job to so many bytes a second",
                (arguments, output) ->
                        qmp.blockJobSetSpeed(
                                new BlockJobSetSpeedArguments(
                                        arguments.string("device"),
                                        arguments.integer("speed", 0))));
        table.add(
                "block_job_cancel",
                "force:-f,device:B",
                "[-f] device",
                "end a block job (-f: also one that is paused)",
                (arguments, output) ->
                        qmp.blockJobCancel(
                                new BlockJobCancelArguments(
                                        arguments.string("device"), arguments.flag("force"))));
        table.add(
                "block_job_complete",
                "device:B",
                "device",
                "have a block job that is ready end with its result",
                (arguments, output) ->
                        qmp.blockJobComplete(
                                new BlockJobCompleteArguments(arguments.string("device"))));
        table.add(
                "block_job_pause",
                "device:B",
                "device",
                "have a block job wait",
                (arguments, output) ->
                        qmp.blockJobPause(new BlockJobPauseArguments(arguments.string("device"))));
        table.add(
                "block_job_resume",
                "device:B",
                "device",
                "have a block job go on",
                (arguments, output) ->
                        qmp.blockJobResume(
                                new BlockJobResumeArguments(arguments.string("device"))));
        table.addInfo(
                "block-jobs",
                "",
                "",
                "block jobs and how far they are",
                (arguments, output) -> describe(output));
    }

    private void snapshots(HmpTable table) {
        table.add(
                "snapshot_blkdev",
                "reuse:-n,device:B,snapshot-file:s?,format:s?",
                "[-n] device [new-image-file] [format]",
                "go on in a new image on top of a drive's (-n: in one that is there)",
                (arguments, output) -> snapshot(arguments));
        table.add(
                "snapshot_blkdev_internal",
                "device:B,name:s",
                "device name",
                "keep a drive as it is inside its image",
                (arguments, output) ->
                        qmp.blockdevSnapshotInternalSync(
                                new BlockdevSnapshotInternal(
                                        arguments.string("device"), arguments.string("name"))));
        table.add(
                "snapshot_delete_blkdev_internal",
                "device:B,name:s,id:s?",
                "device name [id]",
                "forget what was kept inside a drive's image",
                (arguments, output) ->
                        qmp.blockdevSnapshotDeleteInternalSync(
                                new BlockdevSnapshotDeleteInternalSyncArguments(
                                        arguments.string("device"),
                                        arguments.optional("id"),
                                        arguments.string("name"))));
    }

    private static NewImageMode mode(HmpArguments arguments) {
        return arguments.flag("reuse") ? NewImageMode.EXISTING : NewImageMode.ABSOLUTE_PATHS;
    }

    private void snapshot(HmpArguments arguments) throws QmpException {
        String file = arguments.optional("snapshot-file");
        if (file == null) {
            throw new QmpException("Parameter 'snapshot-file' is missing");
        }
        qmp.blockdevSnapshotSync(
                BlockdevSnapshotSync.builder()
                        .device(arguments.string("device"))
                        .snapshotFile(file)
                        .format(arguments.optional("format"))
                        .mode(mode(arguments))
                        .build());
    }

    private void stream(HmpArguments arguments) throws QmpException {
        String device = arguments.string("device");
        qmp.blockStream(
                BlockStreamArguments.builder()
                        .jobId(device)
                        .device(device)
                        .base(arguments.optional("base"))
                        .speed(arguments.has("speed") ? arguments.integer("speed", 0) : null)
                        .build());
    }

    private void backup(HmpArguments arguments) throws QmpException {
        qmp.driveBackup(
                DriveBackup.builder()
                        .device(arguments.string("device"))
                        .target(arguments.string("target"))
                        .format(arguments.optional("format"))
                        .sync(arguments.flag("full") ? MirrorSyncMode.FULL : MirrorSyncMode.TOP)
                        .mode(mode(arguments))
                        .compress(arguments.flag("compress"))
                        .build());
    }

    private void describe(StringBuilder output) {
        List<BlockJobInfo> jobs = qmp.queryBlockJobs();
        if (jobs.isEmpty()) {
            output.append("No active jobs\n");
        }
        for (BlockJobInfo job : jobs) {
            boolean stream = job instanceof BlockJobInfo.Stream;
            output.append(
                            stream
                                    ? "Streaming device "
                                    : "Type " + job.type().wireName() + ", device ")
                    .append(job.device())
                    .append(
                            ": Completed %d of %d bytes, speed limit %d bytes/s\n"
                                    .formatted(job.offset(), job.len(), job.speed()));
        }
    }
}
