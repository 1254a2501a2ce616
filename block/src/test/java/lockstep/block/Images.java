package lockstep.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.qcow2.OverlapChecks;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.raw.RawNode;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens images for tests and runs tools against them. */
public final class Images {
    private Images() {}

    /** Skips the test with a reason when a tool is not there. */
    public static void needTool(String tool, String debianPackage) {
        assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/" + tool)),
                tool + " is not installed (Debian package " + debianPackage + ")");
    }

    /** Runs a command, which must end with status 0, and answers what it printed. */
    public static String run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        assertEquals(0, code, () -> String.join(" ", command) + "\n" + output);
        return output;
    }

    /** A file node; the caller holds a reference. */
    public static FileNode file(BlockGraph graph, Path path, boolean readOnly)
            throws BlockException {
        return graph.add(
                FileNode.open(
                        graph,
                        "file",
                        graph.autoName(),
                        FileNode.Options.of(path.toString(), readOnly)));
    }

    /** A raw node over a new file of zeroes. */
    public static RawNode raw(BlockGraph graph, Path path, long size) throws Exception {
        if (!Files.exists(path)) {
            try (var channel =
                    java.nio.channels.FileChannel.open(
                            path,
                            java.nio.file.StandardOpenOption.CREATE,
                            java.nio.file.StandardOpenOption.WRITE)) {
                channel.write(java.nio.ByteBuffer.allocate(1), size - 1);
            }
        }
        FileNode file = file(graph, path, false);
        RawNode node = graph.add(new RawNode(graph, graph.autoName(), false, 0, -1, false));
        node.open(file);
        graph.release(file);
        return node;
    }

    /** A qcow2 node, over a new image when there is none. */
    public static Qcow2Node qcow2(BlockGraph graph, Path path, long size, boolean readOnly)
            throws BlockException {
        if (!Files.exists(path)) {
            Qcow2Creator.create(path.toString(), Qcow2Creator.Options.of(size));
        }
        FileNode file = file(graph, path, readOnly);
        Qcow2Node node =
                Qcow2Node.open(
                        graph, graph.autoName(), readOnly, file, true, OverlapChecks.DEFAULT);
        graph.release(file);
        return node;
    }

    /** A backend on a node; takes the caller's reference over. */
    public static BlockBackend backend(Backends backends, String name, BlockNode node)
            throws BlockException {
        BlockBackend backend = backends.add(name);
        backend.insert(node);
        backends.graph().release(node);
        return backend;
    }

    /** One byte repeated. */
    public static MemorySegment pattern(int value, int length) {
        byte[] bytes = new byte[length];
        java.util.Arrays.fill(bytes, (byte) value);
        return MemorySegment.ofArray(bytes);
    }

    /** The byte at an offset. */
    public static int byteAt(BlockNode node, long offset) throws BlockException {
        byte[] bytes = new byte[1];
        ChildEdge.look(node).read(offset, MemorySegment.ofArray(bytes));
        return bytes[0] & 0xff;
    }

    /** Writes to a node behind the back of users who do not share that. */
    public static void tamper(BlockNode node, long offset, MemorySegment data)
            throws BlockException {
        BlockGraph graph = node.graph();
        ChildEdge edge =
                graph.attach(
                        () -> "a test",
                        "root",
                        Role.ROOT,
                        node,
                        Permission.WRITE_UNCHANGED,
                        Permission.ALL);
        try {
            edge.write(offset, data);
        } finally {
            graph.detach(edge);
        }
    }

    /** Uses a node for everything, as a user who lets others do the same; ends with the graph. */
    public static ChildEdge use(BlockNode node) throws BlockException {
        return node.graph()
                .attach(
                        () -> "a test",
                        "root",
                        Role.ROOT,
                        node,
                        Permission.CONSISTENT_READ | Permission.WRITE | Permission.RESIZE,
                        Permission.ALL);
    }
}
