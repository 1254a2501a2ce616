package lockstep.block.throttle;

import lockstep.block.node.Throttle;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Limits that several members share. Each limit is a bucket that leaks at its average rate: a request fills it and
 * goes on when it is not too full. Of the members that have requests waiting each goes on in turn. Any thread.
 */
public final class ThrottleGroup {
    /** Part of a second's worth that may come at once where no burst is allowed or a long one is under way. */
    private static final double AT_ONCE = 0.1;

    private static final class Bucket {
        /** Units in the bucket. */
        double level;

        /** Units above the burst's rate, where bursts may last longer than a second. */
        double burstLevel;
    }

    /** One disk or node whose requests are counted. */
    public final class Member implements Throttle, AutoCloseable {
        private final Deque<Object> reads = new ArrayDeque<>();
        private final Deque<Object> writes = new ArrayDeque<>();
        private int hurrying;

        private Member() {}

        /** The group. */
        public ThrottleGroup group() {
            return ThrottleGroup.this;
        }

        @Override
        public void admit(boolean write, long bytes) {
            await(this, write, bytes);
        }

        @Override
        public void hurry() {
            synchronized (ThrottleGroup.this) {
                hurrying++;
                ThrottleGroup.this.notifyAll();
            }
        }

        @Override
        public void calm() {
            synchronized (ThrottleGroup.this) {
                hurrying--;
            }
        }

        /** Leaves the group. */
        @Override
        public void close() {
            leave();
        }

        /** How many of its requests wait. */
        int waiting() {
            synchronized (ThrottleGroup.this) {
                return reads.size() + writes.size();
            }
        }

        private Deque<Object> waiting(boolean write) {
            return write ? writes : reads;
        }
    }

    private final String name;
    private final Bucket[] buckets = new Bucket[Measure.values().length];
    private final Deque<Member> readers = new ArrayDeque<>();
    private final Deque<Member> writers = new ArrayDeque<>();
    private Limits limits = Limits.NONE;
    private final LongSupplier clock;
    private long leaked;
    private int members;
    private boolean ending;

    ThrottleGroup(String name) {
        this(name, System::nanoTime);
    }

    /** With a clock that counts nanoseconds. */
    ThrottleGroup(String name, LongSupplier clock) {
        this.name = name;
        this.clock = clock;
        leaked = clock.getAsLong();
        for (int i = 0; i < buckets.length; i++) {
            buckets[i] = new Bucket();
        }
    }

    /** What users call it. */
    public String name() {
        return name;
    }

    /** What it allows. */
    public synchronized Limits limits() {
        return limits;
    }

    /** Sets what it allows; what was used up is forgotten. */
    public synchronized void limits(Limits limits) {
        this.limits = limits;
        leaked = clock.getAsLong();
        for (Bucket b : buckets) {
            b.level = 0;
            b.burstLevel = 0;
        }
        notifyAll();
    }

    /** A new member. */
    public synchronized Member join() {
        members++;
        return new Member();
    }

    private synchronized void leave() {
        members--;
    }

    /** Whether it has members. */
    synchronized boolean used() {
        return members > 0;
    }

    /** Nobody waits any more: the process is about to end. */
    synchronized void end() {
        ending = true;
        notifyAll();
    }

    private synchronized void await(Member member, boolean write, long bytes) {
        Deque<Member> line = write ? writers : readers;
        Deque<Object> own = member.waiting(write);
        Object ticket = new Object();
        if (own.isEmpty()) {
            line.addLast(member);
        }
        own.addLast(ticket);
        boolean interrupted = false;
        while (!ending && member.hurrying == 0) {
            long wait = 0;
            if (line.peekFirst() == member && own.peekFirst() == ticket) {
                wait = nanosToWait(write);
                if (wait <= 0) {
                    break;
                }
            }
            try {
                TimeUnit.NANOSECONDS.timedWait(this, wait == 0 ? Long.MAX_VALUE : wait);
            } catch (InterruptedException e) {
                interrupted = true;
                break;
            }
        }
        own.remove(ticket);
        line.remove(member);
        if (!own.isEmpty()) {
            line.addLast(member);
        }
        count(write, bytes);
        notifyAll();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void leak() {
        long now = clock.getAsLong();
        double seconds = (now - leaked) / 1e9;
        leaked = now;
        for (Measure m : Measure.values()) {
            Limits.Limit limit = limits.of(m);
            Bucket b = buckets[m.ordinal()];
            b.level = Math.max(0, b.level - limit.average() * seconds);
            if (limit.seconds() > 1) {
                b.burstLevel = Math.max(0, b.burstLevel - limit.burst() * seconds);
            }
        }
    }

    /** How long the next request of that direction has to wait. */
    synchronized long nanosToWait(boolean write) {
        leak();
        double seconds = 0;
        for (Measure m : Measure.values()) {
            Limits.Limit limit = limits.of(m);
            if (m.counts(write) && limit.average() != 0) {
                seconds = Math.max(seconds, secondsToWait(limit, buckets[m.ordinal()]));
            }
        }
        return (long) Math.ceil(seconds * 1e9);
    }

    private static double secondsToWait(Limits.Limit limit, Bucket bucket) {
        double size =
                limit.burst() == 0
                        ? limit.average() * AT_ONCE
                        : (double) limit.burst() * limit.seconds();
        if (bucket.level > size) {
            return (bucket.level - size) / limit.average();
        }
        double over = bucket.burstLevel - limit.burst() * AT_ONCE;
        return limit.seconds() > 1 && over > 0 ? over / limit.burst() : 0;
    }

    /** Counts a request that begins. */
    synchronized void count(boolean write, long bytes) {
        double requests = 1;
        if (limits.unit() != 0 && Long.compareUnsigned(bytes, limits.unit()) > 0) {
            requests = (double) bytes / limits.unit();
        }
        for (Measure m : Measure.values()) {
            if (m.counts(write)) {
                double units = m.bytes() ? bytes : requests;
                Bucket b = buckets[m.ordinal()];
                b.level += units;
                if (limits.of(m).seconds() > 1) {
                    b.burstLevel += units;
                }
            }
        }
    }
}
