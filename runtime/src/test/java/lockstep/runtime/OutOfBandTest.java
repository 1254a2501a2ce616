package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.StopEvent;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** What a client can still do while the main loop is blocked with the machine lock in its hands. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class OutOfBandTest {
    private static final String ENABLE =
            "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}";
    private static final String YANK = "{'exec-oob':'yank','arguments':{'instances':[]},'id':'%s'}";

    @TempDir Path directory;
    private TestVmm vmm;
    private final CountDownLatch release = new CountDownLatch(1);

    @BeforeEach
    void start() throws Exception {
        vmm = TestVmm.start("-S", "-qmp", "unix:" + directory.resolve("a") + ",server,nowait");
    }

    @AfterEach
    void stop() {
        release.countDown();
        vmm.close();
    }

    private TestVmm.Client client(String negotiation) throws Exception {
        TestVmm.Client c = new TestVmm.Client(directory.resolve("a"));
        c.line();
        assertEquals("{\"return\": {}}", c.send(negotiation).line());
        return c;
    }

    /** Returns when the main loop hangs, until {@link #release}. */
    private void block() throws Exception {
        CountDownLatch blocked = new CountDownLatch(1);
        vmm.vmm()
                .mainLoop()
                .execute(
                        () -> {
                            blocked.countDown();
                            awaitRelease();
                        });
        blocked.await();
    }

    private void awaitRelease() {
        try {
            release.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static String done(String id) {
        return "{\"return\": {}, \"id\": \"" + id + "\"}";
    }

    @Test
    void overtakesWhatTheMainLoopDoesNotGetTo() throws Exception {
        try (TestVmm.Client c = client(ENABLE)) {
            block();
            c.send("{'execute':'query-name','id':'slow'}");
            for (int i = 0; i < 100; i++) {
                assertEquals(done("y" + i), c.send(YANK.formatted("y" + i)).line());
            }
            assertTrue(c.send("{'exec-oob':'query-yank','id':'q'}").line().contains("chardev"));
            release.countDown();
            assertEquals(done("slow"), c.line());
        }
    }

    @Test
    void queueOfEight() throws Exception {
        try (TestVmm.Client c = client(ENABLE)) {
            block();
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 7; i++) {
                text.append("{'execute':'query-name','id':'").append(i).append("'}");
            }
            // Seven wait; the yank behind them is still read, and so is an eighth command.
            c.send(text + YANK.formatted("first") + "{'execute':'query-name','id':'7'}");
            assertEquals(done("first"), c.line());
            // Eight wait: what comes now is not looked at before one of them was taken up.
            c.send(YANK.formatted("second"));
            vmm.vmm().emit(new StopEvent());
            assertTrue(c.line().endsWith("\"event\": \"STOP\"}"));
            release.countDown();
            StringBuilder ids = new StringBuilder();
            for (int i = 0; i < 9; i++) {
                ids.append(c.line().replaceAll(".*\"id\": \"(.*)\"}", "$1 "));
            }
            assertEquals("0 1 2 3 4 5 6 7 ", ids.toString().replace("second ", ""));
            assertTrue(ids.indexOf("second") >= 0, ids.toString());
        }
    }

    @Test
    void endOfInputWaitsForTheQueue() throws Exception {
        int count = 100;
        try (TestVmm.Client c = client(ENABLE)) {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < count; i++) {
                text.append("{'execute':'query-name','id':").append(i).append('}');
            }
            c.send(text.toString()).endInput();
            assertEquals(count, c.rest().split("\r\n").length);
        }
    }

    @Test
    void withoutTheCapabilityOneAtATime() throws Exception {
        try (TestVmm.Client c = client("{'execute':'qmp_capabilities'}")) {
            block();
            c.send("{'execute':'query-name','id':1}" + YANK.formatted("x"));
            release.countDown();
            assertEquals("{\"return\": {}, \"id\": 1}", c.line());
            assertEquals(
                    "{\"id\": \"x\", \"error\": {\"class\": \"GenericError\", \"desc\":"
                            + " \"QMP input member 'exec-oob' is unexpected\"}}",
                    c.line());
        }
    }

    @Test
    void theNextClientIsGreetedAndOwesNothingToTheOneBefore() throws Exception {
        TestVmm.Client first = client(ENABLE);
        block();
        for (int i = 0; i < 8; i++) {
            first.send("{'execute':'stop','id':" + i + "}");
        }
        first.close();
        try (TestVmm.Client second = new TestVmm.Client(directory.resolve("a"))) {
            assertTrue(second.line().startsWith("{\"QMP\": "));
            second.send("{'execute':'qmp_capabilities','id':'mine'}");
            release.countDown();
            assertEquals(done("mine"), second.line());
        }
    }

    @Test
    void yankCutsAConnectionWhileTheMainLoopWaitsForIt() throws Exception {
        try (TestVmm.Client c = client(ENABLE);
                ServerSocketChannel server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress("127.0.0.1", 0));
            int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
            c.send(
                    "{'execute':'chardev-add','arguments':{'id':'peer','backend':{'type':'socket',"
                            + "'data':{'server':false,'addr':{'type':'inet','data':"
                            + "{'host':'127.0.0.1','port':'"
                            + port
                            + "'}}}}}}");
            assertEquals("{\"return\": {}}", c.line());
            try (SocketChannel peer = server.accept()) {
                block();
                c.send(
                        "{'exec-oob':'yank','id':1,'arguments':{'instances':"
                                + "[{'type':'chardev','id':'peer'}]}}");
                assertEquals("{\"return\": {}, \"id\": 1}", c.line());
                assertEquals(-1, peer.read(ByteBuffer.allocate(1)));
            }
        }
    }

    @Test
    void devicesThatStayOnTheMainLoopDoNotOfferIt() throws Exception {
        try (TestVmm none =
                        TestVmm.start(
                                "-S",
                                "-chardev",
                                "ringbuf,id=r",
                                "-mon",
                                "chardev=r,mode=control",
                                "-qmp",
                                "unix:" + directory.resolve("b") + ",server,nowait");
                TestVmm.Client c = new TestVmm.Client(directory.resolve("b"))) {
            assertTrue(c.line().endsWith("\"capabilities\": [\"oob\"]}}"));
            c.send("{'execute':'qmp_capabilities'}");
            c.line();
            String text =
                    c.send("{'execute':'ringbuf-read','arguments':{'device':'r','size':1000}}")
                            .line();
            assertTrue(text.endsWith("\\\"capabilities\\\": []}}\\r\\n\"}"), text);
            assertEquals("prelaunch", none.vmm().run().state().wireName());
        }
    }
}
