package lockstep.block.job;

import lockstep.api.BlockJobInfo;
import lockstep.api.JobType;
import lockstep.block.node.BlockException;
import lockstep.block.node.Drain;
import lockstep.runtime.linux.Errno;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * Does one thing that can only be done on the main loop: makes an image, keeps or changes the whole machine. It stays until
 * it is dismissed.
 */
final class LoopJob extends Job {
    private final Drain.Change thing;

    LoopJob(Jobs jobs, JobType type, String id, Drain.Change thing) {
        super(jobs, type, new Terms(id, 0, true, false));
        this.thing = thing;
    }

    @Override
    public boolean onDisk() {
        return false;
    }

    @Override
    void work() throws BlockException, InterruptedException {
        CompletableFuture<Boolean> made = new CompletableFuture<>();
        post(
                () -> {
                    try {
                        thing.apply();
                        made.complete(true);
                    } catch (BlockException | RuntimeException e) {
                        made.completeExceptionally(e);
                    }
                });
        try {
            made.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof BlockException failure
                    ? failure
                    : new BlockException(Errno.EIO, String.valueOf(e.getCause()), e);
        } finally {
            progress(1);
        }
    }

    @Override
    void commit() {}

    @Override
    void abandon() {}

    @Override
    long remaining() {
        return 1 - offset();
    }

    @Override
    void cutOff() {}

    @Override
    void endWithoutResult() {}

    @Override
    BlockJobInfo blockInfo(JobState state) {
        throw new IllegalStateException("no job on a disk");
    }
}
