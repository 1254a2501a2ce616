package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.linux.abi.LinuxAbi;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Migration over descriptors that are used as they are: handed over by a monitor's client, or inherited, where they
 * stand at that moment. And what can be known of a destination at once is answered at once.
 */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class DescriptorMigrationTest {
    private static final int HEADER = 1000;
    private static final int UNIX = 1;

    @TempDir Path directory;
    private Source source;

    /** A machine with some RAM to send, and its monitor. */
    private static final class Source implements AutoCloseable {
        private final TestVmm vmm;
        private final Fd client;
        private final StringBuilder unread = new StringBuilder();

        Source(Path socket) throws Exception {
            vmm = TestVmm.startBoard("-m", "4", "-S", "-qmp", "unix:" + socket + ",server,nowait");
            client = Sockets.stream(UNIX);
            assertEquals(0, Sockets.connect(client, new SocketName.Unix(socket.toString())));
            FileIo.nonBlocking(client.number(), false);
            line();
            ask("{'execute': 'qmp_capabilities'}");
            fill(ram(vmm));
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

        String ask(String request, int... descriptors) {
            byte[] bytes = request.getBytes(StandardCharsets.US_ASCII);
            assertEquals(
                    bytes.length, Sockets.sendDescriptors(client.number(), bytes, descriptors));
            while (true) {
                String line = line();
                if (!line.contains("\"event\"")) {
                    return line;
                }
            }
        }

        String migrate(String uri) {
            return ask("{'execute': 'migrate', 'arguments': {'uri': '" + uri + "'}}");
        }

        /** Hands over and closes here. */
        void hand(String name, Fd fd) {
            assertEquals(
                    OK,
                    ask(
                            "{'execute': 'getfd', 'arguments': {'fdname': '" + name + "'}}",
                            fd.number()));
            fd.close();
        }

        String await(String... states) {
            while (true) {
                String info = ask("{'execute': 'query-migrate'}");
                for (String state : states) {
                    if (info.contains("\"status\": \"" + state + "\"")) {
                        return info;
                    }
                }
                Thread.onSpinWait();
            }
        }

        @Override
        public void close() {
            client.close();
            vmm.close();
        }
    }

    private static final String OK = "{\"return\": {}}";

    @BeforeEach
    void start() throws Exception {
        source = new Source(directory.resolve("qmp"));
    }

    @AfterEach
    void stop() {
        source.close();
    }

    private static MemorySegment ram(TestVmm vmm) {
        return java.util.Objects.requireNonNull(vmm.vmm().machine()).ram().memory();
    }

    private static void fill(MemorySegment ram) {
        for (long at = 0; at < ram.byteSize(); at += 3 * 4096) {
            ram.set(ValueLayout.JAVA_LONG, at + 8, at + 1);
        }
    }

    private static String generic(String text) {
        return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + text + "\"}}";
    }

    private void arrivesOver(Fd fd) throws Exception {
        try (TestVmm target =
                TestVmm.startBoard("-m", "4", "-S", "-incoming", "fd:" + fd.number())) {
            while (target.vmm().run().state() == lockstep.api.RunState.INMIGRATE) {
                Thread.onSpinWait();
            }
            assertEquals(-1, ram(source.vmm).mismatch(ram(target)));
        }
    }

    @Test
    void aPipeCarriesIt() throws Exception {
        Fd[] pipe = FileIo.pipe();
        source.hand("migrate", pipe[1]);
        assertEquals(OK, source.migrate("fd:migrate"));
        arrivesOver(pipe[0]);
        source.await("completed");
        pipe[0].close();
    }

    @Test
    void aSocketCarriesItBothWays() throws Exception {
        Fd[] pair = Sockets.pair();
        source.hand("migrate", pair[1]);
        assertEquals(
                OK,
                source.ask(
                        "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities':"
                                + " [{'capability': 'return-path', 'state': true}]}}"));
        assertEquals(
                OK,
                source.ask(
                        "{'execute': 'migrate', 'arguments': {'channels': [{'channel-type': 'main',"
                                + " 'addr': {'transport': 'socket', 'type': 'fd', 'str':"
                                + " 'migrate'}}]}}"));
        arrivesOver(pair[0]);
        source.await("completed");
        pair[0].close();
    }

    @Test
    void aFileCarriesItFromWhereItStands() throws Exception {
        Path file = directory.resolve("saved");
        Files.write(file, new byte[HEADER]);
        try (Fd out = FileIo.open(file.toString(), LinuxAbi.O_WRONLY(), 0)) {
            FileCalls.lseek(out.number(), HEADER, LinuxAbi.SEEK_SET());
            source.hand("migrate", FileIo.duplicate(out.number()));
            assertEquals(OK, source.migrate("fd:migrate"));
            source.await("completed");
            assertEquals(Files.size(file), FileCalls.lseek(out.number(), 0, LinuxAbi.SEEK_CUR()));
        }
        byte[] saved = Files.readAllBytes(file);
        assertEquals("QEVM", new String(saved, HEADER, 4, StandardCharsets.US_ASCII));
        try (Fd in = FileIo.open(file.toString(), LinuxAbi.O_RDONLY(), 0)) {
            FileCalls.lseek(in.number(), HEADER, LinuxAbi.SEEK_SET());
            arrivesOver(in);
        }
    }

    @Test
    void aDescriptorIsUsedOnce() throws Exception {
        Fd[] pipe = FileIo.pipe();
        pipe[0].close();
        source.hand("p", pipe[1]);
        assertEquals(OK, source.migrate("fd:p"));
        String failed = source.await("failed");
        assertTrue(failed.contains("Unable to write to file: Broken pipe"), failed);
        assertEquals(
                generic("File descriptor named 'p' has not been found"), source.migrate("fd:p"));
        failed = source.await("failed");
        assertTrue(failed.contains("named 'p' has not been found"), failed);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "fd:never|File descriptor named 'never' has not been found",
                "fd:5|File descriptor named '5' has not been found",
                "fd:|invalid file descriptor address",
                "unix:|invalid Unix socket address",
                "file:/nowhere/f|Could not create '/nowhere/f': No such file or directory",
                "file:/tmp|Could not create '/tmp': Is a directory",
                "file:/dev/full|failed to truncate migration file to offset 0: Invalid argument",
                "file:/dev/fdset/3|Could not create '/dev/fdset/3': No such file or directory",
                "file:/tmp/f,offset=1x|file URI has bad offset 1x: Invalid argument",
                "tcp:host|error parsing address 'host'",
                "nothing:1|unknown migration protocol: nothing:1",
            })
    void whatIsKnownIsAnsweredAtOnce(String uri, String error) {
        assertEquals(generic(error), source.migrate(uri));
    }

    @Test
    void aCommandThatDoesNotReadBreaksThePipe() {
        assertEquals(OK, source.migrate("exec:true"));
        String failed = source.await("failed");
        assertTrue(failed.contains("Unable to write to command: Broken pipe"), failed);
    }

    /** Once at the start and once at the end: nothing changes the memory of a guest that stands still. */
    @Test
    void aStoppedGuestConvergesAtOnce() {
        assertEquals(OK, source.migrate("exec:cat >/dev/null"));
        String info = source.await("completed");
        assertTrue(info.contains("\"dirty-sync-count\": 2,"), info);
        assertTrue(info.contains("\"precopy-bytes\": 0,"), info);
    }

    @Test
    void aFullDeviceIsNamed() throws Exception {
        source.hand("f", FileIo.open("/dev/full", LinuxAbi.O_WRONLY(), 0));
        assertEquals(OK, source.migrate("fd:f"));
        String failed = source.await("failed");
        assertTrue(failed.contains("Unable to write to file: No space left on device"), failed);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{'execute': 'migrate_cancel'}",
                "{'execute': 'yank', 'arguments': {'instances': [{'type': 'migration'}]}}"
            })
    void aPeerThatDoesNotReadIsGivenUp(String command) throws Exception {
        Fd[] pipe = FileIo.pipe();
        source.hand("p", pipe[1]);
        assertEquals(OK, source.migrate("fd:p"));
        source.await("active");
        assertEquals(OK, source.ask(command));
        source.await("cancelled", "failed");
        assertTrue(source.ask("{'execute': 'query-status'}").contains("prelaunch"));
        pipe[0].close();
    }

    @Test
    void aCommandThatDoesNotReadIsGivenUp() {
        assertEquals(OK, source.migrate("exec:exec sleep 1000"));
        source.await("active");
        assertEquals(OK, source.ask("{'execute': 'migrate_cancel'}"));
        source.await("cancelled");
    }
}
