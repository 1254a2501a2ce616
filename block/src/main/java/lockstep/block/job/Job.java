package lockstep.block.job;

import lockstep.api.BlockJobCancelledEvent;
import lockstep.api.BlockJobChangeOptions;
import lockstep.api.BlockJobCompletedEvent;
import lockstep.api.BlockJobInfo;
import lockstep.api.BlockJobPendingEvent;
import lockstep.api.BlockJobReadyEvent;
import lockstep.api.JobInfo;
import lockstep.api.JobStatus;
import lockstep.api.JobStatusChangeEvent;
import lockstep.api.JobType;
import lockstep.block.node.BlockException;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * One job: its states, what clients may do in each, and its events. The work itself is done by a thread of
 * its own; everything else happens on the main loop with the machine lock held. Between the two there are
 * the few fields that {@code this} guards.
 */
public abstract class Job {
    /** How a job begins and ends. */
    record Terms(String id, long speed, boolean autoFinalize, boolean autoDismiss) {}

    /** How long a cancelled job may take over a request. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    private static final Set<JobStatus> WORKING =
            Set.of(
                    JobStatus.CREATED,
                    JobStatus.RUNNING,
                    JobStatus.PAUSED,
                    JobStatus.READY,
                    JobStatus.STANDBY);

    private final Jobs jobs;
    private final JobType type;
    private final Terms terms;
    private JobStatus status = JobStatus.CREATED;
    private @Nullable String error;
    private boolean cancelled;
    private JobGroup group = new JobGroup();

    // Guarded by this.
    private boolean pauseWanted;
    private boolean stopWanted;
    private boolean completeWanted;
    private boolean ready;
    private long speed;
    private long done;
    private boolean atWork;

    Job(Jobs jobs, JobType type, Terms terms) {
        this.jobs = jobs;
        this.type = type;
        this.terms = terms;
        this.speed = terms.speed();
    }

    /**
     * Does the work, on the job's thread. Calls {@link #pausePoint} often, and returns when the work is
     * done and, where the job gets ready first, {@link #completing} says so.
     */
    abstract void work() throws BlockException, InterruptedException;

    /** Puts the result in place. If it fails, {@link #abandon} follows. */
    abstract void commit() throws BlockException;

    /** Takes everything back to how it was before the job. */
    abstract void abandon();

    /** Bytes that are still to be done, as far as is known. */
    abstract long remaining();

    /** The identifier. */
    public final String id() {
        return terms.id();
    }

    /** What the job does. */
    final JobType type() {
        return type;
    }

    /** Enters the job and begins the work. */
    final void start() {
        created(new JobGroup());
        begin();
    }

    /** Enters the job, which belongs to others. Either {@link #begin} or {@link #withdraw} follows. */
    final void created(JobGroup with) {
        group = with;
        group.add(this);
        enter(JobStatus.CREATED);
    }

    /** It is not to be after all. */
    final void withdraw() {
        group.remove(this);
        enter(JobStatus.ABORTING);
        abandon();
        enter(JobStatus.CONCLUDED);
        remove();
    }

    /** Begins the work. */
    final void begin() {
        enter(JobStatus.RUNNING);
        atWork(true);
        Thread.ofPlatform().name("job " + id()).daemon(true).start(this::run);
    }

    private void run() {
        BlockException failure = null;
        try {
            work();
        } catch (BlockException e) {
            failure = e;
        } catch (InterruptedException e) {
            failure = new BlockException(Errno.ECANCELED);
        } catch (RuntimeException | Error e) {
            failure = new BlockException(Errno.EIO, "internal error: " + e, e);
        }
        atWork(false);
        BlockException result = failure;
        post(() -> workEnded(result));
    }

    private synchronized void atWork(boolean now) {
        atWork = now;
        notifyAll();
    }

    /** The work was told to end, or has: if it hangs in a request of the target, the target is cut off. */
    private void seeToEnd() {
        long end = System.nanoTime() + PATIENCE;
        synchronized (this) {
            long left = PATIENCE;
            while (atWork && left > 0) {
                try {
                    TimeUnit.NANOSECONDS.timedWait(this, left);
                } catch (InterruptedException e) {
                    return;
                }
                left = end - System.nanoTime();
            }
            if (!atWork) {
                return;
            }
        }
        cutOff();
    }

    /** Breaks the connections that only the job's result is stored through. Any thread. */
    abstract void cutOff();

    /** Whether the job's thread is at work; perhaps it waits for a disk. Any thread. */
    final synchronized boolean atWork() {
        return atWork;
    }

    /** Has the work end soon, without a result. Any thread. */
    final synchronized void stopWork() {
        stopWanted = true;
        notifyAll();
    }

    final void emit(QmpEvent event) {
        jobs.emit(event);
    }

    /** Whether it is one on a disk, which has events and a list of its own. */
    public boolean onDisk() {
        return true;
    }

    private void tell(QmpEvent event) {
        if (onDisk()) {
            jobs.emit(event);
        }
    }

    final void post(Runnable task) {
        jobs.graph().host().post(task);
    }

    // On the job's thread

    /** Counts bytes as done. */
    final synchronized void progress(long bytes) {
        done += bytes;
    }

    /** Stands still while the job is told to pause; throws when it is to end. */
    final void pausePoint() throws BlockException, InterruptedException {
        synchronized (this) {
            if (pauseWanted && !stopWanted) {
                post(() -> pausedNow(true));
                while (pauseWanted && !stopWanted) {
                    wait();
                }
                post(() -> pausedNow(false));
            }
            if (stopWanted) {
                throw new BlockException(Errno.ECANCELED);
            }
        }
    }

    /** Waits until {@code nanos} have gone by, or the job is told something. */
    final synchronized void rest(long nanos) throws InterruptedException {
        if (!stopWanted && !pauseWanted && nanos > 0) {
            wait(nanos / 1_000_000, (int) (nanos % 1_000_000));
        }
    }

    /** Ends a rest. Any thread. */
    final synchronized void wake() {
        notifyAll();
    }

    /** Whether the job, being ready, is to end now. */
    final synchronized boolean completing() {
        return completeWanted;
    }

    /** Tells clients that the job can be completed; only the first call does. */
    final void becomeReady() {
        synchronized (this) {
            if (ready) {
                return;
            }
            ready = true;
        }
        post(
                () -> {
                    if (WORKING.contains(status)) {
                        enter(JobStatus.READY);
                        jobs.emit(
                                new BlockJobReadyEvent(
                                        type, id(), length(), offset(), currentSpeed()));
                    }
                });
    }

    /** Bytes in a second, 0 for no limit. */
    final synchronized long currentSpeed() {
        return speed;
    }

    /** Pauses because a request failed, until a client resumes the job. */
    final synchronized void stopForError() {
        pauseWanted = true;
    }

    // On the main loop

    private void enter(JobStatus next) {
        status = next;
        jobs.emit(new JobStatusChangeEvent(id(), next));
    }

    private void pausedNow(boolean paused) {
        if (!WORKING.contains(status)) {
            return;
        }
        boolean atReady = status == JobStatus.READY || status == JobStatus.STANDBY;
        enter(
                paused
                        ? (atReady ? JobStatus.STANDBY : JobStatus.PAUSED)
                        : (atReady ? JobStatus.READY : JobStatus.RUNNING));
    }

    private void workEnded(@Nullable BlockException failure) {
        if (!WORKING.contains(status)) {
            return;
        }
        if (failure != null) {
            fail(failure);
            return;
        }
        enter(JobStatus.WAITING);
        List<Job> all = group.members();
        if (all.stream().anyMatch(job -> job.status != JobStatus.WAITING)) {
            return;
        }
        for (Job job : all) {
            job.enter(JobStatus.PENDING);
            if (!job.terms.autoFinalize()) {
                job.tell(new BlockJobPendingEvent(job.type, job.id()));
            }
        }
        if (all.stream().allMatch(job -> job.terms.autoFinalize())) {
            conclude();
        }
    }

    /** Puts the results of all that belong together in place. */
    private void conclude() {
        List<Job> all = group.members();
        for (Job job : all) {
            try {
                job.commitInTime();
            } catch (BlockException e) {
                job.fail(e);
                return;
            }
        }
        for (Job job : all) {
            group.remove(job);
            job.tell(
                    new BlockJobCompletedEvent(
                            job.type,
                            job.id(),
                            job.length(),
                            job.offset(),
                            job.currentSpeed(),
                            null));
            job.leave();
        }
    }

    /** The machine stands while the target takes the rest. */
    private void commitInTime() throws BlockException {
        atWork(true);
        jobs.graph().workers().execute(this::seeToEnd);
        try {
            commit();
        } finally {
            atWork(false);
        }
    }

    private void fail(BlockException failure) {
        group.remove(this);
        enter(JobStatus.ABORTING);
        abandon();
        if (cancelled) {
            error = Errno.text(Errno.ECANCELED);
            tell(new BlockJobCancelledEvent(type, id(), length(), offset(), currentSpeed()));
        } else {
            error = String.valueOf(failure.getMessage());
            tell(new BlockJobCompletedEvent(type, id(), length(), offset(), currentSpeed(), error));
        }
        leave();
        for (Job other : group.members()) {
            other.endForOther();
        }
    }

    /** One that belongs to this one has failed. */
    private void endForOther() {
        cancelled = true;
        if (WORKING.contains(status)) {
            stopWork();
            jobs.graph().workers().execute(this::seeToEnd);
        } else if (group.members().contains(this)) {
            fail(new BlockException(Errno.ECANCELED));
        }
    }

    private void leave() {
        enter(JobStatus.CONCLUDED);
        if (terms.autoDismiss()) {
            remove();
        }
    }

    private void remove() {
        enter(JobStatus.NULL);
        jobs.forget(this);
    }

    private void allow(String verb, boolean allowed) throws BlockException {
        if (!allowed) {
            throw new BlockException(
                    Errno.EPERM,
                    "Job '"
                            + id()
                            + "' in state '"
                            + status.wireName()
                            + "' cannot accept command verb '"
                            + verb
                            + "'");
        }
    }

    /** Whether a client, or an error, has told the job to pause. */
    public final synchronized boolean pausedByUser() {
        return pauseWanted;
    }

    /** job-pause. */
    public final synchronized void pause() throws BlockException {
        allow("pause", WORKING.contains(status));
        if (pauseWanted) {
            throw new BlockException(Errno.EBUSY, "Job is already paused");
        }
        pauseWanted = true;
        notifyAll();
    }

    /** job-resume. */
    public final synchronized void resume() throws BlockException {
        if (!pauseWanted) {
            throw new BlockException(Errno.EINVAL, "Can't resume a job that was not paused");
        }
        allow("resume", WORKING.contains(status));
        resumed();
        pauseWanted = false;
        notifyAll();
    }

    /** The job goes on after a pause. */
    void resumed() {}

    /** block-job-set-speed. */
    public final synchronized void speed(long bytes) throws BlockException {
        allow("set-speed", WORKING.contains(status));
        if (bytes < 0) {
            throw new BlockException(
                    Errno.EINVAL, "Parameter 'speed' expects a non-negative value");
        }
        speed = bytes;
        notifyAll();
    }

    /** block-job-change. */
    public void change(BlockJobChangeOptions options) throws BlockException {
        throw new BlockException(Errno.EINVAL, "Job type does not support change");
    }

    /** Errors when nothing of the job can be changed any more. */
    public final void allowChange() throws BlockException {
        allow("change", WORKING.contains(status));
    }

    /** Ends the job in failure, or, without {@code force}, a ready one with what it has done. */
    public final void cancel(boolean force) throws BlockException {
        boolean waiting = status == JobStatus.WAITING || status == JobStatus.PENDING;
        allow("cancel", waiting || WORKING.contains(status));
        if (waiting) {
            cancelled = true;
            fail(new BlockException(Errno.ECANCELED));
            return;
        }
        synchronized (this) {
            if (!force && ready) {
                endWithoutResult();
                completeWanted = true;
            } else {
                cancelled = true;
                stopWanted = true;
                jobs.graph().workers().execute(this::seeToEnd);
            }
            notifyAll();
        }
    }

    /** The job is to end well, but change nothing for the disk's users. */
    abstract void endWithoutResult();

    /** job-complete. */
    public final synchronized void complete() throws BlockException {
        allow("complete", status == JobStatus.READY);
        completeWanted = true;
        notifyAll();
    }

    /** job-finalize. */
    public final void finish() throws BlockException {
        allow("finalize", status == JobStatus.PENDING);
        conclude();
    }

    /** job-dismiss. */
    public final void dismiss() throws BlockException {
        allow("dismiss", status == JobStatus.CONCLUDED);
        remove();
    }

    /** Ends the job because the process does. */
    final void close() {
        if (status == JobStatus.CONCLUDED) {
            return;
        }
        stopWork();
        cancelled = true;
        fail(new BlockException(Errno.ECANCELED));
    }

    final synchronized long offset() {
        return done;
    }

    private synchronized long length() {
        return offset() + remaining();
    }

    /** What query-jobs tells. */
    public final JobInfo info() {
        return new JobInfo(id(), type, status, offset(), length(), error);
    }

    /** Whether the job, while it runs, has nothing to do. */
    boolean idle() {
        return false;
    }

    /** What only this type of job adds to query-block-jobs. */
    abstract BlockJobInfo blockInfo(JobState state);

    /** What query-block-jobs tells of every job. */
    record JobState(
            String id,
            long length,
            long offset,
            boolean busy,
            boolean paused,
            long speed,
            boolean ready,
            JobStatus status,
            boolean autoFinalize,
            boolean autoDismiss,
            @Nullable String error) {}

    /** What query-block-jobs tells. */
    public final BlockJobInfo blockInfo() {
        return blockInfo(
                new JobState(
                        id(),
                        length(),
                        offset(),
                        status == JobStatus.RUNNING && !idle(),
                        pausedByUser(),
                        currentSpeed(),
                        status == JobStatus.READY || status == JobStatus.STANDBY,
                        status,
                        terms.autoFinalize(),
                        terms.autoDismiss(),
                        error));
    }
}
