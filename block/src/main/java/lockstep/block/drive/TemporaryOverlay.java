package lockstep.block.drive;

import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeInfo;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.runtime.linux.Errno;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The image on top of a drive with snapshot=on: it has no name any more once it is open, so it ends
 * with the process.
 */
final class TemporaryOverlay {
    private TemporaryOverlay() {}

    /**
     * Puts an overlay over a node, whose reference it takes over; answers the overlay with a
     * reference.
     */
    static BlockNode over(BlockNode below) throws BlockException {
        BlockGraph graph = below.graph();
        String folder = System.getenv("TMPDIR");
        Path path = null;
        try {
            path = Files.createTempFile(Path.of(folder == null ? "/var/tmp" : folder), "vl.", "");
            long size = ChildEdge.look(below).length();
            Qcow2Creator.create(path.toString(), Qcow2Creator.Options.of(size));
            FileNode file =
                    graph.add(
                            FileNode.open(
                                    graph,
                                    "file",
                                    graph.autoName(),
                                    FileNode.Options.of(path.toString(), false).unlocked()));
            // What is lost with the process need not survive the host.
            file.setInfo(NodeInfo.EMPTY.cached(false, true));
            Qcow2Node overlay;
            try {
                overlay =
                        Qcow2Node.open(
                                graph, graph.autoName(), false, file, true, OverlapChecks.DEFAULT);
            } finally {
                graph.release(file);
            }
            try {
                overlay.attachBacking(below);
            } catch (BlockException e) {
                graph.release(overlay);
                throw e;
            }
            return overlay;
        } catch (IOException e) {
            throw new BlockException(
                    Errno.EIO, "Could not create temporary overlay: " + e.getMessage(), e);
        } finally {
            graph.release(below);
            delete(path);
        }
    }

    private static void delete(@org.jspecify.annotations.Nullable Path path) {
        if (path != null) {
            try {
                Files.deleteIfExists(path);
            } catch (IOException e) {
                System.getLogger("lockstep.block")
                        .log(System.Logger.Level.WARNING, "temporary image left: " + path);
            }
        }
    }
}
