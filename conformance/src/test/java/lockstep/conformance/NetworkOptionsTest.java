package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** What {@code -nic} brings, and what socket backends say of themselves. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class NetworkOptionsTest {
    @TempDir private Path directory;

    private static void await(QtestMachine machine, String text) {
        String seen = "";
        while (!seen.contains(text)) {
            seen = machine.human("info network");
        }
    }

    @Test
    void theMachineBringsACardForItsBackend() throws IOException {
        Path wire = directory.resolve("wire");
        Path mirror = directory.resolve("mirror");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
                ServerSocketChannel copies =
                        ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(wire));
            copies.bind(UnixDomainSocketAddress.of(mirror));
            try (QtestMachine machine =
                            QtestMachine.ours(
                                    directory,
                                    "-nic",
                                    "stream,id=n,mac=52:54:00:01:02:03,addr.type=unix,addr.path="
                                            + wire,
                                    "-chardev",
                                    "socket,id=m,path=" + mirror,
                                    "-object",
                                    "filter-mirror,id=f,netdev=n,queue=tx,outdev=m");
                    SocketChannel peer = server.accept();
                    SocketChannel copy = copies.accept()) {
                assertEquals(0x100e8086L, machine.config(3 << 3, 0), "an e1000 in the third slot");
                String network = machine.human("info network");
                assertTrue(network.contains("e1000.0: index=0,type=nic,model=e1000"), network);
                assertTrue(network.contains("macaddr=52:54:00:01:02:03"), network);
                byte[] shortFrame = "less than a frame".getBytes(StandardCharsets.US_ASCII);
                DataOutputStream out = new DataOutputStream(Channels.newOutputStream(peer));
                out.writeInt(shortFrame.length);
                out.write(shortFrame);
                DataInputStream in = new DataInputStream(Channels.newInputStream(copy));
                byte[] mirrored = new byte[in.readInt()];
                in.readFully(mirrored);
                assertArrayEquals(shortFrame, mirrored, "nothing is added in front of the card");
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "socket,listen=:0,model=ne2k_pci | Unsupported NIC model: ne2k_pci",
                "socket,listen=:0,mac=x | Property 'e1000.mac' doesn't take value 'x'",
                "socket,listen=:0,id=.x | Parameter 'id' expects an identifier",
                "nosuch | Parameter 'type' does not accept value 'nosuch'"
            })
    void whatIsNoCard(String option, String message) {
        Throwable e =
                assertThrows(
                        Throwable.class,
                        () -> QtestMachine.ours(directory, "-nic", option).close());
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    @Test
    void aServerTellsOfItsPeerAndTakesThePathOfADeadOne() throws IOException {
        Path path = directory.resolve("server");
        Files.createFile(path);
        String address = "addr.type=unix,addr.path=" + path;
        try (QtestMachine server =
                QtestMachine.ours(
                        directory, "-M", "none", "-netdev", "stream,id=s,server=on," + address)) {
            await(server, "s: index=0,type=stream,listening\\r");
            String client = "stream,id=c,server=off,reconnect-ms=100," + address;
            try (QtestMachine other =
                    QtestMachine.ours(directory, "-M", "none", "-netdev", client)) {
                await(other, "c: index=0,type=stream,unix:" + path);
                await(server, "s: index=0,type=stream,unix:" + path);
                String event = server.event("NETDEV_STREAM_CONNECTED");
                assertTrue(event.contains("\"path\": \"" + path), event);
                server.terminate();
                other.event("NETDEV_STREAM_DISCONNECTED");
                await(other, "c: index=0,type=stream,connecting");
            }
        }
    }
}
