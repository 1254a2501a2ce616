package lockstep.devices.hpet;

import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/** The block's registers. QEMU: vmstate "hpet" v2. */
final class HpetChip {
    /** What the chip needs of its board. */
    interface Board {
        /** Guest time in nanoseconds. */
        long now();

        /** The wire to input {@code n} of the interrupt controllers, 0 to 23. */
        Irq input(int n);

        /** Takes the interrupt of the interval timer away from it, or gives it back. */
        void legacyMode(boolean on);

        /** Has {@link HpetChip#expired} called for a timer then, once; {@link Timer#NEVER}: not at all. */
        void alarm(int timer, long deadline);
    }

    /** Nanoseconds in a tick: 100 MHz. */
    private static final long TICK = 10;

    private static final long PERIOD_FEMTOSECONDS = TICK * 1_000_000;

    private static final int CAPABILITIES = 0x000;
    private static final int CONFIG = 0x010;
    private static final int STATUS = 0x020;
    private static final int COUNTER = 0x0f0;
    private static final int TIMER_BASE = 0x100;

    private static final int ENABLE = 0x1;
    private static final int LEGACY = 0x2;

    private static final long T_LEVEL = 0x0002;
    private static final long T_ENABLE = 0x0004;
    private static final long T_PERIODIC = 0x0008;
    private static final long T_PERIODIC_CAPABLE = 0x0010;
    private static final long T_64BIT_CAPABLE = 0x0020;
    private static final long T_SET_VALUE = 0x0040;
    private static final long T_32BIT = 0x0100;
    private static final long T_WRITABLE = 0x3f4e;

    // Configuration.
    private final int blockId;
    private final long routes;

    // Wiring.
    private final Board board;
    private final Irq rtcIrq;

    // Guest-visible state.
    private final T[] timers;
    private long config;
    private long status;
    private long counter;
    private long offset;
    private int rtcLevel;

    private static final class T {
        final int number;
        long alarm = Timer.NEVER;
        long config;
        long compare = -1;
        long fsb;
        long period;
        boolean wrap;
        boolean level;

        T(int number) {
            this.number = number;
        }

        boolean narrow() {
            return (config & T_32BIT) != 0;
        }

        boolean periodic() {
            return (config & T_PERIODIC) != 0;
        }

        boolean enabled() {
            return (config & T_ENABLE) != 0;
        }
    }

    /**
     * A block of timers.
     *
     * @param blockId the low half of the capability register
     * @param count how many timers there are
     * @param routes the interrupt inputs to which a timer may be routed, a bit each
     */
    HpetChip(Board board, int blockId, int count, long routes) {
        this.board = board;
        this.blockId = blockId;
        this.routes = routes;
        this.rtcIrq = board.input(8);
        timers = new T[count];
        for (int i = 0; i < count; i++) {
            timers[i] = new T(i);
        }
    }

    /** The RTC's interrupt comes through here, as legacy mode cuts it off. */
    Irq rtcInput() {
        return level -> {
            rtcLevel = level ? 1 : 0;
            if ((config & LEGACY) == 0) {
                rtcIrq.set(level);
            }
        };
    }

    void reset() {
        for (T t : timers) {
            setAlarm(t, Timer.NEVER);
            drive(t, false);
            t.config = routes << 32 | T_PERIODIC_CAPABLE | T_64BIT_CAPABLE;
            t.compare = -1;
            t.fsb = 0;
            t.period = 0;
            t.wrap = false;
        }
        if ((config & LEGACY) != 0) {
            board.legacyMode(false);
        }
        config = 0;
        status = 0;
        counter = 0;
        offset = 0;
    }

    private boolean running() {
        return (config & ENABLE) != 0;
    }

    private long now() {
        return board.now();
    }

    private long ticks() {
        return running() ? Long.divideUnsigned(now() + offset, TICK) : counter;
    }

    private Irq route(T t) {
        if ((config & LEGACY) != 0 && t.number <= 1) {
            return board.input(t.number == 0 ? 0 : 8);
        }
        int input = (int) (t.config >> 9) & 31;
        return input < 24 ? board.input(input) : Irq.NONE;
    }

    private void drive(T t, boolean set) {
        long bit = 1L << t.number;
        if (!set || !t.enabled() || !running()) {
            status &= ~bit;
            if (t.level) {
                t.level = false;
                route(t).set(false);
            }
        } else if ((t.config & T_LEVEL) != 0) {
            status |= bit;
            t.level = true;
            route(t).set(true);
        } else {
            status &= ~bit;
            route(t).pulse();
        }
    }

    private void arm(T t) {
        t.wrap = false;
        long at = ticks();
        long distance = distance(t, at);
        if (t.narrow() && !t.periodic()) {
            // One-shot in 32 bits also interrupts when the counter wraps (section 2.3.9.2.3).
            long wrap = 0xffff_ffffL - (at & 0xffff_ffffL);
            if (wrap < distance) {
                distance = wrap;
                t.wrap = true;
            }
        }
        alarm(t, distance);
    }

    private void alarm(T t, long distance) {
        // Half a century is as good as never, and keeps the sum from wrapping.
        long bounded = Math.clamp(distance, 1, Long.MAX_VALUE / 8 / TICK);
        setAlarm(t, now() + bounded * TICK);
    }

    private void setAlarm(T t, long deadline) {
        t.alarm = deadline;
        board.alarm(t.number, deadline);
    }

    private static long distance(T t, long at) {
        if (t.narrow()) {
            int d = (int) (t.compare - at);
            return d > 0 ? d : 0;
        }
        long d = t.compare - at;
        return d > 0 ? d : 0;
    }

    /** A timer's time has come. */
    void expired(int timer) {
        T t = timers[timer];
        t.alarm = Timer.NEVER;
        long at = ticks();
        if (t.periodic() && t.period != 0) {
            if (t.narrow()) {
                long behind = (int) (at - t.compare);
                long period = t.period & 0xffff_ffffL;
                if (behind >= 0 && period != 0) {
                    t.compare = t.compare + (behind / period + 1) * period & 0xffff_ffffL;
                }
            } else {
                long behind = at - t.compare;
                if (behind >= 0) {
                    t.compare += (Long.divideUnsigned(behind, t.period) + 1) * t.period;
                }
            }
            alarm(t, distance(t, at));
        } else if (t.narrow() && t.wrap) {
            t.wrap = false;
            alarm(t, distance(t, at));
        }
        drive(t, true);
    }

    /** Reads the half of a register at an offset of whole words. */
    long read(int at) {
        long value = register(at & ~7);
        return (at & 4) != 0 ? value >>> 32 : value & 0xffff_ffffL;
    }

    private long register(int at) {
        if (at >= TIMER_BASE) {
            int n = at - TIMER_BASE >> 5;
            if (n >= timers.length) {
                return 0;
            }
            return switch (at & 0x18) {
                case 0x00 -> timers[n].config;
                case 0x08 -> timers[n].compare;
                case 0x10 -> timers[n].fsb;
                default -> 0;
            };
        }
        return switch (at) {
            case CAPABILITIES -> PERIOD_FEMTOSECONDS << 32 | blockId & 0xffff_ffffL;
            case CONFIG -> config;
            case STATUS -> status;
            case COUNTER -> ticks();
            default -> 0;
        };
    }

    /** Writes the half of a register. */
    void write(int at, long data) {
        boolean high = (at & 4) != 0;
        long value = data & 0xffff_ffffL;
        if (at >= TIMER_BASE) {
            int n = at - TIMER_BASE >> 5;
            if (n < timers.length) {
                writeTimer(timers[n], at & 0x18, high, value);
            }
            return;
        }
        switch (at & ~7) {
            case CONFIG -> {
                if (!high) {
                    writeConfig(value & (ENABLE | LEGACY));
                }
            }
            case STATUS -> {
                if (!high) {
                    long clear = value & status;
                    for (T t : timers) {
                        if ((clear >> t.number & 1) != 0) {
                            drive(t, false);
                        }
                    }
                }
            }
            case COUNTER -> {
                if (!running()) {
                    counter = half(counter, high, value);
                }
            }
            default -> {
                // Capabilities and reserved space.
            }
        }
    }

    private static long half(long old, boolean high, long value) {
        return high ? old & 0xffff_ffffL | value << 32 : old & ~0xffff_ffffL | value;
    }

    private void writeConfig(long value) {
        long was = config;
        if ((was & ENABLE) == 0 && (value & ENABLE) != 0) {
            offset = counter * TICK - now();
            config = value;
            for (T t : timers) {
                if (t.enabled()) {
                    arm(t);
                }
            }
        } else if ((was & ENABLE) != 0 && (value & ENABLE) == 0) {
            counter = ticks();
            for (T t : timers) {
                setAlarm(t, Timer.NEVER);
                drive(t, false);
            }
        }
        config = value;
        if (((was ^ value) & LEGACY) != 0) {
            boolean on = (value & LEGACY) != 0;
            board.legacyMode(on);
            rtcIrq.set(!on && rtcLevel != 0);
        }
    }

    private void writeTimer(T t, int register, boolean high, long value) {
        switch (register) {
            case 0x00 -> {
                if (!high) {
                    writeTimerConfig(t, value);
                }
            }
            case 0x08 -> {
                if (t.narrow() && high) {
                    return;
                }
                if (!t.periodic() || (t.config & T_SET_VALUE) != 0) {
                    t.compare = half(t.compare, high, value);
                }
                if (t.periodic()) {
                    t.period = half(t.period, high, value);
                    if (t.narrow()) {
                        t.period &= 0x7fff_ffffL;
                    }
                }
                if (t.narrow()) {
                    t.compare &= 0xffff_ffffL;
                }
                t.config &= ~T_SET_VALUE;
                if (running() && t.enabled()) {
                    arm(t);
                }
            }
            case 0x10 -> t.fsb = half(t.fsb, high, value);
            default -> {
                // Reserved.
            }
        }
    }

    private void writeTimerConfig(T t, long value) {
        if (t.level && ((t.config ^ value) & (T_LEVEL | T_ENABLE | 0x3e00)) != 0) {
            drive(t, false);
        }
        boolean was = t.enabled();
        t.config = t.config & ~T_WRITABLE | value & T_WRITABLE;
        if (t.narrow()) {
            t.compare &= 0xffff_ffffL;
            t.period &= 0xffff_ffffL;
        }
        if (running() && t.enabled() && !was) {
            arm(t);
        } else if (!t.enabled() && was) {
            setAlarm(t, Timer.NEVER);
        }
    }

    void describe(StateCodec c) throws StateException {
        config = c.u64("config", config) & (ENABLE | LEGACY);
        status = c.u64("isr", status);
        counter = c.u64("hpet_counter", ticks(c));
        int count = c.u8("num_timers", timers.length);
        if (count != timers.length) {
            throw c.invalid("Input validation failed: hpet/num_timers must match version_id: 2");
        }
        c.structs("timer", "hpet_timer", 1, timers.length, (s, i) -> describeTimer(s, timers[i]));
        if (c.loading()) {
            rtcLevel = 0;
        }
        c.subsection(
                "hpet/rtc_irq_level",
                1,
                rtcLevel != 0,
                s -> rtcLevel = s.u8("rtc_irq_level", rtcLevel) & 1);
        boolean known =
                c.subsection(
                        "hpet/offset", 1, running(), s -> offset = s.u64("hpet_offset", offset));
        if (c.loading() && !known) {
            offset = counter * TICK - now();
        }
    }

    private long ticks(StateCodec c) {
        return c.loading() ? counter : ticks();
    }

    private void describeTimer(StateCodec c, T t) throws StateException {
        c.u8("tn", t.number);
        t.config = c.u64("config", t.config);
        t.compare = c.u64("cmp", t.compare);
        t.fsb = c.u64("fsb", t.fsb);
        t.period = c.u64("period", t.period);
        t.wrap = c.u8("wrap_flag", t.wrap ? 1 : 0) != 0;
        long deadline = c.timer("qemu_timer", t.alarm);
        if (c.loading()) {
            setAlarm(t, deadline);
        }
    }

    void loaded() {
        for (T t : timers) {
            t.level = (status >> t.number & 1) != 0;
        }
        // The interval timer's section says itself whether it is cut off.
    }
}
