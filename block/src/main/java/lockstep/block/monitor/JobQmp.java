package lockstep.block.monitor;

import lockstep.api.ActionCompletionMode;
import lockstep.api.BlockCommitArguments;
import lockstep.api.BlockDirtyBitmap;
import lockstep.api.BlockDirtyBitmapAdd;
import lockstep.api.BlockDirtyBitmapMerge;
import lockstep.api.BlockDirtyBitmapSha256;
import lockstep.api.BlockJobCancelArguments;
import lockstep.api.BlockJobChangeOptions;
import lockstep.api.BlockJobCommands;
import lockstep.api.BlockJobCompleteArguments;
import lockstep.api.BlockJobDismissArguments;
import lockstep.api.BlockJobFinalizeArguments;
import lockstep.api.BlockJobInfo;
import lockstep.api.BlockJobPauseArguments;
import lockstep.api.BlockJobResumeArguments;
import lockstep.api.BlockJobSetSpeedArguments;
import lockstep.api.BlockStreamArguments;
import lockstep.api.BlockdevBackup;
import lockstep.api.BlockdevCreateArguments;
import lockstep.api.BlockdevCreateOptions;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.BlockdevSnapshot;
import lockstep.api.BlockdevSnapshotDeleteInternalSyncArguments;
import lockstep.api.BlockdevSnapshotInternal;
import lockstep.api.BlockdevSnapshotSync;
import lockstep.api.DriveBackup;
import lockstep.api.DriveMirror;
import lockstep.api.JobCancelArguments;
import lockstep.api.JobCommands;
import lockstep.api.JobCompleteArguments;
import lockstep.api.JobDismissArguments;
import lockstep.api.JobFinalizeArguments;
import lockstep.api.JobInfo;
import lockstep.api.JobPauseArguments;
import lockstep.api.JobResumeArguments;
import lockstep.api.JobType;
import lockstep.api.SnapshotInfo;
import lockstep.api.TransactionAction;
import lockstep.api.TransactionArguments;
import lockstep.api.TransactionCommands;
import lockstep.block.job.Job;
import lockstep.block.job.JobGroup;
import lockstep.block.job.Jobs;
import lockstep.block.node.BlockException;
import lockstep.block.node.RootUser;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** The QMP commands of job, block-job and transaction. Main loop, machine lock held. */
final class JobQmp implements JobCommands, BlockJobCommands, TransactionCommands {
    private final Jobs jobs;
    private final DriveMirroring driveMirroring;
    private final BitmapQmp bitmaps;
    private final Backups backups;
    private final NewImages images;
    private final Snapshots snapshots;
    private final InternalSnapshots internalSnapshots;

    JobQmp(
            Jobs jobs,
            DriveMirroring driveMirroring,
            Backups backups,
            NewImages images,
            Snapshots snapshots,
            InternalSnapshots internalSnapshots) {
        this.backups = backups;
        this.images = images;
        this.snapshots = snapshots;
        this.internalSnapshots = internalSnapshots;
        this.jobs = jobs;
        this.driveMirroring = driveMirroring;
        this.bitmaps = new BitmapQmp(jobs.graph());
    }

    private interface Action {
        void run() throws BlockException;
    }

    private static void qmp(Action action) throws QmpException {
        try {
            action.run();
        } catch (BlockException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    private Job job(String id) throws QmpException {
        Job job = jobs.find(id);
        if (job == null) {
            throw new QmpException("Job not found");
        }
        return job;
    }

    private Job blockJob(String id) throws QmpException {
        Job job = jobs.find(id);
        if (job == null || !job.onDisk()) {
            throw new QmpException(
                    ErrorClass.DEVICE_NOT_ACTIVE, "Block job '" + id + "' not found");
        }
        return job;
    }

    /** The newest first, as QEMU has them. */
    @Override
    public List<JobInfo> queryJobs() {
        return jobs.all().reversed().stream().map(Job::info).toList();
    }

    @Override
    public void jobPause(JobPauseArguments arguments) throws QmpException {
        qmp(job(arguments.id())::pause);
    }

    @Override
    public void jobResume(JobResumeArguments arguments) throws QmpException {
        qmp(job(arguments.id())::resume);
    }

    @Override
    public void jobCancel(JobCancelArguments arguments) throws QmpException {
        Job job = job(arguments.id());
        qmp(() -> job.cancel(true));
    }

    @Override
    public void jobComplete(JobCompleteArguments arguments) throws QmpException {
        qmp(job(arguments.id())::complete);
    }

    @Override
    public void jobDismiss(JobDismissArguments arguments) throws QmpException {
        qmp(job(arguments.id())::dismiss);
    }

    @Override
    public void jobFinalize(JobFinalizeArguments arguments) throws QmpException {
        qmp(job(arguments.id())::finish);
    }

    @Override
    public List<BlockJobInfo> queryBlockJobs() {
        return jobs.all().reversed().stream().filter(Job::onDisk).map(Job::blockInfo).toList();
    }

    @Override
    public void blockJobSetSpeed(BlockJobSetSpeedArguments arguments) throws QmpException {
        Job job = blockJob(arguments.device());
        qmp(() -> job.speed(arguments.speed()));
    }

    @Override
    public void blockJobCancel(BlockJobCancelArguments arguments) throws QmpException {
        Job job = blockJob(arguments.device());
        boolean force = Boolean.TRUE.equals(arguments.force());
        if (job.pausedByUser() && !force) {
            throw new QmpException(
                    "The block job for device '" + job.id() + "' is currently paused");
        }
        qmp(() -> job.cancel(force));
    }

    @Override
    public void blockJobPause(BlockJobPauseArguments arguments) throws QmpException {
        qmp(blockJob(arguments.device())::pause);
    }

    @Override
    public void blockJobResume(BlockJobResumeArguments arguments) throws QmpException {
        qmp(blockJob(arguments.device())::resume);
    }

    @Override
    public void blockJobComplete(BlockJobCompleteArguments arguments) throws QmpException {
        qmp(blockJob(arguments.device())::complete);
    }

    @Override
    public void blockJobDismiss(BlockJobDismissArguments arguments) throws QmpException {
        qmp(blockJob(arguments.id())::dismiss);
    }

    @Override
    public void blockJobFinalize(BlockJobFinalizeArguments arguments) throws QmpException {
        qmp(blockJob(arguments.id())::finish);
    }

    @Override
    public void blockJobChange(BlockJobChangeOptions arguments) throws QmpException {
        Job job = blockJob(arguments.id());
        qmp(
                () -> {
                    job.allowChange();
                    job.change(arguments);
                });
    }

    @Override
    public void blockdevMirror(BlockdevMirrorArguments arguments) throws QmpException {
        qmp(() -> jobs.mirror(arguments));
    }

    @Override
    public void driveMirror(DriveMirror arguments) throws QmpException {
        qmp(() -> driveMirroring.start(arguments));
    }

    @Override
    public void blockdevBackup(BlockdevBackup arguments) throws QmpException {
        alone(() -> backups.start(arguments, new JobGroup()));
    }

    @Override
    public void driveBackup(DriveBackup arguments) throws QmpException {
        alone(() -> backups.start(arguments, new JobGroup()));
    }

    @Override
    public void blockStream(BlockStreamArguments arguments) throws QmpException {
        qmp(() -> jobs.stream(arguments));
    }

    @Override
    public void blockCommit(BlockCommitArguments arguments) throws QmpException {
        String device = arguments.device();
        RootUser drive = jobs.graph().names().findDrive(device);
        if (drive == null ? jobs.graph().names().findNode(device) == null : drive.root() == null) {
            throw new QmpException(
                    ErrorClass.DEVICE_NOT_FOUND, "Device '" + device + "' not found");
        }
        qmp(() -> jobs.commit(arguments, NodeQueries::filename));
    }

    @Override
    public void blockdevCreate(BlockdevCreateArguments arguments) throws QmpException {
        BlockdevCreateOptions options = arguments.options();
        if (options instanceof BlockdevCreateOptions.File
                || options instanceof BlockdevCreateOptions.Qcow2) {
            qmp(() -> jobs.once(JobType.CREATE, arguments.jobId(), () -> images.make(options)));
            return;
        }
        throw new QmpException("Driver does not support blockdev-create");
    }

    @Override
    public void blockdevSnapshotSync(BlockdevSnapshotSync arguments) throws QmpException {
        alone(() -> snapshots.take(arguments));
    }

    @Override
    public void blockdevSnapshot(BlockdevSnapshot arguments) throws QmpException {
        alone(() -> snapshots.take(arguments));
    }

    @Override
    public void blockdevSnapshotInternalSync(BlockdevSnapshotInternal arguments)
            throws QmpException {
        alone(() -> internalSnapshots.take(arguments));
    }

    @Override
    public SnapshotInfo blockdevSnapshotDeleteInternalSync(
            BlockdevSnapshotDeleteInternalSyncArguments arguments) throws QmpException {
        SnapshotInfo[] deleted = new SnapshotInfo[1];
        qmp(() -> deleted[0] = internalSnapshots.delete(arguments));
        return deleted[0];
    }

    private interface Making {
        Step make() throws BlockException;
    }

    private static void alone(Making making) throws QmpException {
        qmp(() -> making.make().commit());
    }

    @Override
    public void blockDirtyBitmapAdd(BlockDirtyBitmapAdd arguments) throws QmpException {
        alone(() -> bitmaps.add(arguments));
    }

    @Override
    public void blockDirtyBitmapRemove(BlockDirtyBitmap arguments) throws QmpException {
        alone(() -> bitmaps.remove(arguments.node(), arguments.name()));
    }

    @Override
    public void blockDirtyBitmapClear(BlockDirtyBitmap arguments) throws QmpException {
        alone(() -> bitmaps.clear(arguments.node(), arguments.name()));
    }

    @Override
    public void blockDirtyBitmapEnable(BlockDirtyBitmap arguments) throws QmpException {
        alone(() -> bitmaps.record(arguments.node(), arguments.name(), true));
    }

    @Override
    public void blockDirtyBitmapDisable(BlockDirtyBitmap arguments) throws QmpException {
        alone(() -> bitmaps.record(arguments.node(), arguments.name(), false));
    }

    @Override
    public void blockDirtyBitmapMerge(BlockDirtyBitmapMerge arguments) throws QmpException {
        alone(() -> bitmaps.merge(arguments));
    }

    @Override
    public BlockDirtyBitmapSha256 xDebugBlockDirtyBitmapSha256(BlockDirtyBitmap arguments)
            throws QmpException {
        String[] hash = new String[1];
        qmp(() -> hash[0] = bitmaps.sha256(arguments.node(), arguments.name()));
        return new BlockDirtyBitmapSha256(hash[0]);
    }

    /** All of it or nothing. */
    @Override
    public void transaction(TransactionArguments arguments) throws QmpException {
        boolean grouped =
                arguments.properties() != null
                        && arguments.properties().completionMode() == ActionCompletionMode.GROUPED;
        qmp(() -> jobs.graph().drain().drained(() -> act(arguments.actions(), grouped)));
    }

    private void act(List<TransactionAction> actions, boolean grouped) throws BlockException {
        JobGroup group = new JobGroup();
        Deque<Step> done = new ArrayDeque<>();
        try {
            for (TransactionAction action : actions) {
                if (action instanceof TransactionAction.Abort) {
                    throw new BlockException(
                            Errno.ECANCELED, "Transaction aborted using Abort action");
                }
                Step step = backups.act(action, grouped ? group : new JobGroup());
                if (step == null && grouped) {
                    throw new BlockException(
                            Errno.EINVAL,
                            "Action '"
                                    + action.type().wireName()
                                    + "' does not support Transaction property completion-mode ="
                                    + " grouped");
                }
                if (step == null) {
                    step = bitmaps.act(action);
                }
                if (step == null) {
                    step = snapshots.act(action);
                }
                if (step == null) {
                    step = internalSnapshots.act(action);
                }
                if (step == null) {
                    throw new AssertionError(action);
                }
                done.push(step);
            }
        } catch (BlockException | RuntimeException e) {
            for (Step step : done) {
                try {
                    step.takeBack();
                } catch (RuntimeException more) {
                    e.addSuppressed(more);
                }
            }
            throw e;
        }
        done.descendingIterator().forEachRemaining(Step::commit);
    }
}
