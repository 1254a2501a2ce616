package lockstep.runtime.chip;

import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

/**
 * The timer of a local APIC (Intel SDM volume 3, section 11.5.4): counts down once or over and over, or waits for a value
 * of the time stamp counter. All calls come under the lock that the APIC has, which the alarm takes by itself.
 */
final class ApicTimer {
    static final int PERIODIC = 1 << 17;
    static final int MODE = 3 << 17;
    static final int DEADLINE = 2 << 17;

    /** The timer goes off no more often, in nanoseconds, so that no guest can keep the loop busy with nothing else. */
    private static final long SHORTEST_PERIOD = 20_000;

    private final LocalApic s;
    private final EventLoop loop;
    private final InterruptTarget target;
    private final Object lock;
    private final Runnable interrupt;
    private final Timer timer;
    private long deadline;

    /** {@code interrupt} is called with {@code lock} held each time the timer goes off. */
    ApicTimer(
            LocalApic state,
            EventLoop loop,
            InterruptTarget target,
            Object lock,
            Runnable interrupt) {
        this.s = state;
        this.loop = loop;
        this.target = target;
        this.lock = lock;
        this.interrupt = interrupt;
        timer = loop.timer(ClockType.VIRTUAL, this::expired);
    }

    private int entry() {
        return s.lvt[Apic.LVT_TIMER];
    }

    boolean waitsForDeadline() {
        return (entry() & MODE) == DEADLINE;
    }

    /** The value of the time stamp counter that is waited for; 0 for none. */
    long deadline() {
        return deadline;
    }

    /** Waits for a value of the time stamp counter if that is the mode; 0 for none. */
    void deadline(long tsc) {
        if (waitsForDeadline()) {
            deadline = tsc;
            arm();
        }
    }

    /** After a reset, or a change of mode: no value of the time stamp counter is waited for. */
    void forgetDeadline() {
        deadline = 0;
    }

    /** Registers were loaded: goes off when they say. */
    void loaded() {
        deadline = 0;
        timer.arm(s.expiry);
    }

    int currentCount() {
        if (waitsForDeadline()) {
            return 0;
        }
        return s.currentCount(loop.clocks().virtual());
    }

    /** Counts from a value on. */
    void initialCount(int value) {
        if (waitsForDeadline()) {
            return;
        }
        settle();
        s.initialCount = value;
        s.loadTime = loop.clocks().virtual();
        // Of one moment: a short count may be over when the clock is read again.
        arm(s.loadTime);
    }

    void divide(int value) {
        settle();
        s.divide = value & 0xb;
        s.countShift = ((value & 3) | (value >>> 1 & 4)) + 1 & 7;
        arm();
    }

    /** Sets the alarm by the registers. */
    void arm() {
        arm(loop.clocks().virtual());
    }

    private void arm(long now) {
        if (waitsForDeadline()) {
            // The counter's interrupt is lost while masked, so the alarm is needed all the same.
            s.expiry = deadline == 0 ? Timer.NEVER : Math.max(0, target.timeOf(deadline));
        } else {
            s.timerState(now);
        }
        timer.arm(s.expiry);
    }

    /** Before what it counts is changed: an alarm that is due has gone off, though the loop is late. */
    void settle() {
        if (s.expiry != Timer.NEVER && s.expiry <= loop.clocks().virtual()) {
            expired();
        }
    }

    private void expired() {
        synchronized (lock) {
            if (s.expiry == Timer.NEVER || loop.clocks().virtual() < s.expiry) {
                return; // moved meanwhile
            }
            interrupt.run();
            if (waitsForDeadline()) {
                deadline = 0;
                s.expiry = Timer.NEVER;
            } else {
                long now = loop.clocks().virtual();
                s.timerState(now);
                if (s.expiry != Timer.NEVER) {
                    s.expiry = Math.max(s.expiry, now + SHORTEST_PERIOD);
                }
                timer.arm(s.expiry);
            }
        }
    }
}
