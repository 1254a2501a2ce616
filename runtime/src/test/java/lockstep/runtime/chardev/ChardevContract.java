package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/** What {@link Chardev} promises of every back end, also of one without a peer. */
@Timeout(120)
abstract class ChardevContract {
    /** The id of the device under test. */
    static final String ID = "c";

    private static final int DESCRIPTOR_ROUNDS = 3;
    private static final long PATIENCE_NS = 30_000_000_000L;

    @TempDir Path directory;

    final MachineLock lock = new MachineLock();
    private final List<String> failures = new CopyOnWriteArrayList<>();
    EpollLoop mainLoop;
    EpollLoop otherLoop;
    ChardevTable table;

    /** What to make. What must be there before is made here too, and again for each device. */
    abstract ChardevConfig config() throws Exception;

    /** Whether the device is made with {@code mux=on}. */
    boolean mux() {
        return false;
    }

    /** Where a device with TLS has its credentials from. */
    TlsEnd.Source tlsEnds() {
        return TlsEnd.Source.NONE;
    }

    /** Frees what {@link #config} made. */
    void forget() {}

    /** Something that uses the device as a front end and its peer do; for the descriptor count. */
    void use(Chardev.Attachment attachment, Heard heard) throws Exception {
        heard.awaitOpened(1);
        attachment.write(ByteBuffer.wrap(new byte[] {1, 2, 3}));
    }

    @BeforeEach
    void start() throws Exception {
        VmClocks clocks = new VmClocks();
        mainLoop = new EpollLoop("main", clocks, lock, (n, e) -> failures.add(e.toString()));
        otherLoop = new EpollLoop("other", clocks, null, (n, e) -> failures.add(e.toString()));
        mainLoop.start();
        otherLoop.start();
        table = new ChardevTable(new Process());
    }

    @AfterEach
    void stop() throws Exception {
        locked(
                () -> {
                    table.closeAll();
                    return null;
                });
        settle();
        mainLoop.close();
        otherLoop.close();
        forget();
        assertEquals(List.of(), failures);
    }

    private final class Process implements ChardevHost {
        @Override
        public EventLoop mainLoop() {
            return mainLoop;
        }

        @Override
        public void report(String message) {
            failures.add(message);
        }

        @Override
        public @Nullable Integer takeDescriptor(String name) {
            return null;
        }

        @Override
        public TlsEnd.Source tlsEnds() {
            return ChardevContract.this.tlsEnds();
        }

        @Override
        public void terminate() {
            failures.add("terminated");
        }

        @Override
        public boolean daemon() {
            return false;
        }
    }

    /** Does something as its callers do, under the machine lock. */
    final <T> T locked(Callable<T> task) throws Exception {
        lock.acquire();
        try {
            return task.call();
        } finally {
            lock.release();
        }
    }

    /** Makes the device under test. */
    Chardev make() throws Exception {
        ChardevConfig config = config();
        return locked(() -> table.create(ID, config, mux(), notice -> {}));
    }

    /** Attaches a front end. */
    final Chardev.Attachment attach(Chardev device, Heard heard, EventLoop loop) throws Exception {
        return locked(() -> device.attach(heard, loop));
    }

    /** Lets go of the device where callbacks would run, so that none is under way. */
    final void detach(Chardev.Attachment attachment, EventLoop loop) {
        CompletableFuture.runAsync(attachment::close, loop::execute).join();
    }

    /** Lets both loops do what is ready and what comes of that. */
    final void settle() {
        for (int i = 0; i < 3; i++) {
            CompletableFuture.runAsync(() -> {}, mainLoop::execute).join();
            CompletableFuture.runAsync(() -> {}, otherLoop::execute).join();
        }
    }

    /** The loop that serves a front end that asked for {@link #otherLoop}. */
    final EventLoop served(Chardev device) {
        return device.movable() ? otherLoop : mainLoop;
    }

    @Test
    void oneFrontEndAtATime() throws Exception {
        Chardev device = make();
        assertFalse(device.frontendOpen());
        Chardev.Attachment first = attach(device, new Heard(mainLoop), mainLoop);
        assertTrue(device.frontendOpen());
        ChardevException e =
                assertThrows(
                        ChardevException.class,
                        () -> attach(device, new Heard(mainLoop), mainLoop));
        assertEquals("chardev 'c' is already in use", e.getMessage());
        detach(first, mainLoop);
        detach(first, mainLoop);
        assertFalse(device.frontendOpen());
        assertFalse(first.connected());
        assertThrows(IOException.class, () -> first.write(ByteBuffer.allocate(1)));
        attach(device, new Heard(mainLoop), mainLoop);
        assertTrue(device.frontendOpen());
    }

    @Test
    void whatAFrontEndHoldsIsNotRemoved() throws Exception {
        Chardev device = make();
        Chardev.Attachment attachment = attach(device, new Heard(mainLoop), mainLoop);
        assertEquals("Chardev 'c' is busy", refused().getMessage());
        assertEquals(device, table.find(ID));
        detach(attachment, mainLoop);
        remove();
        assertNull(table.find(ID));
        assertEquals("Chardev 'c' not found", refused().getMessage());
    }

    private ChardevException refused() {
        return assertThrows(ChardevException.class, this::remove);
    }

    /** Removes the device under test, and what was made with it. */
    void remove() throws Exception {
        locked(
                () -> {
                    table.remove(ID);
                    return null;
                });
    }

    @Test
    void whoLetGoIsToldNothing() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        settle();
        detach(attachment, mainLoop);
        String before = heard.story();
        locked(
                () -> {
                    device.close();
                    return null;
                });
        settle();
        assertEquals(before, heard.story());
    }

    @Test
    void aClosedDeviceTellsSoOnce() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        use(attachment, heard);
        for (int i = 0; i < 2; i++) {
            locked(
                    () -> {
                        device.close();
                        return null;
                    });
        }
        heard.awaitClosed(1);
        settle();
        // A device that connects may have met its peer again in between.
        assertTrue(
                heard.story().matches("(\\d+) opened, \\1 closed, 0 bytes \\[\\]"), heard::story);
        detach(attachment, mainLoop);
    }

    @Test
    void noDescriptorStays() throws Exception {
        round(); // Loads what is loaded once.
        long before = descriptors();
        for (int i = 0; i < DESCRIPTOR_ROUNDS; i++) {
            round();
        }
        long end = System.nanoTime() + PATIENCE_NS;
        while (descriptors() > before) {
            assertTrue(System.nanoTime() < end, () -> "more than " + before + " descriptors");
            settle();
        }
    }

    private void round() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        use(attachment, heard);
        detach(attachment, mainLoop);
        remove();
        settle();
        forget();
    }

    /** Open descriptors that a device could have, without those of the JVM's own files. */
    private long descriptors() throws IOException {
        long n = 0;
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path link : all) {
                try {
                    String target = Files.readSymbolicLink(link).toString();
                    if (target.matches("(socket|pipe|anon_inode):.*|/dev/(pts/.*|ptmx)")
                            || target.startsWith(directory.toString())) {
                        n++;
                    }
                } catch (NoSuchFileException e) {
                    // The descriptor of this very listing, or one that the JVM has closed.
                }
            }
        }
        return n;
    }
}
