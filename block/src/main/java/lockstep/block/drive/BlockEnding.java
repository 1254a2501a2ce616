package lockstep.block.drive;

import lockstep.block.BlockBackend;
import lockstep.block.export.NbdExport;
import lockstep.block.job.Jobs;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.runtime.spi.Ending;

import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;

/**
 * The block layer's part in the end of the process. Images are closed only when no request is inside the graph; when
 * some never end, the others' images are made durable all the same.
 */
public final class BlockEnding implements Ending {
    private final BlockManager manager;
    private final Jobs jobs;
    private final BlockGraph graph;
    private final Consumer<String> report;
    private final Queue<String> flushing = new ConcurrentLinkedQueue<>();

    /** Of these; {@code report} prints for the user. */
    public BlockEnding(BlockManager manager, Jobs jobs, Consumer<String> report) {
        this.report = report;
        this.manager = manager;
        this.jobs = jobs;
        this.graph = manager.graph();
    }

    @Override
    public void stopTaking() {
        manager.exports().stop();
    }

    @Override
    public void cancel() {
        jobs.stopAll();
        manager.throttles().end();
    }

    @Override
    public List<String> underWay() {
        List<String> left = new ArrayList<>();
        for (NbdExport export : manager.exports().all()) {
            if (export.hasClients()) {
                left.add(export.describe());
            }
        }
        for (BlockBackend backend : manager.backends()) {
            int requests = backend.underWay();
            if (requests > 0) {
                left.add(backend.describe() + " (" + BlockBackend.inFlight(requests) + ")");
            }
        }
        jobs.atWork().forEach(id -> left.add("block job '" + id + "'"));
        if (left.isEmpty() && !graph.drain().quiet()) {
            left.add("a block request");
        }
        return left;
    }

    @Override
    public void flush() {
        for (BlockNode node : graph.names().nodes()) {
            boolean root = node.parents().stream().noneMatch(e -> e.user() instanceof BlockNode);
            if (root && node.active() && !node.readOnly()) {
                String name = "node '" + node.name() + "' (not flushed)";
                flushing.add(name);
                graph.workers().execute(() -> flush(node, name));
            }
        }
    }

    private void flush(BlockNode node, String name) {
        ChildEdge look = ChildEdge.look(node);
        graph.drain().enter(look);
        try {
            look.flush();
        } catch (BlockException | RuntimeException e) {
            report.accept("node '" + node.name() + "' was not flushed: " + e.getMessage());
        } finally {
            graph.drain().leave(look);
            flushing.remove(name);
        }
    }

    @Override
    public List<String> unsaved() {
        return List.copyOf(flushing);
    }

    @Override
    public void close() {
        if (graph.drain().quiet() && underWay().isEmpty()) {
            jobs.close();
            manager.close();
        }
    }
}
