package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** A guest that sends more than the peer of a filter takes: what is too much waits in its card, over a hub too. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class HeldBackTest {
    private static final int CARD = 6 << 3;
    private static final long REGISTERS = 0xe000_0000L;
    private static final long TCTL = REGISTERS + 0x400;
    private static final long TDBAL = REGISTERS + 0x3800;
    private static final long TDLEN = REGISTERS + 0x3808;
    private static final long TDH = REGISTERS + 0x3810;
    private static final long TDT = REGISTERS + 0x3818;
    private static final int RING = 0x10_0000;
    private static final int BUFFER = 0x20_0000;
    private static final int FRAMES = 1000;
    private static final int SHORTEST = 15_000;

    /** Legacy descriptors: end of packet, report status (82540EM manual, 3.3.3). */
    private static final int COMMAND = 0x0900_0000;

    @TempDir private Path directory;

    private static List<Integer> lengths(SocketChannel peer) {
        List<Integer> lengths = new ArrayList<>();
        try {
            DataInputStream in = new DataInputStream(Channels.newInputStream(peer));
            while (lengths.size() < FRAMES) {
                int length = in.readInt();
                in.skipNBytes(length);
                lengths.add(length);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return lengths;
    }

    @Test
    void aFloodWaitsForTheMirrorBehindAHub() throws Exception {
        Path path = directory.resolve("mirror");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path));
            try (QtestMachine machine =
                            QtestMachine.ours(
                                    directory,
                                    "-netdev",
                                    "hubport,id=p0,hubid=0",
                                    "-device",
                                    "e1000,netdev=p0,addr=6",
                                    "-netdev",
                                    "user,id=h,restrict=on",
                                    "-netdev",
                                    "hubport,id=p1,hubid=0,netdev=h",
                                    "-chardev",
                                    "socket,id=m,path=" + path,
                                    "-object",
                                    "filter-mirror,id=f,netdev=h,queue=rx,outdev=m");
                    SocketChannel peer = server.accept()) {
                machine.config(CARD, 0x10, REGISTERS);
                machine.config(CARD, 4, 6);
                flood(machine);
                long sent = machine.readl(TDH);
                assertTrue(sent < FRAMES, "more was taken than the mirror has room for");
                CompletableFuture<List<Integer>> got =
                        CompletableFuture.supplyAsync(() -> lengths(peer));
                while (!got.isDone()) {
                    machine.value("clock_step 1000");
                }
                List<Integer> all = IntStream.range(0, FRAMES).mapToObj(i -> SHORTEST + i).toList();
                assertEquals(all, got.join());
                assertEquals(FRAMES, machine.readl(TDH));
            }
        }
    }

    private static void flood(QtestMachine machine) {
        StringBuilder ring = new StringBuilder();
        HexFormat hex = HexFormat.of();
        for (int i = 0; i < FRAMES; i++) {
            for (int word : new int[] {BUFFER, 0, COMMAND | SHORTEST + i, 0}) {
                ring.append(hex.toHexDigits(Integer.reverseBytes(word)));
            }
        }
        machine.tell("write " + RING + ' ' + 16 * FRAMES + " 0x" + ring);
        machine.writel(TDBAL, RING);
        machine.writel(TDLEN, 16 * 1024);
        machine.writel(TCTL, 2);
        machine.writel(TDT, FRAMES);
    }
}
