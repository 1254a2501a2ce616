package lockstep.block.monitor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BitmapMigrationBitmapAlias;
import lockstep.api.BitmapMigrationNodeAlias;
import lockstep.block.MemoryNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.GraphHost;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** What a migration says of bitmaps, whatever it says. */
class BitmapStreamTest {
    private static final int SIZE = 20 << 20;

    @AutoClose private final BlockGraph graph = new BlockGraph(GraphHost.direct());
    private final List<String> told = new ArrayList<>();

    private static byte[] stream(BlockGraph graph) throws BlockException {
        MemoryNode node = MemoryNode.of(graph, new byte[SIZE]);
        DirtyBitmap fine = new DirtyBitmap("fine", 512, SIZE);
        DirtyBitmap coarse = new DirtyBitmap("coarse", 65536, SIZE);
        Random random = new Random(7);
        for (int i = 0; i < 50; i++) {
            fine.mark(random.nextInt(SIZE - 5000), random.nextInt(5000));
            coarse.mark(random.nextInt(SIZE - 5000), random.nextInt(5000));
        }
        BitmapSender sender =
                new BitmapSender(
                        List.of(
                                new BitmapSender.Moving(node, "n", fine, "fine", SIZE, 1),
                                new BitmapSender.Moving(node, "n", coarse, "rough", SIZE, 2)));
        StateOutput out = new StateOutput(1024);
        sender.begin(out);
        while (sender.rest(out)) {
            // Piece after piece.
        }
        sender.end();
        assertTrue(!fine.busy());
        return out.toByteArray();
    }

    private void load(byte[] stream, BitmapReceiver receiver) throws IOException {
        StateInput in = new StateInput(new ByteArrayInputStream(stream));
        receiver.load(in);
        receiver.load(in);
    }

    private BitmapReceiver receiver(BlockNode node) {
        List<BitmapMigrationNodeAlias> names =
                List.of(
                        new BitmapMigrationNodeAlias(
                                node.name(),
                                "n",
                                List.of(
                                        new BitmapMigrationBitmapAlias("fine", "fine", null),
                                        new BitmapMigrationBitmapAlias("rough", "rough", null))));
        return new BitmapReceiver(graph, names, told::add);
    }

    private MemoryNode target() throws BlockException {
        return MemoryNode.of(graph, new byte[SIZE]);
    }

    @Test
    void arrives() throws Exception {
        byte[] stream = stream(new BlockGraph(GraphHost.direct()));
        MemoryNode node = target();
        load(stream, receiver(node));
        assertEquals(List.of(), told);
        DirtyBitmap fine = node.bitmap("fine");
        DirtyBitmap rough = node.bitmap("rough");
        assertTrue(fine != null && fine.recording() && !fine.busy() && !fine.persistent());
        assertTrue(rough != null && !rough.recording() && rough.persistent());
        assertTrue(fine.count() > 50);
        StateOutput again = new StateOutput(1024);
        BitmapSender sender =
                new BitmapSender(
                        List.of(
                                new BitmapSender.Moving(node, "n", fine, "fine", SIZE, 1),
                                new BitmapSender.Moving(node, "n", rough, "rough", SIZE, 2)));
        sender.begin(again);
        while (sender.rest(again)) {
            // Piece after piece.
        }
        assertArrayEquals(stream, again.toByteArray());
    }

    @Test
    void unknownNodesAreToldAndPassedOver() throws Exception {
        byte[] stream = stream(new BlockGraph(GraphHost.direct()));
        load(stream, new BitmapReceiver(graph, null, told::add));
        assertEquals(List.of("Cannot find device='n' nor node-name='n'"), told);
    }

    @Test
    void namesThatAreThereAlreadyAreRefused() throws Exception {
        byte[] stream = stream(new BlockGraph(GraphHost.direct()));
        MemoryNode node = target();
        node.follow(new DirtyBitmap("rough", 512, SIZE));
        BitmapReceiver receiver = receiver(node);
        assertThrows(StateException.class, () -> load(stream, receiver));
    }

    /** Each damaged stream is loaded or refused; nothing else is thrown. */
    @Test
    void damageIsRefused() throws Exception {
        byte[] stream = stream(new BlockGraph(GraphHost.direct()));
        MemoryNode node = target();
        Random random = new Random(11);
        int refused = 0;
        for (int i = 0; i < 3000; i++) {
            byte[] damaged = stream.clone();
            for (int n = random.nextInt(4); n >= 0; n--) {
                damaged[random.nextInt(i % 2 == 0 ? 80 : damaged.length)] = (byte) random.nextInt();
            }
            try {
                load(damaged, receiver(node));
            } catch (IOException e) {
                refused++;
            }
            node.bitmaps().forEach(node::forget);
        }
        assertTrue(refused > 300, refused + " refused");
    }
}
