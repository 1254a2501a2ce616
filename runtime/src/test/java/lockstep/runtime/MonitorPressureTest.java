package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.RtcChangeEvent;
import lockstep.api.StopEvent;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Clients that do not read, hang up in the middle, or ask for much: the process must not suffer. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class MonitorPressureTest {
    private static final String NEGOTIATE = "{\"execute\":\"qmp_capabilities\"}";

    @TempDir Path directory;

    private TestVmm vmm() throws Exception {
        return TestVmm.start(
                "-S",
                "-qmp",
                "unix:" + directory.resolve("a") + ",server,nowait",
                "-qmp",
                "unix:" + directory.resolve("b") + ",server,nowait");
    }

    private TestVmm.Client negotiated(String name) throws Exception {
        TestVmm.Client c = new TestVmm.Client(directory.resolve(name));
        c.send(NEGOTIATE);
        c.line();
        assertEquals("{\"return\": {}}", c.line());
        return c;
    }

    @Test
    void clientThatDoesNotReadHoldsNobodyUp() throws Exception {
        try (TestVmm vmm = vmm();
                TestVmm.Client deaf = negotiated("a");
                TestVmm.Client other = negotiated("b")) {
            // Answers of a megabyte each; the server stops taking up commands long before all of
            // them.
            String schema = "{\"execute\":\"query-qmp-schema\"}".repeat(64);
            deaf.send(schema);
            for (int i = 0; i < 200; i++) {
                assertEquals(
                        "{\"return\": {}, \"id\": " + i + "}",
                        other.send(
                                        "{\"execute\":\"trace-event-set-state\",\"arguments\":"
                                                + "{\"name\":\"zz*\",\"enable\":true},\"id\":"
                                                + i
                                                + "}")
                                .line());
            }
            for (int i = 0; i < 50_000; i++) {
                vmm.vmm().emit(new StopEvent());
            }
            assertTrue(
                    other.send("{\"execute\":\"query-name\",\"id\":\"end\"}")
                            .until("\"end\"}\r\n")
                            .endsWith("{\"return\": {}, \"id\": \"end\"}\r\n"));
            // And once the deaf one listens, all its answers are there.
            for (int i = 0; i < 64; i++) {
                deaf.until("{\"return\": [{");
            }
        }
    }

    @Test
    void hangUpInTheMiddleOfATextIsForgotten() throws Exception {
        try (TestVmm vmm = vmm()) {
            for (int i = 0; i < 20; i++) {
                try (TestVmm.Client c = negotiated("a")) {
                    c.send("{\"execute\":\"query-sta");
                }
            }
            try (TestVmm.Client c = negotiated("a")) {
                assertEquals("{\"return\": {}}", c.send("{\"execute\":\"query-name\"}").line());
            }
            assertEquals("prelaunch", vmm.vmm().run().state().wireName());
        }
    }

    @Test
    void eventsAGuestCanCauseAreRateLimited() throws Exception {
        try (TestVmm vmm = vmm();
                TestVmm.Client c = negotiated("a")) {
            for (int i = 0; i < 100; i++) {
                vmm.vmm().emit(new RtcChangeEvent(i, "/machine/rtc"));
            }
            assertTrue(c.line().contains("\"offset\": 0"));
            // The next one comes a second later and is the last of them.
            assertTrue(c.line().contains("\"offset\": 99"));
        }
    }
}
