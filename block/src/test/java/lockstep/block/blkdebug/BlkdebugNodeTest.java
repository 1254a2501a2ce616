package lockstep.block.blkdebug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlkdebugEvent;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.drive.BlockManager;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.quorum.QuorumEvents;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Requests that fail or wait on purpose. */
class BlkdebugNodeTest {
    private static final int SECTOR = 512;

    @TempDir Path directory;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment buffer = arena.allocate(SECTOR);
    private final BlockManager manager =
            new BlockManager(
                    BlockHost.direct(),
                    QuorumEvents.NONE,
                    () -> false,
                    warning -> {},
                    export -> {});

    @AfterEach
    void close() {
        manager.close();
        arena.close();
    }

    private BlockBackend drive(String options) throws BlockException {
        return manager.addDrive("if=none,id=d,format=raw," + options, Map.of(), "none").backend();
    }

    private String config(String text) throws IOException {
        return Files.writeString(directory.resolve("rules"), text).toString();
    }

    private Path image() throws IOException {
        return Files.write(directory.resolve("image"), new byte[16 * SECTOR]);
    }

    private static BlockNode below(BlockBackend drive) {
        BlockNode root = Objects.requireNonNull(drive.root());
        return Objects.requireNonNull(root.primaryChild()).node();
    }

    private void fails(int errno, BlockBackend backend, int sector) {
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () -> backend.readBlocking((long) sector * SECTOR, buffer));
        assertEquals(errno, e.errno());
    }

    @Test
    void rulesOfAFile() throws Exception {
        String rules =
                config(
                        """
                        # Two reads, the second of which fails.
                        [set-state]
                        event = "read_aio"
                        new_state = "2"

                        [inject-error]
                        event = "read_aio"
                        state = "2"
                        errno = "28"
                        once = "on"
                        """);
        BlockBackend d = drive("file=blkdebug:" + rules + ":" + image());
        d.readBlocking(0, buffer);
        fails(Errno.ENOSPC, d, 0);
        d.readBlocking(0, buffer);
        BlockNode below = below(d);
        assertEquals("blkdebug:" + rules + ":" + image(), below.plainFilename());
    }

    @Test
    void rulesOfOptions() throws Exception {
        BlockBackend d =
                drive(
                        "file.driver=blkdebug,file.image.driver=null-co,file.image.read-zeroes=on,"
                                + "file.inject-error.0.event=none,file.inject-error.0.iotype=write,"
                                + "file.inject-error.1.event=none,file.inject-error.1.sector=3");
        fails(Errno.EIO, d, 3);
        d.readBlocking(2 * SECTOR, buffer);
        assertThrows(BlockException.class, () -> d.writeBlocking(0, buffer));
        d.flushBlocking();
    }

    @Test
    void aRequestWaitsUntilItIsLetGo() throws Exception {
        BlockBackend d = drive("file=blkdebug::" + image());
        BlkdebugNode node = (BlkdebugNode) below(d);
        node.breakAt(BlkdebugEvent.FLUSH_TO_OS, "a");
        CompletableFuture<Integer> flushed = new CompletableFuture<>();
        d.flush(flushed::complete);
        while (!node.heldUp("a")) {
            Thread.onSpinWait();
        }
        assertFalse(flushed.isDone());
        assertTrue(node.resume("a"));
        assertEquals(0, flushed.get(60, TimeUnit.SECONDS));
        assertFalse(node.resume("a"));
        node.breakAt(BlkdebugEvent.READ_AIO, "b");
        assertTrue(node.removeBreak("b"));
        d.readBlocking(0, buffer);
    }

    @Test
    void whatMakesNoSense() throws Exception {
        for (String[] wrong :
                new String[][] {
                    {"[nosuch]\nevent = \"none\"\n", "There is no option group 'nosuch'"},
                    {"[set-state]\nevent = \"none\"\n", "Parameter 'new_state' is missing"},
                    {"[inject-error]\nevent = \"l9_load\"\n", "does not accept value 'l9_load'"},
                    {"event = \"none\"\n", "parse error"},
                    {"[inject-error]\nnonsense\n", "parse error"}
                }) {
            String rules = config(wrong[0]);
            BlockException e =
                    assertThrows(
                            BlockException.class,
                            () -> drive("file=blkdebug:" + rules + ":" + image()));
            assertTrue(String.valueOf(e.getMessage()).contains(wrong[1]), e.getMessage());
        }
        BlockException e =
                assertThrows(BlockException.class, () -> drive("file=blkdebug:/nosuch:/image"));
        assertEquals(
                "Could not read blkdebug config file: No such file or directory", e.getMessage());
        e = assertThrows(BlockException.class, () -> drive("file=blkdebug:image"));
        assertEquals("blkdebug requires both config file and image path", e.getMessage());
    }
}
