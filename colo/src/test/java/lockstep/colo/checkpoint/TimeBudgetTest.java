package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/** What is named when time is up, and what keeps it from being up. */
@Timeout(60)
class TimeBudgetTest {
    private final CountDownLatch cut = new CountDownLatch(1);
    private final AtomicLong millis = new AtomicLong(50);
    private final TimeBudget budget = new TimeBudget("test", millis::get, cut::countDown);

    @Test
    void namesThePhase() throws InterruptedException {
        budget.phase("first");
        budget.phase("second");
        cut.await();
        assertEquals("test: no second within 50 ms", budget.exceeded());
    }

    @Test
    void phasesOfAPauseShareIt() throws InterruptedException {
        budget.pause();
        int phases = 0;
        while (cut.getCount() > 0) {
            budget.phase("phase " + phases++, System::nanoTime);
            Thread.sleep(1);
        }
        assertEquals(
                "test: no phase %d within 50 ms of the guest's stop".formatted(phases - 1),
                budget.exceeded());
    }

    @Test
    void progressBeginsItAnew() throws InterruptedException {
        AtomicLong asked = new AtomicLong();
        budget.phase("progress", () -> Math.min(5, asked.incrementAndGet()));
        cut.await();
        assertEquals("test: no progress within 50 ms", budget.exceeded());
        assertTrue(asked.get() > 5, "asked " + asked + " times");
    }

    @Test
    void restEndsAPause() throws InterruptedException {
        budget.pause();
        budget.rest();
        budget.phase("phase");
        cut.await();
        assertEquals("test: no phase within 50 ms", budget.exceeded());
    }

    @Test
    void noneIsForEver() throws InterruptedException {
        millis.set(0);
        budget.phase("end");
        Thread.sleep(20);
        assertNull(budget.exceeded());
    }
}
