package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlockCommitArguments;
import lockstep.api.BlockJobReadyEvent;
import lockstep.block.BlockBackend;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.qcow2.Qcow2Node;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Objects;

class CommitJobTest extends ChainFixture {
    private final Qcow2Node[] images = new Qcow2Node[4];
    private BlockBackend drive;

    @BeforeEach
    void chain() throws Exception {
        images[0] = image("base", null);
        images[1] = image("middle", images[0]);
        images[2] = image("upper", images[1]);
        images[3] = image("top", images[2]);
        for (int i = 0; i < 3; i++) {
            graph.reopen(images[i], true);
        }
        drive = drive(images[3]);
    }

    private BlockCommitArguments.Builder commit() {
        return BlockCommitArguments.builder().jobId("j").device("drive0");
    }

    private void start(BlockCommitArguments.Builder arguments) throws BlockException {
        jobs.commit(arguments.build(), BlockNode::plainFilename);
    }

    @Test
    void whatIsInTheMiddleGoesDown() throws Exception {
        Thread guest = guest(drive);
        start(commit().topNode(images[2].name()).baseNode(images[0].name()));
        assertThrows(BlockException.class, () -> start(commit().jobId("k")));
        awaitEnd();
        guest.join();
        assertEquals(List.of(), failures);
        assertSame(images[0], images[3].backing());
        assertEquals(images[0].plainFilename(), images[3].header().backingFile());
        assertTrue(images[0].readOnly());
        assertEquals(List.of(), images[2].parents());
        checkContent(drive, "base");
    }

    @Test
    void theTopmostGoesDownWhileTheGuestWrites() throws Exception {
        Thread guest = guest(drive);
        start(commit().baseNode(images[1].name()));
        await(BlockJobReadyEvent.class);
        assertSame(images[2], images[3].backing());
        Objects.requireNonNull(jobs.find("j")).complete();
        awaitEnd();
        guest.join();
        assertEquals(List.of(), failures);
        assertSame(images[1], drive.root());
        assertFalse(images[1].readOnly());
        assertSame(images[0], images[1].backing());
        checkContent(drive, "middle");
    }

    @Test
    void oneThatIsCancelledLeavesTheChain() throws Exception {
        start(commit().topNode(images[2].name()).speed(1L << 16));
        Objects.requireNonNull(jobs.find("j")).cancel(false);
        awaitEnd();
        assertSame(images[2], images[3].backing());
        assertTrue(images[0].readOnly());
        assertNull(images[1].blockedBecause());
        checkContent(drive, "top");
    }
}
