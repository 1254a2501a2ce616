package lockstep.block.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.block.FuzzSeeds;
import lockstep.block.node.BlockException;
import lockstep.block.node.Pieces;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Whatever a server says: the client works with it or fails with a sentence, and whoever waits for
 * a reply gets an answer. Also the target of a fuzzer ({@code -Pfuzz}); its seeds run here.
 */
public final class NbdClientFuzzTest {
    /** A request that may fail. */
    private interface Use {
        void of(NbdConnection connection) throws Exception;
    }

    private static final List<Use> USES =
            List.of(
                    c -> c.read(0, Pieces.of(MemorySegment.ofArray(new byte[512]))),
                    c -> c.write(512, Pieces.of(MemorySegment.ofArray(new byte[512]))),
                    c -> c.status(0, 4096),
                    c -> c.command(0, Nbd.CMD_FLUSH, 0, 0),
                    c -> c.read(4096, Pieces.of(MemorySegment.ofArray(new byte[1024]))));

    /** What one server says; the entry for a fuzzer. */
    public static void fuzzerTestOneInput(byte[] data) throws Exception {
        ScriptedChannel channel =
                new ScriptedChannel(data, data.length > 0 && data[0] < 0 ? 7 : 4096);
        NbdConnection connection;
        try {
            connection = NbdConnection.over(channel, "x", null, null, () -> {});
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
            return;
        }
        List<Thread> users = new ArrayList<>();
        List<Throwable> unexpected = new ArrayList<>();
        for (Use use : USES) {
            long heard = channel.heard();
            Thread user =
                    new Thread(
                            () -> {
                                try {
                                    use.of(connection);
                                } catch (IOException | BlockException e) {
                                    // The server's fault.
                                } catch (Throwable e) {
                                    synchronized (unexpected) {
                                        unexpected.add(e);
                                    }
                                }
                            },
                            "user");
            user.setDaemon(true);
            user.start();
            users.add(user);
            // One after the other, so that each has the cookie that the script answers.
            while (channel.heard() == heard && user.isAlive()) {
                Thread.onSpinWait();
            }
        }
        connection.readReplies();
        for (Thread user : users) {
            user.join(20_000);
            assertEquals(false, user.isAlive(), "somebody waits for ever");
        }
        if (!unexpected.isEmpty()) {
            throw new AssertionError(unexpected.getFirst());
        }
    }

    @Test
    void seedsAreHarmless() throws Exception {
        for (byte[] seed : FuzzSeeds.of(NbdClientFuzzTest.class)) {
            fuzzerTestOneInput(seed);
        }
    }
}
