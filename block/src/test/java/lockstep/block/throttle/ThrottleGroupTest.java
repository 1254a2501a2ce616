package lockstep.block.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.ThrottleLimits;
import lockstep.block.node.BlockException;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The buckets against a clock of the test's own, and who waits for whom. */
class ThrottleGroupTest {
    private static final long SECOND = 1_000_000_000;

    private long now;

    private ThrottleGroup group(ThrottleLimits limits) throws BlockException {
        ThrottleGroup group = new ThrottleGroup("g", () -> now);
        group.limits(Limits.NONE.with(limits));
        return group;
    }

    /** Lets requests begin one after the other; gives the bytes of those that began within so many seconds. */
    private long run(ThrottleGroup group, boolean write, long length, long seconds) {
        long end = now + seconds * SECOND;
        long bytes = 0;
        while (now < end) {
            long wait = group.nanosToWait(write);
            if (wait > 0) {
                now += wait;
                assertTrue(group.nanosToWait(write) <= 1, "the wait was long enough");
                continue;
            }
            group.count(write, length);
            bytes += length;
        }
        return bytes;
    }

    @Test
    void keepsTheAverage() throws BlockException {
        Random random = new Random(7);
        for (int i = 0; i < 50; i++) {
            long average = 10_000 + random.nextInt(1_000_000);
            int length = 512 * (1 + random.nextInt(64));
            ThrottleGroup group = group(ThrottleLimits.builder().bpsTotal(average).build());
            long bytes = run(group, random.nextBoolean(), length, 20);
            long most = 20 * average + average / 10 + 2L * length;
            assertTrue(bytes <= most, () -> bytes + " of at most " + most);
            assertTrue(bytes >= 20 * average, () -> bytes + " of at least " + 20 * average);
        }
    }

    @Test
    void countsRequestsByTheirLength() throws BlockException {
        ThrottleLimits limits = ThrottleLimits.builder().iopsRead(100L).iopsSize(4096L).build();
        long small = run(group(limits), false, 512, 10) / 512;
        long large = run(group(limits), false, 16384, 10) / 16384;
        assertTrue(small >= 1000 && small <= 1012, () -> "short ones: " + small);
        assertTrue(large >= 250 && large <= 254, () -> "ones of four units: " + large);
        ThrottleGroup free = group(limits);
        free.count(true, 1 << 30);
        assertEquals(0, free.nanosToWait(true), "writes are not limited");
        assertEquals(0, free.nanosToWait(false), "and do not count as reads");
    }

    @Test
    void burstsForItsSeconds() throws BlockException {
        ThrottleGroup group =
                group(
                        ThrottleLimits.builder()
                                .bpsWrite(1000L)
                                .bpsWriteMax(5000L)
                                .bpsWriteMaxLength(4L)
                                .build());
        long first = run(group, true, 100, 4);
        long then = run(group, true, 100, 40);
        assertTrue(first >= 4 * 5000 && first <= 4 * 5000 + 700, () -> "burst: " + first);
        assertTrue(then >= 40 * 1000 && then <= 46 * 1000, () -> "after it: " + then);
    }

    @Test
    void changedLimitsForgetWhatWasUsed() throws BlockException {
        ThrottleGroup group = group(ThrottleLimits.builder().iopsTotal(1L).build());
        group.count(false, 1);
        assertTrue(group.nanosToWait(false) > 0);
        group.limits(group.limits());
        assertEquals(0, group.nanosToWait(false));
    }

    private static CompletableFuture<Void> later(ThrottleGroup.Member member) {
        return CompletableFuture.runAsync(() -> member.admit(true, 1 << 20));
    }

    @Test
    void waitingRequestsGoOnWhenAChangeOrTheEndWantsIt() throws Exception {
        ThrottleGroup group = new ThrottleGroup("g");
        group.limits(Limits.NONE.with(ThrottleLimits.builder().bpsTotal(1L).build()));
        try (ThrottleGroup.Member one = group.join();
                ThrottleGroup.Member other = group.join()) {
            one.admit(true, 1 << 20);
            CompletableFuture<Void> first = later(one);
            CompletableFuture<Void> second = later(other);
            one.hurry();
            first.get(1, TimeUnit.MINUTES);
            one.calm();
            assertFalse(second.isDone(), "the other member still waits");
            group.limits(Limits.NONE);
            second.get(1, TimeUnit.MINUTES);
            group.limits(Limits.NONE.with(ThrottleLimits.builder().bpsTotal(1L).build()));
            one.admit(true, 1 << 20);
            CompletableFuture<Void> third = later(one);
            group.end();
            third.get(1, TimeUnit.MINUTES);
        }
        assertFalse(group.used());
    }

    /** A member with many requests does not keep the others waiting. */
    @Test
    void membersTakeTurns() throws Exception {
        ThrottleGroup group = new ThrottleGroup("g");
        group.limits(Limits.NONE.with(ThrottleLimits.builder().iopsTotal(1L).build()));
        List<String> order = new ArrayList<>();
        try (ThrottleGroup.Member busy = group.join();
                ThrottleGroup.Member calm = group.join()) {
            busy.admit(true, 1);
            List<CompletableFuture<Void>> all = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                all.add(asks(busy, "busy", order));
            }
            all.add(asks(calm, "calm", order));
            group.limits(Limits.NONE.with(ThrottleLimits.builder().iopsTotal(8L).build()));
            CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get(1, TimeUnit.MINUTES);
        }
        assertEquals(7, order.size());
        assertTrue(order.indexOf("calm") <= 3, order::toString);
    }

    private static CompletableFuture<Void> asks(
            ThrottleGroup.Member member, String name, List<String> order)
            throws InterruptedException {
        CountDownLatch started = new CountDownLatch(1);
        int before = member.waiting();
        CompletableFuture<Void> done = new CompletableFuture<>();
        Thread.ofPlatform()
                .start(
                        () -> {
                            started.countDown();
                            member.admit(true, 1);
                            synchronized (order) {
                                order.add(name);
                            }
                            done.complete(null);
                        });
        started.await();
        while (member.waiting() == before) {
            Thread.onSpinWait();
        }
        return done;
    }

    private static void refused(String message, ThrottleLimits limits) {
        BlockException e =
                assertThrows(BlockException.class, () -> Limits.NONE.with(limits), message);
        assertEquals(message, e.getMessage());
    }

    @Test
    void refusesWhatMakesNoSense() throws BlockException {
        String range = "bps/iops/max values must be within [0, 1000000000000000]";
        refused(range, ThrottleLimits.builder().iopsTotal(-1L).build());
        refused(range, ThrottleLimits.builder().bpsWrite(1_000_000_000_000_001L).build());
        refused(
                "bps/iops/max total values and read/write values cannot be used at the same time",
                ThrottleLimits.builder().bpsTotal(1L).bpsRead(1L).build());
        refused(
                "the burst length cannot be 0",
                ThrottleLimits.builder().bpsReadMaxLength(0L).build());
        refused(
                "iops-read-max-length value must be in the range [0, 4294967295]",
                ThrottleLimits.builder().iopsReadMaxLength(1L << 32).build());
        assertTrue(
                Limits.NONE.with(ThrottleLimits.builder().iopsRead(3L).iopsSize(1L).build()).any());
        assertFalse(Limits.NONE.with(ThrottleLimits.builder().build()).any());
    }
}
