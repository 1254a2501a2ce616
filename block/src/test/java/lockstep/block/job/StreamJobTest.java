package lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlockStreamArguments;
import lockstep.block.BlockBackend;
import lockstep.block.node.BlockException;
import lockstep.block.qcow2.Qcow2Node;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.concurrent.TimeUnit;

/** The test's thread is the main loop; another one is the guest. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class StreamJobTest extends ChainFixture {
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theGuestReadsTheSameAllTheTime(boolean toTheBase) throws Exception {
        Qcow2Node base = image("base", null);
        Qcow2Node middle = image("middle", base);
        Qcow2Node top = image("top", middle);
        BlockBackend drive = drive(top);
        Thread guest = guest(drive);
        jobs.stream(
                BlockStreamArguments.builder()
                        .jobId("j")
                        .device("drive0")
                        .baseNode(toTheBase ? base.name() : null)
                        .build());
        assertThrows(
                BlockException.class,
                () ->
                        jobs.stream(
                                BlockStreamArguments.builder()
                                        .jobId("k")
                                        .device("drive0")
                                        .build()));
        awaitEnd();
        guest.join();
        assertEquals(List.of(), failures);
        if (toTheBase) {
            assertSame(base, top.backing());
            assertEquals(base.plainFilename(), top.header().backingFile());
        } else {
            assertNull(top.backing());
            assertNull(top.header().backingFile());
        }
        checkContent(drive, "top");
    }

    @Test
    void oneThatIsCancelledLeavesTheChain() throws Exception {
        Qcow2Node base = image("base", null);
        Qcow2Node top = image("top", base);
        BlockBackend drive = drive(top);
        jobs.stream(
                BlockStreamArguments.builder().jobId("j").device("drive0").speed(1L << 16).build());
        java.util.Objects.requireNonNull(jobs.find("j")).cancel(false);
        awaitEnd();
        assertSame(base, top.backing());
        assertTrue(java.util.Objects.requireNonNull(top.header().backingFile()).endsWith("base"));
        checkContent(drive, "top");
    }
}
