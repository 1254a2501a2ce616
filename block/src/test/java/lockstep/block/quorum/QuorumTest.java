package lockstep.block.quorum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import static java.util.Objects.requireNonNull;

import lockstep.block.FaultyNode;
import lockstep.block.Images;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.GraphHost;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Who wins, who is reported, and what an error turns into. */
class QuorumTest {
    private static final long SIZE = 1 << 20;

    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());
    private final List<String> events = new ArrayList<>();
    private final List<FaultyNode> children = new ArrayList<>();

    @SuppressWarnings("NullAway.Init") // made by each test
    private ChildEdge disk;

    private final QuorumEvents recorder =
            new QuorumEvents() {
                @Override
                public void badChild(
                        Operation operation, int errno, String nodeName, long offset, long length) {
                    int index = 0;
                    while (!children.get(index).name().equals(nodeName)) {
                        index++;
                    }
                    events.add(operation + " child " + index + " errno " + errno);
                }

                @Override
                public void failure(QuorumNode node, long offset, long length) {
                    events.add("FAILURE");
                }
            };

    @AfterEach
    void close() {
        graph.close();
    }

    private QuorumNode quorum(int count, QuorumNode.Options options) throws Exception {
        for (int i = 0; i < count; i++) {
            BlockNode image = Images.raw(graph, dir.resolve("disk" + i), SIZE);
            children.add(FaultyNode.over(image, 1000));
        }
        QuorumNode node =
                QuorumNode.open(graph, graph.autoName(), false, options, children, true, recorder);
        children.forEach(graph::release);
        disk = Images.use(node);
        return node;
    }

    @Test
    void theMajorityWinsAndTheLoserIsRewritten() throws Exception {
        QuorumNode node = quorum(3, new QuorumNode.Options(2, false, false, true));
        disk.write(0, Images.pattern(1, 4096));
        Images.tamper(children.get(1), 0, Images.pattern(9, 4096));
        assertEquals(1, Images.byteAt(node, 0));
        assertEquals(List.of("READ child 1 errno 0"), events);
        events.clear();
        byte[] all = new byte[4096];
        Images.tamper(children.get(1), 0, Images.pattern(9, 4096));
        disk.read(0, java.lang.foreign.MemorySegment.ofArray(all));
        assertEquals(1, Images.byteAt(children.get(1), 4095));
    }

    @Test
    void noMajorityIsAnError() throws Exception {
        QuorumNode node = quorum(3, new QuorumNode.Options(3, false, false, false));
        Images.tamper(children.get(2), 0, Images.pattern(9, 512));
        assertEquals(
                Errno.EIO,
                assertThrows(BlockException.class, () -> Images.byteAt(node, 0)).errno());
        assertEquals(List.of("FAILURE"), events);
    }

    @Test
    void fifoReadsTheFirstThatAnswers() throws Exception {
        QuorumNode node = quorum(2, new QuorumNode.Options(1, true, false, false));
        disk.write(0, Images.pattern(3, 512));
        Images.tamper(children.get(1), 0, Images.pattern(4, 512));
        assertEquals(3, Images.byteAt(node, 0));
        children.get(0).failReads(Errno.ENOSPC);
        assertEquals(4, Images.byteAt(node, 0));
        assertEquals(List.of("READ child 0 errno 28"), events);
        children.get(1).failReads(Errno.EIO);
        assertEquals(
                Errno.EIO,
                assertThrows(BlockException.class, () -> Images.byteAt(node, 0)).errno());
    }

    @Test
    void aLostChildIsMaskedUpToTheThreshold() throws Exception {
        QuorumNode node = quorum(2, new QuorumNode.Options(1, true, false, false));
        children.get(1).allowWrites(0);
        disk.write(0, Images.pattern(3, 512));
        disk.flush();
        assertEquals(List.of("WRITE child 1 errno 5", "FLUSH child 1 errno 5"), events);
        children.get(0).allowWrites(0);
        assertThrows(BlockException.class, () -> disk.write(0, Images.pattern(3, 512)));
        assertEquals("FAILURE", events.getLast());
    }

    @Test
    void childrenComeAndGo() throws Exception {
        QuorumNode node = quorum(3, new QuorumNode.Options(1, true, false, false));
        node.removeChild(requireNonNull(node.child("children.1")));
        FaultyNode late = FaultyNode.over(Images.raw(graph, dir.resolve("late"), SIZE), 100);
        node.addChild(late);
        graph.release(late);
        assertEquals(
                List.of("children.0", "children.2", "children.3"),
                node.children().stream().map(edge -> edge.name()).toList());
        node.removeChild(requireNonNull(node.child("children.3")));
        node.removeChild(requireNonNull(node.child("children.2")));
        assertEquals(
                "The number of children cannot be lower than the vote threshold 1",
                assertThrows(
                                BlockException.class,
                                () -> node.removeChild(requireNonNull(node.child("children.0"))))
                        .getMessage());
        FaultyNode short1 = FaultyNode.over(Images.raw(graph, dir.resolve("short"), SIZE / 2), 9);
        node.addChild(short1);
        graph.release(short1);
        assertThrows(BlockException.class, disk::length);
    }
}
