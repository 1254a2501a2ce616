package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.linux.DescriptorSets;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** File descriptors that a client sends over a monitor's socket, and what can be done with them. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class HandedDescriptorsTest {
    private static final int READ_WRITE = 2;
    private static final int UNIX = 1;

    @TempDir Path directory;
    private TestVmm vmm;
    private Fd client;
    private final StringBuilder unread = new StringBuilder();

    @BeforeEach
    void connect() throws Exception {
        Path socket = directory.resolve("qmp");
        vmm = TestVmm.start("-qmp", "unix:" + socket + ",server=on,wait=off");
        client = Sockets.stream(UNIX);
        assertEquals(0, Sockets.connect(client, new SocketName.Unix(socket.toString())));
        FileIo.nonBlocking(client.number(), false);
        assertTrue(line().startsWith("{\"QMP\""));
        assertEquals("{\"return\": {}}", ask("{'execute': 'qmp_capabilities'}"));
    }

    @AfterEach
    void stop() {
        client.close();
        vmm.close();
    }

    private String line() {
        byte[] buffer = new byte[4096];
        while (unread.indexOf("\r\n") < 0) {
            int n = FileIo.read(client.number(), buffer, 0, buffer.length);
            assertTrue(n > 0, "read " + n);
            unread.append(new String(buffer, 0, n, StandardCharsets.ISO_8859_1));
        }
        int end = unread.indexOf("\r\n");
        String line = unread.substring(0, end);
        unread.delete(0, end + 2);
        return line;
    }

    private String ask(String request, int... descriptors) {
        byte[] bytes = request.getBytes(StandardCharsets.US_ASCII);
        assertEquals(bytes.length, Sockets.sendDescriptors(client.number(), bytes, descriptors));
        return line();
    }

    private static String generic(String text) {
        return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + text + "\"}}";
    }

    @Test
    void aNamedSocketBecomesACharacterDevice() throws Exception {
        Fd[] pair = Sockets.pair();
        assertEquals(
                "{\"return\": {}}",
                ask("{'execute': 'getfd', 'arguments': {'fdname': 'a'}}", pair[0].number()));
        assertEquals(
                "{\"return\": {}}",
                ask(
                        "{'execute': 'chardev-add', 'arguments': {'id': 'c', 'backend':"
                                + " {'type': 'socket', 'data': {'server': false, 'addr':"
                                + " {'type': 'fd', 'data': {'str': 'a'}}}}}}"));
        assertEquals(
                generic("File descriptor named 'a' not found"),
                ask("{'execute': 'closefd', 'arguments': {'fdname': 'a'}}"));
        pair[0].close();
        pair[1].close();
    }

    @Test
    void aCommandWithoutDescriptorGetsNoneOfAnEarlierOne() throws Exception {
        Fd[] pair = Sockets.pair();
        assertTrue(ask("{'execute': 'query-status'}", pair[0].number()).contains("return"));
        assertEquals(
                "{\"return\": {}}",
                ask("{'execute': 'getfd', 'arguments': {'fdname': 'b'}}", pair[1].number()));
        assertEquals(
                generic("No file descriptor supplied via SCM_RIGHTS"),
                ask("{'execute': 'getfd', 'arguments': {'fdname': 'b'}}"));
        assertEquals(
                generic("Parameter 'fdname' expects a name not starting with a digit"),
                ask("{'execute': 'getfd', 'arguments': {'fdname': '1'}}", pair[1].number()));
        assertEquals(
                "{\"return\": {}}", ask("{'execute': 'closefd', 'arguments': {'fdname': 'b'}}"));
        pair[0].close();
        pair[1].close();
    }

    @Test
    void filesAreOpenedOutOfASet() throws Exception {
        Path file = Files.writeString(directory.resolve("file"), "content");
        try (Fd fd = FileIo.open(file.toString(), READ_WRITE, 0)) {
            String added =
                    ask(
                            "{'execute': 'add-fd', 'arguments': {'fdset-id': 77, 'opaque': 'x'}}",
                            fd.number());
            assertTrue(added.contains("\"fdset-id\": 77"), added);
        }
        try (Fd again = FileIo.open(DescriptorSets.PREFIX + "77", READ_WRITE, 0)) {
            byte[] content = new byte[7];
            assertEquals(7, FileIo.read(again.number(), content, 0, 7));
            assertEquals("content", new String(content, StandardCharsets.US_ASCII));
        }
        assertEquals(
                -lockstep.runtime.linux.Errno.EACCES,
                FileIo.tryOpen(DescriptorSets.PREFIX + "77", 0, 0));
        assertTrue(ask("{'execute': 'query-fdsets'}").contains("\"opaque\": \"x\""));
        assertEquals(
                "{\"return\": {}}", ask("{'execute': 'remove-fd', 'arguments': {'fdset-id': 77}}"));
        assertEquals(
                generic("File descriptor named 'fdset-id:77' not found"),
                ask("{'execute': 'remove-fd', 'arguments': {'fdset-id': 77}}"));
        assertEquals(
                -lockstep.runtime.linux.Errno.ENOENT,
                FileIo.tryOpen(DescriptorSets.PREFIX + "77", READ_WRITE, 0));
    }
}
