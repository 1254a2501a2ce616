package lockstep.block.job;

import lockstep.api.BlockStreamArguments;
import lockstep.api.BlockdevMirrorArguments;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
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

    /** The identifier of a new job: the one that the client chose, or else that of the drive. */
    String identifier(@Nullable String given, String device) throws BlockException {
        String id = given != null ? given : graph.names().findDrive(device) == null ? "" : device;
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
