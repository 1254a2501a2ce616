package lockstep.block.export;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.Backends;
import lockstep.block.BlockHost;
import lockstep.block.FuzzSeeds;
import lockstep.block.MemoryNode;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.ScriptedChannel;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Whatever a client sends: it is served or hung up on, and the export is free again afterwards. Also
 * the target of a fuzzer ({@code -Pfuzz}); its seeds run here.
 */
public final class NbdServerFuzzTest {
    private static final int SIZE = 1 << 16;
    private static final NbdServer SERVER = server();

    private static NbdServer server() {
        try {
            Backends backends = new Backends(BlockHost.direct());
            BlockGraph graph = backends.graph();
            Path socket = Files.createTempDirectory("nbd").resolve("socket");
            NbdServer server =
                    NbdServer.start(
                            backends,
                            new NbdAddress.Unix(socket.toString()),
                            NbdServer.Terms.plain(1000, 0));
            MemoryNode disk = MemoryNode.of(graph, new byte[SIZE]);
            disk.remembersNothing();
            server.add(
                    new NbdServer.Request("x", "x", "an export", true, false, false), disk, null);
            return server;
        } catch (IOException | BlockException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What one client sends; the entry for a fuzzer. */
    public static void fuzzerTestOneInput(byte[] data) {
        int piece = data.length > 0 && data[data.length - 1] < 0 ? 7 : 4096;
        NbdSession session = new NbdSession(SERVER, new ScriptedChannel(data, piece));
        session.serve();
        assertEquals(false, SERVER.exports().getFirst().hasClients(), "the export is not free");
    }

    @Test
    void seedsAreHarmless() throws IOException {
        for (byte[] seed : FuzzSeeds.of(NbdServerFuzzTest.class)) {
            fuzzerTestOneInput(seed);
        }
    }
}
