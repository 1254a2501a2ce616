package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.loop.EventLoop;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/** What {@link Chardev} promises of a back end with a peer: bytes there and back, whole and in order. */
abstract class PeerContract extends ChardevContract {
    private final List<Peer> peers = new ArrayList<>();

    /** Has a peer come to the device. */
    abstract Peer come(Chardev device) throws Exception;

    /** Bytes that the tests of order send: more than the kernel keeps for a peer that does not read. */
    int volume() {
        return 1 << 20;
    }

    /** The most bytes of one write. */
    int piece() {
        return 8000;
    }

    /** A peer that the test need not close. */
    final Peer peer(Chardev device) throws Exception {
        Peer p = come(device);
        peers.add(p);
        return p;
    }

    @AfterEach
    void closePeers() {
        peers.forEach(Peer::close);
    }

    @Override
    void use(Chardev.Attachment attachment, Heard heard) throws Exception {
        try (Peer p = come(Objects.requireNonNull(table.find(ID)))) {
            super.use(attachment, heard);
            p.read(3);
        }
    }

    /** Bytes whose order shows, and none that is a command of telnet, terminals or the mux. */
    private static byte[] text(int length, int seed) {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++) {
            data[i] = (byte) (' ' + (i * 7 + i / 95 + seed) % 95);
        }
        return data;
    }

    @Test
    void whatIsWrittenArrivesWholeAndInOrder() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        Peer p = peer(device);
        heard.awaitOpened(1);
        assertTrue(attachment.connected());
        byte[] data = text(volume(), 0);
        Random random = new Random(1);
        for (int at = 0; at < data.length; ) {
            int n = Math.min(1 + random.nextInt(piece()), data.length - at);
            ByteBuffer source = ByteBuffer.wrap(data, at, n);
            attachment.write(
                    at % 2 == 0 ? source : ByteBuffer.allocateDirect(n).put(source).flip());
            at += n;
        }
        CompletableFuture<Long> drained = new CompletableFuture<>();
        attachment.whenDrained(() -> drained.complete(attachment.pending()));
        assertArrayEquals(data, p.read(data.length));
        assertEquals(0, drained.join());
        assertEquals("1 opened, 0 closed, 0 bytes []", heard.story());
    }

    @Test
    void aFullFrontEndStopsInputAndLosesNothing() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        Peer p = peer(device);
        heard.awaitOpened(1);
        byte[] data = text(volume(), 0);
        CompletableFuture<Void> writing = CompletableFuture.runAsync(() -> p.write(data));
        settle();
        assertEquals("1 opened, 0 closed, 0 bytes []", heard.story());
        Random random = new Random(2);
        while (heard.size() < data.length) {
            int more = Math.min(1 + random.nextInt(5000), data.length - heard.size());
            int wanted = heard.size() + more;
            heard.allow(more);
            attachment.acceptInput();
            heard.awaitSize(wanted);
        }
        writing.join();
        assertArrayEquals(data, heard.got());
        assertEquals("1 opened, 0 closed, " + data.length + " bytes []", heard.story());
    }

    @Test
    void aFrontEndIsServedOnItsLoop() throws Exception {
        Chardev device = make();
        Peer p = peer(device);
        for (EventLoop loop : List.of(served(device), mainLoop, served(device))) {
            Heard heard = new Heard(loop);
            heard.allow(1000);
            Chardev.Attachment attachment =
                    attach(device, heard, loop == mainLoop ? mainLoop : otherLoop);
            heard.awaitOpened(1);
            p.write(text(1000, 1));
            heard.awaitSize(1000);
            attachment.write(ByteBuffer.wrap(text(500, 2)));
            assertArrayEquals(text(500, 2), p.read(500));
            detach(attachment, loop);
            assertEquals("1 opened, 0 closed, 1000 bytes []", heard.story());
        }
    }

    @Test
    void whatNobodyReadWaitsForTheNextFrontEnd() throws Exception {
        Chardev device = make();
        Heard first = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, first, mainLoop);
        Peer p = peer(device);
        first.awaitOpened(1);
        byte[] data = text(1000, 3);
        p.write(Arrays.copyOf(data, 400));
        first.allow(100);
        attachment.acceptInput();
        first.awaitSize(100);
        detach(attachment, mainLoop);
        p.write(Arrays.copyOfRange(data, 400, 1000));
        Heard second = new Heard(mainLoop);
        second.allow(900);
        attach(device, second, mainLoop);
        second.awaitSize(900);
        assertArrayEquals(Arrays.copyOfRange(data, 100, 1000), second.got());
        assertEquals("1 opened, 0 closed, 100 bytes []", first.story());
        assertEquals("1 opened, 0 closed, 900 bytes []", second.story());
    }
}
