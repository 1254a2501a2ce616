package lockstep.block.monitor;

import lockstep.api.BlockdevDriver;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.NodeUser;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;

import org.jspecify.annotations.Nullable;

import java.nio.file.Files;
import java.nio.file.Path;

/** Images that commands have made. Main loop, machine lock held. */
final class NewImages {
    private final BlockGraph graph;
    private final NodeOpener opener;

    NewImages(BlockGraph graph, NodeOpener opener) {
        this.graph = graph;
        this.opener = opener;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /**
     * Makes an image, or makes an existing one anew.
     *
     * @param below what it names as its backing file; null for nothing
     */
    void make(String filename, String format, long size, @Nullable BlockNode below)
            throws BlockException {
        if (BlockdevDriver.find(format) == null) {
            throw bad("Unknown file format '" + format + "'");
        }
        boolean qcow2 = format.equals("qcow2");
        if (!qcow2 && !format.equals("raw") && !format.equals("file")) {
            throw bad("Format driver '" + format + "' does not support image creation");
        }
        JsonObject file = LegacyTree.fileNamed(filename);
        if (file.get("driver") instanceof JsonString driver && !driver.value().equals("file")) {
            throw bad("Protocol driver '" + driver.value() + "' does not support image creation");
        }
        if (below != null && !qcow2) {
            throw bad("Backing file not supported for file format '" + format + "'");
        }
        String path =
                file.get("filename") instanceof JsonString text ? plain(text.value()) : filename;
        createMissing(path);
        file.put("driver", "file");
        BlockNode node = opener.openLegacy(file, NodeOpener.Inherited.BLOCKDEV);
        try {
            // Nobody else may use what is about to be lost.
            NodeUser maker = () -> "the maker of '" + filename + "'";
            int wanted = Permission.WRITE | Permission.RESIZE;
            ChildEdge edge = graph.attach(maker, "root", Role.ROOT, node, wanted, 0);
            try {
                edge.truncate(0);
                if (qcow2) {
                    Qcow2Creator.create(path, qcow2(size, below));
                } else {
                    edge.truncate(size);
                }
            } finally {
                graph.detach(edge);
            }
        } finally {
            graph.release(node);
        }
    }

    /** One that exists is kept until it is known that nobody uses it. */
    private static void createMissing(String path) throws BlockException {
        int errno;
        if (path.indexOf('\0') >= 0) {
            errno = Errno.ENOENT;
        } else if (!path.isEmpty() && Files.exists(Path.of(path))) {
            errno = Files.isDirectory(Path.of(path)) ? Errno.EISDIR : 0;
        } else {
            try {
                ImageFile.create(path).close();
                errno = 0;
            } catch (ImageFile.Failure e) {
                errno = e.errno();
            }
        }
        if (errno != 0) {
            throw new BlockException(
                    errno, "Could not create '" + path + "': " + Errno.text(errno));
        }
    }

    private static String plain(String filename) {
        return filename.startsWith("file:") ? filename.substring(5) : filename;
    }

    private static Qcow2Creator.Options qcow2(long size, @Nullable BlockNode below) {
        return below == null
                ? Qcow2Creator.Options.of(size)
                : new Qcow2Creator.Options(size, 16, NodeQueries.filename(below), below.driver());
    }
}
