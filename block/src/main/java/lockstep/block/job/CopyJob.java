package lockstep.block.job;

import lockstep.api.BlockDeviceIoStatus;
import lockstep.api.BlockErrorAction;
import lockstep.api.BlockJobErrorEvent;
import lockstep.api.BlockdevOnError;
import lockstep.api.IoOperationType;
import lockstep.api.JobType;
import lockstep.block.ErrorAction;
import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/** A job that moves data: what becomes of requests that fail, and how fast it may be. */
abstract class CopyJob extends Job {
    static final long SECOND = 1_000_000_000;

    /** Time to wait before a request that failed, and whose failure is ignored, is tried again. */
    private static final long RETRY_NANOS = SECOND / 10;

    private volatile BlockDeviceIoStatus ioStatus = BlockDeviceIoStatus.OK;

    /** When the bytes copied so far may be exceeded, by the limit of speed. Only the job's thread. */
    private long nextTime = System.nanoTime();

    CopyJob(Jobs jobs, JobType type, Terms terms) {
        super(jobs, type, terms);
    }

    static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    static long notNegative(String name, @Nullable Long value) throws BlockException {
        if (value != null && value < 0) {
            throw bad("Parameter '" + name + "' expects a non-negative value");
        }
        return value == null ? 0 : value;
    }

    static ErrorAction action(@Nullable BlockdevOnError given) {
        return switch (given) {
            case IGNORE -> ErrorAction.IGNORE;
            case ENOSPC -> ErrorAction.ENOSPC;
            case STOP -> ErrorAction.STOP;
            case null, default -> ErrorAction.REPORT;
        };
    }

    /** What could not be undone, and keeps nobody from going on. */
    static void warn(String what, BlockException e) {
        System.getLogger("lockstep.block")
                .log(System.Logger.Level.WARNING, what + ": " + e.getMessage());
    }

    final BlockDeviceIoStatus ioStatus() {
        return ioStatus;
    }

    /** Tells clients of a failure, and ends the job if the policy says so; else it is to be tried again. */
    final void failed(boolean reading, BlockException e, ErrorAction policy)
            throws BlockException, InterruptedException {
        ErrorAction decision = policy.decide(e.errno());
        post(
                () ->
                        emit(
                                new BlockJobErrorEvent(
                                        id(),
                                        reading ? IoOperationType.READ : IoOperationType.WRITE,
                                        switch (decision) {
                                            case IGNORE -> BlockErrorAction.IGNORE;
                                            case STOP -> BlockErrorAction.STOP;
                                            default -> BlockErrorAction.REPORT;
                                        })));
        switch (decision) {
            case IGNORE -> rest(RETRY_NANOS);
            case STOP -> {
                ioStatus =
                        e.errno() == Errno.ENOSPC
                                ? BlockDeviceIoStatus.NOSPACE
                                : BlockDeviceIoStatus.FAILED;
                stopForError();
            }
            default -> throw e;
        }
    }

    /** So many bytes were moved: rests as long as the speed asks for. */
    final void limit(long bytes) throws InterruptedException {
        long speed = currentSpeed();
        if (speed == 0 || bytes == 0) {
            nextTime = System.nanoTime();
            return;
        }
        long start = Math.max(nextTime, System.nanoTime() - SECOND / 10);
        nextTime = start + (long) ((double) bytes / speed * SECOND);
        rest(nextTime - System.nanoTime());
    }

    @Override
    void resumed() {
        ioStatus = BlockDeviceIoStatus.OK;
    }
}
