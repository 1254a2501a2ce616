package lockstep.runtime.trace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.List;

final class TraceTest {
    @Test
    void qemuHas17ColoAnd60MigrationNames() {
        assertEquals(17 + TraceNames.OURS.size(), Trace.match("colo*").size());
        assertTrue(Trace.match("migrat*").size() >= 60);
    }

    @Test
    void lastRegisteredComesFirst() {
        List<TraceEvent> colo = Trace.match("colo_*");
        assertEquals("colo_filter_rewriter_conn_offset", colo.getFirst().name());
    }

    @Test
    void onlyAStarMakesAPattern() {
        assertFalse(Trace.enable("colo_v?_state_change", true));
        assertTrue(Trace.enable("colo_v?_state_chang*", false));
        assertTrue(Trace.enable("zzz*", true));
        assertFalse(Trace.enable("zzz", true));
        assertTrue(Trace.match("zzz*").isEmpty());
    }

    @Test
    void manyStarsDoNotExplode() {
        assertFalse(Trace.glob("*a*a*a*a*a*a*a*a*b", "a".repeat(5000)));
        assertTrue(Trace.glob("*", ""));
        assertTrue(Trace.glob("a*c", "abc"));
        assertFalse(Trace.glob("a?c", "ac"));
    }
}
