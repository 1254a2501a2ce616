package lockstep.runtime.chip;

import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/**
 * The 8254 (Intel 231164) on guest time. QEMU: vmstate "i8254" v3. A gate that is low stops the counting in modes 0, 2, 3
 * and 4; everything else is as QEMU's, where a written count is taken over at once.
 */
final class Pit implements IntervalTimer, IoHandler {
    /** The input clock in Hz: 14.31818 MHz divided by 12. */
    private static final long FREQUENCY = 1_193_182;

    private static final long SECOND = 1_000_000_000L;

    /** Interrupt 0 changes no more often, in nanoseconds, so that no guest can keep the loop busy with nothing else. */
    private static final long SHORTEST_PERIOD = 20_000;

    private static final int CHANNELS = 3;
    private static final int CONTROL = 3;

    // Which byte of the counter is next.
    private static final int LOW = 1;
    private static final int HIGH = 2;
    private static final int FIRST = 3;
    private static final int SECOND_BYTE = 4;

    /** One channel; names of the stream. */
    private static final class Channel {
        int count = 0x10000;
        int latchedCount;
        int countLatched;
        int statusLatched;
        int status;
        int readState;
        int writeState;
        int writeLatch;
        int rwMode;
        int mode = 3;
        int bcd;
        int gate;
        long loadTime;
        long nextTransition = Timer.NEVER;

        /** Guest time at which a low gate stopped the counting, or -1. */
        long stopped = -1;

        /** Modes 6 and 7 are other codes for 2 and 3. */
        int effectiveMode() {
            return mode > 5 ? mode & 3 : mode;
        }

        long ticks(long now) {
            long n = Math.max(0, (stopped >= 0 ? stopped : now) - loadTime);
            return n / SECOND * FREQUENCY + n % SECOND * FREQUENCY / SECOND;
        }

        /** When the counter has made that many ticks. */
        long timeOf(long ticks) {
            long rest = ticks % FREQUENCY * SECOND;
            return loadTime + ticks / FREQUENCY * SECOND + (rest + FREQUENCY - 1) / FREQUENCY;
        }

        int counter(long now) {
            long ticks = ticks(now);
            return switch (effectiveMode()) {
                case 2 -> (int) (count - ticks % count);
                case 3 -> (int) (count - 2 * ticks % count);
                default -> (int) (count - ticks);
            };
        }

        boolean output(long now) {
            long ticks = ticks(now);
            return switch (effectiveMode()) {
                case 0 -> ticks >= count;
                case 1 -> ticks < count;
                case 2 -> ticks != 0 && ticks % count == 0;
                case 3 -> ticks % count < count + 1 >> 1;
                default -> ticks == count;
            };
        }

        /** When the output changes next after {@code now}. */
        long nextTransition(long now) {
            long ticks = ticks(now);
            long base = ticks / count * count;
            long at =
                    switch (effectiveMode()) {
                        case 0, 1 -> ticks < count ? count : -1;
                        case 2 -> ticks != 0 && ticks == base ? ticks + 1 : base + count;
                        case 3 -> {
                            long half = base + (count + 1 >> 1);
                            yield ticks < half ? half : base + count;
                        }
                        default -> ticks < count ? count : ticks == count ? ticks + 1 : -1;
                    };
            return at < 0 || stopped >= 0 ? Timer.NEVER : timeOf(at);
        }

        void latch(long now) {
            if (countLatched == 0) {
                latchedCount = counter(now) & 0xffff;
                countLatched = rwMode;
            }
        }

        void describe(StateCodec c) throws StateException {
            count = c.i32("count", count);
            latchedCount = c.u16("latched_count", latchedCount);
            countLatched = c.u8("count_latched", countLatched);
            statusLatched = c.u8("status_latched", statusLatched);
            status = c.u8("status", status);
            readState = c.u8("read_state", readState);
            writeState = c.u8("write_state", writeState);
            writeLatch = c.u8("write_latch", writeLatch);
            rwMode = c.u8("rw_mode", rwMode);
            mode = c.u8("mode", mode);
            bcd = c.u8("bcd", bcd);
            gate = c.u8("gate", gate);
            loadTime = c.i64("count_load_time", loadTime);
            nextTransition = c.i64("next_transition_time", nextTransition);
        }
    }

    // wiring
    private final Clocks clocks;
    private final Timer alarm;
    private final Irq irq;
    private boolean level;

    // guest-visible state
    private final Channel[] channels = {new Channel(), new Channel(), new Channel()};
    private int irqDisabled;

    Pit(EventLoop loop, Irq irq) {
        clocks = loop.clocks();
        this.irq = irq;
        alarm = loop.timer(ClockType.VIRTUAL, this::alarm);
    }

    @Override
    public void reset() {
        irqDisabled = 0;
        for (int i = 0; i < CHANNELS; i++) {
            channels[i] = new Channel();
            channels[i].gate = i == 2 ? 0 : 1;
            channels[i].loadTime = clocks.virtual();
        }
        // No edge: the output is high, and nobody has seen it rise.
        irq.set(false);
        level = true;
        arm(clocks.virtual(), 0);
    }

    // ---- interrupt 0

    private void alarm() {
        long now = clocks.virtual();
        if (channels[0].output(now) == level) {
            // It changed more than once meanwhile.
            drive(!level);
        }
        drive(channels[0].output(now));
        // The pulse of mode 2 is as short as it is; what is bounded is how soon the next one
        // begins.
        arm(now, level ? now : now + SHORTEST_PERIOD);
    }

    private void drive(boolean on) {
        level = on;
        irq.set(on);
    }

    /** Brings interrupt 0 up to date. */
    private void update(long now) {
        if (irqDisabled == 0) {
            drive(channels[0].output(now));
            arm(now, now);
        }
    }

    private void arm(long now, long soonest) {
        Channel c = channels[0];
        long next = c.nextTransition(now);
        c.nextTransition = next == Timer.NEVER ? next : Math.max(next, soonest);
        alarm.arm(c.nextTransition);
    }

    // ---- registers

    private void load(Channel c, int value) {
        long now = clocks.virtual();
        c.count = value == 0 ? 0x10000 : value;
        c.loadTime = now;
        stopOrGo(c, now);
        if (c == channels[0]) {
            update(now);
        }
    }

    private static void stopOrGo(Channel c, long now) {
        int mode = c.effectiveMode();
        c.stopped = c.gate == 0 && mode != 1 && mode != 5 ? now : -1;
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long port, int size) {
        if (port == CONTROL) {
            return 0;
        }
        Channel c = channels[(int) port];
        if (c.statusLatched != 0) {
            c.statusLatched = 0;
            return c.status;
        }
        if (c.countLatched != 0) {
            int half = c.countLatched;
            c.countLatched = half == FIRST ? HIGH : 0;
            return half == HIGH ? c.latchedCount >>> 8 : c.latchedCount & 0xff;
        }
        int count = c.counter(clocks.virtual());
        return switch (c.readState) {
            case HIGH -> count >>> 8 & 0xff;
            case FIRST -> {
                c.readState = SECOND_BYTE;
                yield count & 0xff;
            }
            case SECOND_BYTE -> {
                c.readState = FIRST;
                yield count >>> 8 & 0xff;
            }
            default -> count & 0xff;
        };
    }

    @Override
    public void write(long port, int size, long data) {
        int value = (int) data;
        if (port == CONTROL) {
            control(value);
            return;
        }
        Channel c = channels[(int) port];
        switch (c.writeState) {
            case HIGH -> load(c, value << 8);
            case FIRST -> {
                c.writeLatch = value;
                c.writeState = SECOND_BYTE;
            }
            case SECOND_BYTE -> {
                c.writeState = FIRST;
                load(c, c.writeLatch | value << 8);
            }
            default -> load(c, value);
        }
    }

    private void control(int value) {
        if (value >>> 6 == 3) {
            readBack(value);
            return;
        }
        Channel c = channels[value >>> 6];
        int access = value >>> 4 & 3;
        if (access == 0) {
            c.latch(clocks.virtual());
            return;
        }
        c.rwMode = access;
        c.readState = access;
        c.writeState = access;
        c.mode = value >>> 1 & 7;
        c.bcd = value & 1;
    }

    /** "Read-Back Command": latches count, status or both of several channels. */
    private void readBack(int value) {
        long now = clocks.virtual();
        for (int i = 0; i < CHANNELS; i++) {
            if ((value & 2 << i) == 0) {
                continue;
            }
            Channel c = channels[i];
            if ((value & 0x20) == 0) {
                c.latch(now);
            }
            if ((value & 0x10) == 0 && c.statusLatched == 0) {
                c.status = (c.output(now) ? 0x80 : 0) | c.rwMode << 4 | c.mode << 1 | c.bcd;
                c.statusLatched = 1;
            }
        }
    }

    // ---- pins

    @Override
    public boolean output(int n) {
        return channels[n].output(clocks.virtual());
    }

    @Override
    public boolean gate(int n) {
        return channels[n].gate != 0;
    }

    @Override
    public void gate(int n, boolean on) {
        Channel c = channels[n];
        int value = on ? 1 : 0;
        if (c.gate == value) {
            return;
        }
        c.gate = value;
        long now = clocks.virtual();
        int mode = c.effectiveMode();
        if (!on) {
            stopOrGo(c, now);
        } else if (mode == 0 || mode == 4) {
            c.loadTime += c.stopped >= 0 ? now - c.stopped : 0;
            c.stopped = -1;
        } else {
            // Datasheet, "Gate Pin Operations": a rising edge starts counting anew.
            c.loadTime = now;
            c.stopped = -1;
        }
        if (n == 0) {
            update(now);
        }
    }

    @Override
    public void replaced(boolean on) {
        irqDisabled = on ? 1 : 0;
        if (on) {
            alarm.cancel();
        } else {
            update(clocks.virtual());
        }
    }

    @Override
    public void paused() {}

    @Override
    public void resuming() {}

    // ---- section

    @Override
    public String name() {
        return "i8254";
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 2;
    }

    @Override
    public void beforeSave() {
        long now = clocks.virtual();
        for (Channel c : channels) {
            if (c.stopped >= 0) {
                // The stream knows no stopped counter: it has counted so much at this moment.
                c.loadTime += now - c.stopped;
                c.stopped = now;
            }
        }
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        if (c.version() >= 3) {
            irqDisabled = c.u32("channels[0].irq_disabled", irqDisabled);
        }
        c.structs("channels", "pit channel", 2, CHANNELS, (s, i) -> channels[i].describe(s));
        channels[0].nextTransition =
                c.i64("channels[0].next_transition_time", channels[0].nextTransition);
    }

    @Override
    public void afterLoad(int version) throws StateException {
        for (Channel c : channels) {
            if (c.count < 1 || c.count > 0x10000 || c.mode > 7) {
                throw new StateException("bad count or mode of a timer channel");
            }
            stopOrGo(c, clocks.virtual());
        }
        long now = clocks.virtual();
        long next = channels[0].nextTransition;
        level = channels[0].output(now);
        if (irqDisabled != 0) {
            alarm.cancel();
        } else if (next != Timer.NEVER && next <= now) {
            level = !level; // it changed, and nobody has heard of it
            alarm.arm(now);
        } else {
            arm(now, 0);
        }
    }
}
