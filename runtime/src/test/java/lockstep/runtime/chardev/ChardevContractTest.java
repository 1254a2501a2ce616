package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.AF_INET;
import static lockstep.linux.abi.LinuxAbi.O_NOCTTY;
import static lockstep.linux.abi.LinuxAbi.O_RDONLY;
import static lockstep.linux.abi.LinuxAbi.SOL_SOCKET;
import static lockstep.linux.abi.LinuxAbi.SO_REUSEADDR;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The contract, run on every back end that can be made here. */
class ChardevContractTest {
    private static SocketName loopback(int port) {
        return new SocketName.Inet(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    }

    private static int port(Fd socket) throws LinuxException {
        return ((SocketName.Inet) Sockets.localName(socket.number())).address().getPort();
    }

    private static Address.Inet inet(int port) {
        return new Address.Inet("127.0.0.1", Integer.toString(port), null, null);
    }

    private static ChardevConfig server(Address at) {
        return new ChardevConfig.Socket(at, true, false, false, false, null, null, null);
    }

    private static Fd bound(Fd socket, SocketName name) {
        Sockets.option(socket.number(), SOL_SOCKET(), SO_REUSEADDR(), 1);
        assertEquals(0, Sockets.bind(socket, name));
        return socket;
    }

    private static void fifo(Path path) throws Exception {
        if (!Files.exists(path)) {
            assertEquals(
                    0, new ProcessBuilder("mkfifo", path.toString()).inheritIO().start().waitFor());
        }
    }

    @Nested
    class Null extends ChardevContract {
        @Override
        ChardevConfig config() {
            return new ChardevConfig.Null();
        }
    }

    @Nested
    class Ringbuf extends ChardevContract {
        @Override
        ChardevConfig config() {
            return new ChardevConfig.Ringbuf(1024);
        }

        @Test
        void theLastBytesStayInOrder() throws Exception {
            RingbufChardev device = (RingbufChardev) make();
            Chardev.Attachment attachment = attach(device, new Heard(mainLoop), mainLoop);
            byte[] data = new byte[3000];
            for (int i = 0; i < data.length; i++) {
                data[i] = (byte) (i * 7 + i / 256);
            }
            for (int at = 0; at < data.length; at += 100) {
                attachment.write(ByteBuffer.wrap(data, at, 100));
            }
            byte[] last = Arrays.copyOfRange(data, data.length - 1024, data.length);
            assertArrayEquals(Arrays.copyOf(last, 24), device.take(24));
            assertArrayEquals(Arrays.copyOfRange(last, 24, 1024), device.take(5000));
        }
    }

    @Nested
    class Pair extends ChardevContract {
        @Override
        ChardevConfig config() {
            return new ChardevConfig.Pair(null);
        }

        private int ends;

        @Override
        Chardev make() throws Exception {
            Chardev device = super.make();
            end("end" + ends++);
            return device;
        }

        private Chardev end(String id) throws Exception {
            return locked(() -> table.create(id, new ChardevConfig.Pair(ID), false, notice -> {}));
        }

        @Test
        void bytesReachTheOtherEndInOrderAsFarAsItTakesThem() throws Exception {
            Heard here = new Heard(mainLoop);
            Chardev.Attachment one = attach(super.make(), here, mainLoop);
            assertThrows(ChardevException.class, () -> one.write(ByteBuffer.allocate(1)));
            Chardev other = end("d");
            Heard there = new Heard(otherLoop);
            Chardev.Attachment two = attach(other, there, otherLoop);
            here.awaitOpened(1);
            there.awaitOpened(1);
            byte[] data = new byte[200_000];
            new Random(1).nextBytes(data);
            for (int at = 0; at < data.length; at += 1000) {
                one.write(ByteBuffer.wrap(data, at, 1000));
            }
            assertEquals(data.length, one.pending());
            for (int taken = 0; taken < data.length; taken += 5000) {
                there.allow(5000);
                two.acceptInput();
                there.awaitSize(taken + 5000);
            }
            assertArrayEquals(data, there.got());
            CompletableFuture<Void> drained = new CompletableFuture<>();
            one.whenDrained(() -> drained.complete(null));
            drained.get(30, TimeUnit.SECONDS);
            here.allow(1);
            two.write(ByteBuffer.wrap(new byte[] {7}));
            here.awaitSize(1);
            detach(two, otherLoop);
            locked(
                    () -> {
                        table.remove("d");
                        return null;
                    });
            here.awaitClosed(1);
            assertEquals("1 opened, 1 closed, 1 bytes []", here.story());
        }

        @Test
        void aPairHasTwoEnds() throws Exception {
            make();
            assertEquals(
                    "pair: chardev 'c' has its other end",
                    assertThrows(ChardevException.class, () -> end("e")).getMessage());
            ChardevConfig nowhere = new ChardevConfig.Pair("x");
            assertEquals(
                    "pair: chardev 'x' not found",
                    assertThrows(
                                    ChardevException.class,
                                    () -> locked(() -> table.create("e", nowhere, false, n -> {})))
                            .getMessage());
        }
    }

    @Nested
    class UnixServer extends VisitorContract {
        @Override
        ChardevConfig config() {
            return server(new Address.Unix(directory.resolve("s").toString(), false, true));
        }

        @Override
        Peer come(Chardev device) throws Exception {
            return Peer.connect(
                    new SocketName.Unix(directory.resolve("s").toString(), false, true));
        }
    }

    @Nested
    class TcpServer extends VisitorContract {
        private int port;

        @Override
        ChardevConfig config() {
            return server(inet(0));
        }

        @Override
        Chardev make() throws Exception {
            Chardev device = super.make();
            port = Integer.parseInt(device.filename().replaceAll(".*:([0-9]+),server=on", "$1"));
            return device;
        }

        @Override
        Peer come(Chardev device) throws Exception {
            return Peer.connect(loopback(port));
        }
    }

    /** One that connects, and does so again when its peer left. */
    abstract static class Client extends VisitorContract {
        private final List<Fd> listeners = new ArrayList<>();

        abstract Fd listener() throws Exception;

        abstract Address address(Fd listener) throws Exception;

        @Override
        ChardevConfig config() throws Exception {
            Fd listener = listener();
            assertEquals(0, Sockets.listen(listener, 1));
            listeners.add(listener);
            return new ChardevConfig.Socket(
                    address(listener), false, null, false, false, null, null, 1L);
        }

        @Override
        Peer come(Chardev device) {
            return Peer.accept(listeners.getLast());
        }

        @Override
        void forget() {
            listeners.forEach(Fd::close);
        }
    }

    @Nested
    class UnixClient extends Client {
        private int listeners;
        private String path = "";

        @Override
        Fd listener() throws Exception {
            path = directory.resolve("l" + listeners++).toString();
            SocketName name = new SocketName.Unix(path, false, true);
            return bound(Sockets.stream(name.family()), name);
        }

        @Override
        Address address(Fd listener) {
            return new Address.Unix(path, false, true);
        }
    }

    @Nested
    class TcpClient extends Client {
        @Override
        Fd listener() throws Exception {
            return bound(Sockets.stream(AF_INET()), loopback(0));
        }

        @Override
        Address address(Fd listener) throws Exception {
            return inet(port(listener));
        }
    }

    /** Looks for its peer once a second only, so the first one is there from the start. */
    @Nested
    class Pty extends VisitorContract {
        private @Nullable Fd first;

        @Override
        ChardevConfig config() {
            return new ChardevConfig.Pty(directory.resolve("pty").toString());
        }

        @Override
        Chardev make() throws Exception {
            return locked(
                    () -> {
                        Chardev device = super.make();
                        first = open(device);
                        return device;
                    });
        }

        private Fd open(Chardev device) throws LinuxException {
            return Peer.open(device.filename().substring("pty:".length()), O_NOCTTY());
        }

        @Override
        Peer come(Chardev device) throws Exception {
            Fd terminal = first;
            first = null;
            return Peer.of(terminal == null ? open(device) : terminal);
        }

        @Override
        void forget() {
            if (first != null) {
                first.close();
            }
        }
    }

    @Nested
    class Pipe extends PeerContract {
        @Override
        ChardevConfig config() throws Exception {
            fifo(directory.resolve("p.in"));
            fifo(directory.resolve("p.out"));
            return new ChardevConfig.Pipe(directory.resolve("p").toString());
        }

        @Override
        Peer come(Chardev device) throws Exception {
            Fd in = Peer.open(directory.resolve("p.out").toString(), 0);
            return new Peer(in, Peer.open(directory.resolve("p.in").toString(), 0), 4096);
        }
    }

    /** Output to a file, input from a pipe that is open on the other side already. */
    @Nested
    class File extends PeerContract {
        private @Nullable Fd source;

        @Override
        ChardevConfig config() throws Exception {
            Path in = directory.resolve("in");
            fifo(in);
            source = Peer.open(in.toString(), 0);
            return new ChardevConfig.File(
                    directory.resolve("out").toString(), in.toString(), false);
        }

        @Override
        Peer come(Chardev device) throws Exception {
            Fd written = FileIo.open(directory.resolve("out").toString(), O_RDONLY(), 0);
            return new Peer(written, Objects.requireNonNull(source), 4096);
        }

        @Override
        void forget() {
            if (source != null) {
                source.close();
            }
        }
    }

    @Nested
    class Udp extends PeerContract {
        private @Nullable Fd socket;

        /** The device takes a port over from a socket that held it, so that nobody else gets it. */
        @Override
        Chardev make() throws Exception {
            try (Fd holder = bound(Sockets.datagram(AF_INET()), loopback(0))) {
                Fd far = bound(Sockets.datagram(AF_INET()), loopback(0));
                socket = far;
                assertEquals(0, Sockets.connect(far, loopback(port(holder))));
                ChardevConfig config = new ChardevConfig.Udp(inet(port(far)), inet(port(holder)));
                return locked(() -> table.create(ID, config, false, notice -> {}));
            }
        }

        @Override
        ChardevConfig config() {
            throw new AssertionError("made as a whole");
        }

        /** Datagrams that the kernel keeps for a receiver that is not quick. */
        @Override
        int volume() {
            return 20_000;
        }

        @Override
        int piece() {
            return 1000;
        }

        @Override
        Peer come(Chardev device) {
            Fd far = Objects.requireNonNull(socket);
            return new Peer(far, far, piece());
        }

        @Override
        void forget() {
            if (socket != null) {
                socket.close();
            }
        }
    }

    /** Over a socket; its front ends share the device, and the main loop serves them all. */
    @Nested
    class Mux extends UnixServer {
        @Override
        boolean mux() {
            return true;
        }

        @Override
        void remove() throws Exception {
            super.remove();
            locked(
                    () -> {
                        table.remove(ID + "-base");
                        return null;
                    });
        }

        @Override
        @Test
        void oneFrontEndAtATime() throws Exception {
            Chardev device = make();
            List<Chardev.Attachment> all = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                all.add(attach(device, new Heard(mainLoop), mainLoop));
            }
            ChardevException e =
                    assertThrows(
                            ChardevException.class,
                            () -> attach(device, new Heard(mainLoop), mainLoop));
            assertEquals("too many uses of multiplexed chardev 'c'", e.getMessage());
            detach(all.getFirst(), mainLoop);
            attach(device, new Heard(mainLoop), mainLoop);
        }

        /** What is typed while nobody listens is dropped, and so is what one front end had left. */
        @Override
        @Test
        void whatNobodyReadWaitsForTheNextFrontEnd() throws Exception {
            Chardev device = make();
            Heard first = new Heard(mainLoop);
            Chardev.Attachment attachment = attach(device, first, mainLoop);
            Peer p = peer(device);
            first.awaitOpened(1);
            first.allow(1);
            p.write(new byte[] {'a', 'b'});
            first.awaitSize(1);
            detach(attachment, mainLoop);
            Heard second = new Heard(mainLoop);
            second.allow(10);
            attach(device, second, mainLoop);
            second.awaitOpened(1);
            p.write(new byte[] {'c'});
            second.awaitSize(1);
            assertArrayEquals(new byte[] {'c'}, second.got());
        }
    }
}
