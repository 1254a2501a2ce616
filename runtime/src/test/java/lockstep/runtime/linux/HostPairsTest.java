package lockstep.runtime.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

final class HostPairsTest {
    private static final int ROUNDS = 100_000;

    private final MemorySegment pair = Arena.ofAuto().allocate(16, 16);

    @BeforeEach
    void assumeAvailable() {
        assumeTrue(HostPairs.available(), "the host is no x86-64");
    }

    private long word(int n) {
        return pair.getAtIndex(ValueLayout.JAVA_LONG, n);
    }

    @Test
    void storesBothWordsIfBothOthersAreThere() {
        long host = pair.address();
        assertTrue(HostPairs.exchange(host, 0, 0, -1, 2));
        assertFalse(HostPairs.exchange(host, -1, 3, 4, 5));
        assertFalse(HostPairs.exchange(host, 1, 2, 4, 5));
        assertEquals(-1, word(0));
        assertEquals(2, word(1));
        assertTrue(HostPairs.exchange(host, -1, 2, Long.MIN_VALUE, Long.MAX_VALUE));
        assertEquals(Long.MIN_VALUE, word(0));
        assertEquals(Long.MAX_VALUE, word(1));
    }

    @Test
    void isOneStepForOtherThreads() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            threads.add(Thread.ofPlatform().start(this::count));
        }
        for (Thread t : threads) {
            t.join();
        }
        assertEquals(2 * ROUNDS, word(0));
        assertEquals(-2 * ROUNDS, word(1));
    }

    private void count() {
        for (int i = 0; i < ROUNDS; i++) {
            long low;
            long high;
            do {
                low = word(0);
                high = word(1);
            } while (!HostPairs.exchange(pair.address(), low, high, low + 1, high - 1));
        }
    }
}
