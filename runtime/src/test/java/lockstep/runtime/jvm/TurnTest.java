package lockstep.runtime.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that take turns; what one does in its turn is seen by how many are in theirs. */
@Timeout(60)
final class TurnTest {
    private static final int THREADS = 4;
    private static final int ROUNDS = 2000;

    private final AtomicInteger inside = new AtomicInteger();
    private final AtomicInteger mostInside = new AtomicInteger();

    /** Runs as a vCPU does, until it is asked to yield. */
    private final class Player implements Turn.Player, Runnable {
        private final Turn turn;
        private final boolean keepsOthersOut;
        private volatile boolean asked;

        Player(Turn turn, boolean keepsOthersOut) {
            this.turn = turn;
            this.keepsOthersOut = keepsOthersOut;
        }

        @Override
        public void yield() {
            asked = true;
        }

        @Override
        public void run() {
            for (int i = 0; i < ROUNDS; i++) {
                turn.take(this);
                asked = false;
                mostInside.accumulateAndGet(inside.incrementAndGet(), Math::max);
                for (int n = 0; n < 100 && !asked; n++) {
                    Thread.onSpinWait();
                }
                inside.decrementAndGet();
                turn.give(this);
                if (keepsOthersOut) {
                    turn.close();
                    assertEquals(0, inside.get());
                    turn.open();
                }
            }
        }
    }

    private void play(int most, boolean keepOthersOut) throws InterruptedException {
        Turn turn = new Turn(most);
        List<Throwable> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            Thread t = Thread.ofPlatform().unstarted(new Player(turn, keepOthersOut && i < 2));
            t.setUncaughtExceptionHandler(
                    (thread, e) -> {
                        synchronized (failures) {
                            failures.add(e);
                        }
                    });
            threads.add(t);
        }
        threads.forEach(Thread::start);
        for (Thread t : threads) {
            t.join();
        }
        assertEquals(List.of(), failures);
    }

    @Test
    void noMoreThanSoManyRunAtATime() throws InterruptedException {
        play(1, false);
        assertEquals(1, mostInside.get());
    }

    @Test
    void allRunAtTheSameTime() throws InterruptedException {
        play(Integer.MAX_VALUE, false);
        assertTrue(mostInside.get() > 1);
    }

    @Test
    void nobodyRunsWhileOneKeepsTheOthersOut() throws InterruptedException {
        play(Integer.MAX_VALUE, true);
    }
}
