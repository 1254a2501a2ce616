package lockstep.colo.heartbeat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Random;

/** Whatever is delayed or lost, the primary's lease is over before the secondary may be heard. */
class LeaseTest {
    @Test
    void endsForThePrimaryFirst() {
        Lease primary = new Lease(800);
        Lease secondary = new Lease(800);
        assertFalse(primary.valid(0));
        assertEquals(0, secondary.silence(0));
        secondary.promise(110); // what was sent at 100
        primary.granted(100, 800);
        assertTrue(primary.valid(799));
        assertFalse(primary.valid(800));
        assertEquals(1, secondary.silence(909));
        assertEquals(0, secondary.silence(910));
    }

    @Test
    void theShorterOneCounts() {
        Lease primary = new Lease(8000);
        primary.granted(0, 800);
        assertFalse(primary.valid(700));
    }

    @Test
    void neverBothAtOnce() {
        Random random = new Random(4);
        for (int round = 0; round < 2000; round++) {
            // Clocks that begin anywhere, also where they run over.
            long origin = random.nextLong();
            Lease primary = new Lease(1000);
            Lease secondary = new Lease(1000);
            long[] sent = new long[3];
            long[] came = new long[3];
            for (int i = 0; i < 3; i++) {
                sent[i] = origin + random.nextInt(2000);
                came[i] = sent[i] + random.nextInt(2000);
                secondary.promise(came[i]);
            }
            for (int i = random.nextInt(3); i < 3; i++) {
                primary.granted(sent[i], 1000);
            }
            for (long t = 0; t < 6000; t += 50) {
                boolean heard = secondary.silence(origin + t) == 0;
                assertFalse(primary.valid(origin + t) && heard, "both at " + t);
            }
        }
    }
}
