package lockstep.block.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Who may be inside a range together. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class TrackedRequestsTest {
    private static final int BYTES = 256;
    private static final int THREADS = 8;
    private static final int STEPS = Integer.getInteger("lockstep.test.steps", 3000);

    /** Per byte: how many requests are inside, or a large number for one that is alone. */
    private final AtomicInteger[] model = new AtomicInteger[BYTES];

    private final List<String> faults = new ArrayList<>();

    private void mark(int from, int to, int by) {
        for (int i = from; i < to; i++) {
            int now = model[i].addAndGet(by);
            if (now != 1000 && (now >= 1000 || now < 0)) {
                synchronized (faults) {
                    faults.add("byte " + i + ": " + now);
                }
            }
        }
    }

    @Test
    void whoKeepsOthersOutIsAlone() throws Exception {
        for (int i = 0; i < BYTES; i++) {
            model[i] = new AtomicInteger();
        }
        TrackedRequests requests = new TrackedRequests();
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
            Random random = new Random(t);
            threads.add(Thread.ofPlatform().start(() -> run(requests, random)));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), faults);
    }

    private void run(TrackedRequests requests, Random random) {
        for (int step = 0; step < STEPS; step++) {
            int length = 1 + random.nextInt(40);
            int offset = random.nextInt(BYTES - length);
            int piece = random.nextInt(3) == 0 ? 1 << random.nextInt(6) : 0;
            TrackedRequests.Entry entry = requests.begin(offset, length, piece);
            int from = piece == 0 ? offset : offset & -piece;
            int to = piece == 0 ? offset + length : offset + length + piece - 1 & -piece;
            mark(from, Math.min(to, BYTES), piece == 0 ? 1 : 1000);
            Thread.yield();
            mark(from, Math.min(to, BYTES), piece == 0 ? -1 : -1000);
            requests.end(entry);
        }
    }

    @Test
    void requestsOfNoExclusionRunBesideEachOther() {
        TrackedRequests requests = new TrackedRequests();
        TrackedRequests.Entry first = requests.begin(0, 100, 0);
        TrackedRequests.Entry second = requests.begin(50, 100, 0);
        TrackedRequests.Entry elsewhere = requests.begin(4096, 1, 4096);
        requests.end(second);
        requests.end(first);
        requests.end(elsewhere);
    }

    @Test
    void aLaterOneDoesNotOvertake() throws Exception {
        TrackedRequests requests = new TrackedRequests();
        TrackedRequests.Entry reader = requests.begin(0, 10, 0);
        List<String> order = new ArrayList<>();
        CountDownLatch begun = new CountDownLatch(1);
        Thread alone =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    begun.countDown();
                                    TrackedRequests.Entry e = requests.begin(0, 10, 1);
                                    order.add("alone");
                                    requests.end(e);
                                });
        begun.await();
        while (alone.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        Thread late =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    TrackedRequests.Entry e = requests.begin(5, 10, 0);
                                    order.add("late");
                                    requests.end(e);
                                });
        while (late.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        assertTrue(order.isEmpty());
        requests.end(reader);
        alone.join();
        late.join();
        assertEquals(List.of("alone", "late"), order);
    }
}
