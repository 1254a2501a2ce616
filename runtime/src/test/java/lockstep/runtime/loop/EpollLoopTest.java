package lockstep.runtime.loop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.Sockets;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

@Timeout(30)
class EpollLoopTest {
    private final VmClocks clocks = new VmClocks();
    private final MachineLock lock = new MachineLock();
    private final BlockingQueue<Throwable> failures = new ArrayBlockingQueue<>(10);
    private EpollLoop loop;

    @BeforeEach
    void start() throws Exception {
        loop = new EpollLoop("test loop", clocks, lock, (name, t) -> failures.add(t));
        loop.start();
    }

    @AfterEach
    void stop() {
        loop.close();
    }

    @Test
    void aTimerThatIsCancelledUnderTheLockDoesNotGoOff() throws Exception {
        BlockingQueue<Boolean> wentOff = new ArrayBlockingQueue<>(1);
        Timer timer = loop.timer(ClockType.REALTIME, () -> wentOff.add(true));
        Thread waits =
                Thread.getAllStackTraces().keySet().stream()
                        .filter(t -> t.getName().equals("test loop"))
                        .findFirst()
                        .orElseThrow();
        lock.acquire();
        timer.arm(0);
        while (waits.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        timer.cancel();
        lock.release();
        CountDownLatch later = new CountDownLatch(1);
        loop.execute(later::countDown);
        later.await();
        assertTrue(wentOff.isEmpty());
    }

    @Test
    void tasksRunInOrderUnderTheLockAndSurviveFailures() throws Exception {
        List<Integer> seen = new CopyOnWriteArrayList<>();
        CountDownLatch done = new CountDownLatch(1);
        loop.execute(
                () -> {
                    throw new IllegalStateException("expected");
                });
        for (int i = 0; i < 1000; i++) {
            int n = i;
            loop.execute(() -> seen.add(lock.held() && loop.inLoop() ? n : -1));
        }
        loop.execute(done::countDown);
        done.await();
        assertEquals(1000, seen.size());
        for (int i = 0; i < 1000; i++) {
            assertEquals(i, seen.get(i));
        }
        assertEquals("expected", failures.take().getMessage());
    }

    @Test
    void aReadyDescriptorIsReportedUntilTheWatchIsClosed() throws Exception {
        Fd[] pair = Sockets.pair();
        BlockingQueue<String> got = new ArrayBlockingQueue<>(10);
        byte[] buffer = new byte[100];
        EventLoop.Watch watch =
                loop.watch(
                        pair[0].number(),
                        EventLoop.READ,
                        events -> {
                            int n = FileIo.read(pair[0].number(), buffer, 0, buffer.length);
                            got.add(new String(buffer, 0, n, StandardCharsets.UTF_8));
                        });
        byte[] hello = "hello".getBytes(StandardCharsets.UTF_8);
        assertEquals(5, Sockets.send(pair[1].number(), hello, 0, 5));
        assertEquals("hello", got.take());
        lock.run(watch::close);
        assertEquals(5, Sockets.send(pair[1].number(), hello, 0, 5));
        CountDownLatch turn = new CountDownLatch(2);
        loop.execute(() -> loop.execute(turn::countDown));
        loop.execute(turn::countDown);
        turn.await();
        assertTrue(got.isEmpty());
        pair[0].close();
        pair[1].close();
    }

    @Test
    void virtualTimersWaitForTheGuestsClock() throws Exception {
        BlockingQueue<Long> fired = new ArrayBlockingQueue<>(10);
        Timer guest = loop.timer(ClockType.VIRTUAL, () -> fired.add(clocks.virtual()));
        clocks.setVirtual(5_000_000_000L);
        guest.arm(5_001_000_000L);
        CountDownLatch real = new CountDownLatch(1);
        loop.timer(ClockType.REALTIME, real::countDown).arm(System.nanoTime() + 20_000_000);
        real.await();
        assertTrue(fired.isEmpty());
        assertEquals(5_001_000_000L, guest.deadline());
        clocks.startVirtual();
        assertTrue(fired.take() >= 5_001_000_000L);
        assertFalse(guest.armed());
        clocks.stopVirtual();
        long stopped = clocks.virtual();
        assertEquals(stopped, clocks.virtual());
    }

    @Test
    void timersFireInOrderOfTheirDeadlines() throws Exception {
        BlockingQueue<Integer> fired = new ArrayBlockingQueue<>(100);
        long now = System.nanoTime();
        for (int i = 0; i < 50; i++) {
            int n = (i * 37) % 50;
            Timer t = loop.timer(ClockType.REALTIME, () -> fired.add(n));
            t.arm(now + 500_000_000 + n * 100_000L);
            if (n % 5 == 0) {
                t.cancel();
            } else {
                t.arm(now + 30_000_000 + n * 100_000L);
            }
        }
        for (int n = 0; n < 50; n++) {
            if (n % 5 != 0) {
                assertEquals(n, fired.poll(10, TimeUnit.SECONDS));
            }
        }
    }

    @Test
    void aFileThatEpollDoesNotTakeIsAlwaysReady() throws Exception {
        Fd file = FileIo.open("/dev/null", 0, 0);
        CountDownLatch end = new CountDownLatch(1);
        EventLoop.Watch[] watch = new EventLoop.Watch[1];
        lock.run(
                () ->
                        watch[0] =
                                loop.watch(
                                        file.number(),
                                        EventLoop.READ,
                                        events -> {
                                            watch[0].close();
                                            end.countDown();
                                        }));
        end.await();
        file.close();
    }
}
