package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

class SystemCallsTest {
    private static final byte[] HELLO = "hello".getBytes(StandardCharsets.UTF_8);

    @TempDir Path directory;

    @Test
    void errorsCarryNumberAndText() {
        LinuxException e =
                assertThrows(LinuxException.class, () -> FileIo.open("/no/such/file", 0, 0));
        assertEquals(Errno.ENOENT, e.errno());
        assertEquals("Could not open '/no/such/file': No such file or directory", e.getMessage());
        assertEquals("Connection refused", Errno.text(Errno.ECONNREFUSED));
        assertEquals(-Errno.EBADF, FileCalls.fsync(-1));
    }

    @Test
    void aBufferIsAtLeastAsLongAsWhatIsAskedFor() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(4);
            assertThrows(IndexOutOfBoundsException.class, () -> FileCalls.pread(-1, buffer, 5, 0));
        }
    }

    @Test
    void locksOfTwoOpenFilesExcludeEachOther() throws Exception {
        String path = directory.resolve("locked").toString();
        try (Fd one = FileIo.open(path, O_RDWR() | O_CREAT(), 0600);
                Fd two = FileIo.open(path, O_RDWR(), 0)) {
            assertEquals(0, FileIo.lock(one.number(), F_WRLCK(), 100, 1));
            assertEquals(-Errno.EAGAIN, FileIo.lock(two.number(), F_RDLCK(), 100, 1));
            assertNotNull(FileIo.lockInTheWay(two.number(), F_RDLCK(), 100, 1));
            assertNull(FileIo.lockInTheWay(two.number(), F_RDLCK(), 101, 1));
            assertEquals(0, FileIo.lock(one.number(), F_UNLCK(), 100, 1));
            assertEquals(0, FileIo.lock(two.number(), F_WRLCK(), 100, 1));
        }
    }

    @Test
    void aConnectionIsMadeAndRefused() throws Exception {
        SocketName any =
                new SocketName.Inet(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        SocketName name;
        try (Fd listener = Sockets.stream(any.family());
                Fd client = Sockets.stream(any.family())) {
            assertEquals(0, Sockets.bind(listener, any));
            assertEquals(0, Sockets.listen(listener, 1));
            assertTrue(Sockets.listening(listener.number()));
            assertEquals(-Errno.EAGAIN, Sockets.accept(listener));
            name = Sockets.localName(listener.number());
            int result = Sockets.connect(client, name);
            assertTrue(result == 0 || result == -Errno.EINPROGRESS, "" + result);
            awaitReady(client, EPOLLOUT());
            assertEquals(0, Sockets.error(client));
            awaitReady(listener, EPOLLIN());
            try (Fd served = new Fd(Sockets.accept(listener))) {
                assertEquals(name, Sockets.peerName(client.number()));
                assertEquals(5, Sockets.send(served.number(), HELLO, 0, 5));
                awaitReady(client, EPOLLIN());
                byte[] got = new byte[5];
                assertEquals(5, FileIo.read(client.number(), got, 0, 5));
                assertArrayEquals(HELLO, got);
            }
        }
        try (Fd client = Sockets.stream(any.family())) {
            int result = Sockets.connect(client, name);
            if (result == -Errno.EINPROGRESS) {
                awaitReady(client, EPOLLOUT());
                result = -Sockets.error(client);
            }
            assertEquals(-Errno.ECONNREFUSED, result);
        }
    }

    private static void awaitReady(Fd fd, int events) throws LinuxException {
        try (Epoll epoll = new Epoll()) {
            epoll.add(fd.number(), events, 42);
            assertEquals(1, epoll.await(10_000));
            assertEquals(42, epoll.token(0));
        }
    }

    @Test
    void descriptorsTravelOverUnixSockets() throws Exception {
        Fd[] pair = Sockets.pair();
        Fd[] pipe = FileIo.pipe();
        assertEquals(5, Sockets.sendDescriptors(pair[0].number(), HELLO, pipe[1].number()));
        List<Fd> received = new ArrayList<>();
        byte[] data = new byte[16];
        assertEquals(
                5, Sockets.receiveDescriptors(pair[1].number(), data, 0, data.length, received));
        assertEquals(1, received.size());
        pipe[1].close();
        assertEquals(5, FileIo.write(received.getFirst().number(), HELLO, 0, 5));
        received.getFirst().close();
        assertEquals(5, FileIo.read(pipe[0].number(), data, 0, 16));
        assertEquals(0, FileIo.read(pipe[0].number(), data, 0, 16));
        pipe[0].close();
        pair[0].close();
        // The other end is gone: an error, not a signal that ends the process.
        assertEquals(0, FileIo.read(pair[1].number(), data, 0, 1));
        assertEquals(-Errno.EPIPE, Sockets.send(pair[1].number(), HELLO, 0, 5));
        pair[1].close();
    }

    @Test
    void unixAddressesInTheFileSystemAndAbstract() throws Exception {
        SocketName inFiles = new SocketName.Unix(directory.resolve("s").toString());
        SocketName hidden = new SocketName.Unix("lockstep-" + System.nanoTime(), true, true);
        for (SocketName name : new SocketName[] {inFiles, hidden}) {
            try (Fd listener = Sockets.stream(AF_UNIX());
                    Fd client = Sockets.stream(AF_UNIX())) {
                assertEquals(0, Sockets.bind(listener, name));
                assertEquals(0, Sockets.listen(listener, 1));
                assertEquals(name, Sockets.localName(listener.number()));
                assertEquals(0, Sockets.connect(client, name));
                assertEquals(ProcessHandle.current().pid(), Sockets.peerProcess(client.number()));
            }
        }
        assertThrows(
                IllegalArgumentException.class,
                () ->
                        Sockets.bind(
                                Sockets.stream(AF_UNIX()), new SocketName.Unix("x".repeat(108))));
    }

    @Test
    void aKickStaysPendingUntilItIsTaken() {
        Signals.block(Signals.KICK);
        assertFalse(Signals.take(Signals.KICK));
        assertEquals(0, Signals.send(Signals.currentThread(), Signals.KICK));
        assertTrue(Signals.take(Signals.KICK));
        assertFalse(Signals.take(Signals.KICK));
    }

    @Test
    void aPseudoTerminalIsRaw() throws Exception {
        Terminal.Pty pty = Terminal.openPty();
        try (Fd other = FileIo.open(pty.path(), O_RDWR() | O_NOCTTY(), 0)) {
            assertTrue(Terminal.isTerminal(other.number()));
            assertEquals(2, FileIo.write(pty.master().number(), new byte[] {3, 13}, 0, 2));
            byte[] got = new byte[8];
            assertEquals(2, FileIo.read(other.number(), got, 0, 8));
            assertEquals(3, got[0]);
            assertEquals(13, got[1]);
        }
        pty.master().close();
    }
}
