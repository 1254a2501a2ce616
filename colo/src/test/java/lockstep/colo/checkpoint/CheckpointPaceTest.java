package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** A guest that stands one millisecond per twenty of its period, and two in any case. */
class CheckpointPaceTest {
    private static final long MILLISECOND = 1_000_000;

    private long most = 20_000;
    private long wanted;
    private boolean waited;
    private final CheckpointPace pace = new CheckpointPace(() -> most, () -> wanted);

    private void checkpoints(int count) {
        for (int i = 0; i < count; i++) {
            pace.stood((2 + pace.millis() / 20) * MILLISECOND, waited);
        }
    }

    @Test
    void withoutAWishThePeriodIsTheUsers() {
        checkpoints(10);
        assertEquals(20_000, pace.millis());
        most = 300;
        assertEquals(300, pace.millis());
    }

    @Test
    void hurriesUntilThePauseIsAsWanted() {
        wanted = 50;
        checkpoints(30);
        long pause = 2 + pace.millis() / 20;
        assertTrue(pause >= 38 && pause <= 63, "stands " + pause);
    }

    @Test
    void theDelayStaysTheMost() {
        wanted = 50;
        checkpoints(30);
        wanted = 1_000_000;
        checkpoints(60);
        assertEquals(20_000, pace.millis());
        most = 100;
        assertEquals(100, pace.millis());
    }

    @Test
    void packetsThatWaitShortenThePeriod() {
        wanted = 5000;
        waited = true;
        checkpoints(1);
        assertEquals(10_000, pace.millis());
        checkpoints(30);
        assertTrue(pace.millis() < 50, "period " + pace.millis());
        waited = false;
        checkpoints(60);
        assertEquals(20_000, pace.millis());
    }

    @Test
    void aPauseThatHasteDoesNotShortenIsBorne() {
        wanted = 1;
        for (int i = 0; i < 50; i++) {
            pace.stood(100 * MILLISECOND, false);
        }
        assertEquals(500, pace.millis());
        wanted = 0;
        assertEquals(20_000, pace.millis());
    }
}
