package lockstep.block.job;

import lockstep.api.BlockJobInfo;
import lockstep.api.JobType;
import lockstep.block.node.BlockException;
import lockstep.block.node.Drain;
import lockstep.runtime.linux.Errno;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** Makes an image. All of it is done on the main loop, where nodes may be opened. */
final class CreateJob extends Job {
    private final Drain.Change making;

    CreateJob(Jobs jobs, String id, Drain.Change making) {
        super(jobs, JobType.CREATE, new Terms(id, 0, true, false));
        this.making = making;
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
                        making.apply();
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
