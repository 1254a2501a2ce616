package lockstep.block.job;

import lockstep.api.BlockCommitArguments;
import lockstep.api.BlockStreamArguments;
import lockstep.api.BlockdevBackup;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.api.JobType;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Drain;
import lockstep.block.node.Names;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** The jobs of a process. Main loop, machine lock held. */
public final class Jobs {
    private final BlockGraph graph;
    private final Consumer<QmpEvent> events;
    private final Map<String, Job> jobs = new LinkedHashMap<>();

    /** Without jobs; {@code events} sends to the clients. */
    public Jobs(BlockGraph graph, Consumer<QmpEvent> events) {
        this.graph = graph;
        this.events = events;
    }

    /** The graph whose nodes they work on. */
    public BlockGraph graph() {
        return graph;
    }

    void emit(QmpEvent event) {
        events.accept(event);
    }

    void forget(Job job) {
        jobs.remove(job.id(), job);
    }

    /** The jobs in the order in which they began. */
    public List<Job> all() {
        return List.copyOf(jobs.values());
    }

    /** The job of that identifier, or null. */
    public @Nullable Job find(String id) {
        return jobs.get(id);
    }

    /** blockdev-mirror. */
    public void mirror(BlockdevMirrorArguments arguments) throws BlockException {
        mirror(arguments, true, MirrorEnding.PLAIN);
    }

    /**
     * drive-mirror.
     *
     * @param unmap whether zeroes may give back space of the target
     */
    public void mirror(BlockdevMirrorArguments arguments, boolean unmap, MirrorEnding ending)
            throws BlockException {
        MirrorJob job = MirrorJob.prepare(this, arguments, unmap, ending);
        jobs.put(job.id(), job);
        job.start();
    }

    /** block-stream. */
    public void stream(BlockStreamArguments arguments) throws BlockException {
        Job job = StreamJob.prepare(this, arguments);
        jobs.put(job.id(), job);
        job.start();
    }

    /** A job that has not begun: exactly one of the two follows. */
    public interface Prepared {
        /** Begins the work. */
        void begin();

        /** It is not to be after all. */
        void withdraw();
    }

    /** blockdev-backup, as one of those that end together. */
    public Prepared backup(BlockdevBackup arguments, JobGroup group) throws BlockException {
        Job job = BackupJob.prepare(this, arguments);
        jobs.put(job.id(), job);
        job.created(group);
        return new Prepared() {
            @Override
            public void begin() {
                job.begin();
            }

            @Override
            public void withdraw() {
                job.withdraw();
            }
        };
    }

    /** What images are called in the headers of others. */
    @FunctionalInterface
    public interface FileNames {
        /** The name that opens the same data again. */
        String of(BlockNode node);
    }

    /** A job that does one thing, on the main loop. It waits to be dismissed. */
    public void once(JobType type, String id, Drain.Change thing) throws BlockException {
        Job job = new LoopJob(this, type, identifier(id, ""), thing);
        jobs.put(job.id(), job);
        job.start();
    }

    /** block-commit. */
    public void commit(BlockCommitArguments arguments, FileNames names) throws BlockException {
        Job job = CommitJob.prepare(this, arguments, names);
        jobs.put(job.id(), job);
        job.start();
    }

    /** The node of that name, if it is a disk, and neither a part of one nor in a job's hands. */
    BlockNode root(String device) throws BlockException {
        BlockNode node = graph.names().lookup(device);
        boolean used =
                node.parents().stream()
                        .anyMatch(
                                edge ->
                                        edge.user() instanceof BlockNode
                                                || edge.user() instanceof Job);
        if (used || node.blockedBecause() != null) {
            throw new BlockException(Errno.EINVAL, "Need a root block node");
        }
        return node;
    }

    /** The identifier of a new job: the one that the client chose, or else that of the drive. */
    String identifier(@Nullable String given, String device) throws BlockException {
        BlockNode node = graph.names().findNode(device);
        String drive =
                graph.names().findDrive(device) != null
                        ? device
                        : node == null ? "" : node.device();
        String id = given != null ? given : drive;
        if (!Names.wellFormed(id)) {
            throw new BlockException(Errno.EINVAL, "Invalid job ID '" + id + "'");
        }
        if (jobs.containsKey(id)) {
            throw new BlockException(Errno.EINVAL, "Job ID '" + id + "' already in use");
        }
        return id;
    }

    /** Has all jobs end soon, when the process does. */
    public void stopAll() {
        all().forEach(Job::stopWork);
    }

    /** The jobs whose threads are at work. */
    public List<String> atWork() {
        return all().stream().filter(Job::atWork).map(Job::id).toList();
    }

    /** Ends all jobs, when the process does. */
    public void close() {
        all().forEach(Job::close);
    }
}
