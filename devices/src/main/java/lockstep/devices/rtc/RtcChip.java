package lockstep.devices.rtc;

import lockstep.runtime.loop.Timer;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.time.LocalDateTime;
import java.time.ZoneOffset;

/** The MC146818A's registers and the cells of its RAM. QEMU: vmstate "mc146818rtc" v3. */
final class RtcChip {
    /** What the chip needs of its board. */
    interface Board {
        /** The time that the clock runs on, in nanoseconds. */
        long now();

        /** Drives the interrupt. */
        void interrupt(boolean level);

        /** Has {@link RtcChip#periodicTick} called then, once; {@link Timer#NEVER}: not at all. */
        void tickAt(long deadline);

        /** Has {@link RtcChip#updateTick} called likewise. */
        void updateAt(long deadline);

        /** The alarm that the guest wants to hear of went off. */
        void alarm();
    }

    /** Cells, as the data sheet's figure 9 and the PC's BIOS lay them out. */
    private static final int SECONDS = 0;

    private static final int SECONDS_ALARM = 1;
    private static final int MINUTES = 2;
    private static final int MINUTES_ALARM = 3;
    private static final int HOURS = 4;
    private static final int HOURS_ALARM = 5;
    private static final int DAY_OF_WEEK = 6;
    private static final int DAY = 7;
    private static final int MONTH = 8;
    private static final int YEAR = 9;
    private static final int A = 10;
    private static final int B = 11;
    private static final int C = 12;
    private static final int D = 13;
    private static final int CENTURY = 0x32;

    /** Where the PS/2 has its century; the same cell here. */
    private static final int CENTURY_PS2 = 0x37;

    private static final int A_UIP = 0x80;
    private static final int A_DIVIDER = 0x70;
    private static final int A_DIVIDER_SLOWEST = 0x20;
    private static final int A_RATE = 0x0f;
    private static final int B_SET = 0x80;
    private static final int B_PIE = 0x40;
    private static final int B_AIE = 0x20;
    private static final int B_UIE = 0x10;
    private static final int B_SQWE = 0x08;
    private static final int B_BINARY = 0x04;
    private static final int B_24H = 0x02;
    private static final int C_IRQF = 0x80;
    private static final int C_PF = 0x40;
    private static final int C_AF = 0x20;
    private static final int C_UF = 0x10;
    private static final int ALARM_ANY = 0xc0;

    private static final long NS = 1_000_000_000L;
    private static final int CRYSTAL_HZ = 32_768;
    private static final int DAY_SECONDS = 86_400;

    /** How long before an update UIP is set: eight cycles, 244 us. */
    private static final long UPDATE_WARNING = 8 * NS / CRYSTAL_HZ;

    /** How many lost interrupts may follow one tick; the next tick brings more. */
    private static final int MAX_REPEATS = 20;

    // Configuration.
    private final boolean slew;

    // Wiring.
    private final Board board;

    // Guest-visible state.
    private final byte[] cells = new byte[128];
    private int index;
    private long tickDeadline = Timer.NEVER;
    private long updateDeadline = Timer.NEVER;
    private long nextPeriodic;
    private int coalesced;
    private int repeats;
    private int period;
    private long baseSeconds;
    private long lastUpdate;
    private long offset;
    private long nextAlarm;

    /**
     * A clock that starts at {@code seconds} since the epoch, as the guest counts them.
     *
     * @param slew whether periodic interrupts that the guest was too slow to see are made up for
     */
    RtcChip(Board board, long seconds, boolean slew) {
        this.board = board;
        this.slew = slew;
        cells[A] = 0x26;
        cells[B] = B_24H;
        cells[D] = (byte) 0x80;
        setTime(seconds, 0);
        storeTime();
    }

    private void tickAt(long deadline) {
        tickDeadline = deadline;
        board.tickAt(deadline);
    }

    private void updateAt(long deadline) {
        updateDeadline = deadline;
        board.updateAt(deadline);
    }

    /** The seconds since the epoch, as the guest counts them. */
    long seconds() {
        return Math.floorDiv(nanos(), NS);
    }

    /** Sets a cell. */
    void cell(int cell, int value) {
        cells[cell] = (byte) value;
    }

    /** A cell. */
    int cell(int cell) {
        return cells[cell] & 0xff;
    }

    void reset() {
        cells[B] &= (byte) ~(B_PIE | B_AIE | B_SQWE);
        cells[C] &= (byte) ~(C_UF | C_IRQF | C_PF | C_AF);
        board.interrupt(false);
        armPeriodic();
        armUpdate();
    }

    private long now() {
        return board.now();
    }

    private boolean halted() {
        // Divider settings beyond the three time bases count nothing or hold the chain in reset.
        return (cells[B] & B_SET) != 0 || (cells[A] & A_DIVIDER) > A_DIVIDER_SLOWEST;
    }

    private long nanos() {
        // Sums and differences wrap alike, so a wild offset only shows a wild date.
        return baseSeconds * NS + now() - lastUpdate + offset;
    }

    /** What the divider chain has counted of the present second. */
    private long fraction() {
        return Math.floorMod(nanos(), NS);
    }

    private void setTime(long seconds, long fraction) {
        baseSeconds = seconds;
        lastUpdate = now();
        offset = fraction;
    }

    private int encode(int value) {
        return (cells[B] & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10;
    }

    private int decode(int cell) {
        int v = cells[cell] & 0xff;
        return (cells[B] & B_BINARY) != 0 ? v : (v >> 4) * 10 + (v & 0x0f);
    }

    private void storeTime() {
        LocalDateTime t =
                LocalDateTime.ofEpochSecond(Math.floorDiv(nanos(), NS), 0, ZoneOffset.UTC);
        cells[SECONDS] = (byte) encode(t.getSecond());
        cells[MINUTES] = (byte) encode(t.getMinute());
        cells[HOURS] = (byte) encodeHour(t.getHour());
        cells[DAY_OF_WEEK] = (byte) encode(t.getDayOfWeek().getValue() % 7 + 1);
        cells[DAY] = (byte) encode(t.getDayOfMonth());
        cells[MONTH] = (byte) encode(t.getMonthValue());
        cells[YEAR] = (byte) encode(Math.floorMod(t.getYear(), 100));
        cells[CENTURY] = (byte) encode(Math.floorMod(t.getYear(), 10_000) / 100);
    }

    private int encodeHour(int hour) {
        if ((cells[B] & B_24H) != 0) {
            return encode(hour);
        }
        return encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
    }

    private int decodedHour() {
        int raw = cells[HOURS] & 0xff;
        if ((cells[B] & B_24H) != 0) {
            return decode(HOURS);
        }
        int h = (cells[B] & B_BINARY) != 0 ? raw & 0x7f : (raw >> 4 & 7) * 10 + (raw & 0x0f);
        return h % 12 + ((raw & 0x80) != 0 ? 12 : 0);
    }

    private void loadTime(long fraction) {
        // A guest may write any bits; out-of-range fields carry over as they would in mktime.
        long year = decode(CENTURY) * 100L + decode(YEAR);
        LocalDateTime t =
                LocalDateTime.of(Math.clamp(year, 0, 9999), 1, 1, 0, 0, 0)
                        .plusMonths(Math.max(decode(MONTH), 1) - 1L)
                        .plusDays(Math.max(decode(DAY), 1) - 1L)
                        .plusHours(decodedHour())
                        .plusMinutes(decode(MINUTES))
                        .plusSeconds(decode(SECONDS));
        setTime(t.toEpochSecond(ZoneOffset.UTC), fraction);
    }

    private void armPeriodic() {
        int rate = cells[A] & A_RATE;
        boolean on = rate != 0 && (cells[B] & (B_PIE | B_SQWE)) != 0;
        if (!on) {
            period = 0;
            coalesced = slew ? 0 : coalesced;
            tickAt(Timer.NEVER);
            return;
        }
        int was = period;
        period = 1 << (rate <= 2 ? rate + 6 : rate - 1);
        if (was != period || tickDeadline == Timer.NEVER) {
            nextPeriodic = now() + periodNanos();
            tickAt(nextPeriodic);
        }
    }

    private long periodNanos() {
        return period * NS / CRYSTAL_HZ;
    }

    /** The time of the next periodic interrupt has come. */
    void periodicTick() {
        long late = now() - nextPeriodic;
        // Ticks that nobody could see are skipped, not delivered in a burst; or made up for one by
        // one.
        long skipped = Math.max(late, 0) / periodNanos();
        nextPeriodic += periodNanos() * (1 + skipped);
        tickAt(nextPeriodic);
        boolean enabled = (cells[B] & B_PIE) != 0;
        if (slew && enabled) {
            // The guest has not read what the last tick left: of the two it sees one.
            long lost = skipped + ((cells[C] & C_PF) != 0 ? 1 : 0);
            coalesced = (int) Math.min(coalesced + lost, Integer.MAX_VALUE);
            repeats = 0;
        }
        raise(C_PF, enabled);
    }

    private void raise(int flag, boolean enabled) {
        cells[C] |= (byte) flag;
        if (enabled) {
            cells[C] |= (byte) C_IRQF;
            board.interrupt(true);
        }
    }

    /** The update timer runs to the next update that could set a flag. */
    private void armUpdate() {
        if (halted()) {
            updateAt(Timer.NEVER);
            return;
        }
        long next = now() + NS - fraction();
        long wait = secondsToAlarm(Math.floorDiv(nanos(), NS));
        nextAlarm = wait > DAY_SECONDS ? Timer.NEVER : next + (wait - 1) * NS;
        if ((cells[C] & C_UF) == 0) {
            updateAt(next);
        } else if ((cells[C] & C_AF) == 0) {
            updateAt(nextAlarm);
        } else {
            updateAt(Timer.NEVER);
        }
    }

    /** The time of the next update has come. */
    void updateTick() {
        updateDeadline = Timer.NEVER;
        if (halted()) {
            return;
        }
        storeTime();
        raise(C_UF, (cells[B] & B_UIE) != 0);
        // Compared with the time and not with the cells, as this may run a few updates late.
        if (Long.compareUnsigned(now(), nextAlarm) >= 0) {
            boolean wanted = (cells[B] & B_AIE) != 0;
            raise(C_AF, wanted);
            if (wanted) {
                board.alarm();
            }
        }
        armUpdate();
    }

    /** Seconds from {@code present} to the alarm, from 1; more than a day when it never comes. */
    private long secondsToAlarm(long present) {
        long t = present + 1;
        while (t - present <= DAY_SECONDS) {
            int second = (int) Math.floorMod(t, (long) DAY_SECONDS);
            if (!matches(HOURS_ALARM, encodeHour(second / 3600))) {
                t += 3600 - second % 3600;
            } else if (!matches(MINUTES_ALARM, encode(second / 60 % 60))) {
                t += 60 - second % 60;
            } else if (!matches(SECONDS_ALARM, encode(second % 60))) {
                t++;
            } else {
                break;
            }
        }
        return t - present;
    }

    private boolean matches(int alarm, int value) {
        return (cells[alarm] & ALARM_ANY) == ALARM_ANY || (cells[alarm] & 0xff) == value;
    }

    /** Reads the register that was chosen. */
    int read() {
        int cell = index == CENTURY_PS2 ? CENTURY : index;
        switch (cell) {
            case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY:
                if (!halted()) {
                    storeTime();
                }
                return cells[cell] & 0xff;
            case A:
                boolean updating = !halted() && fraction() >= NS - UPDATE_WARNING;
                return cells[A] & 0x7f | (updating ? A_UIP : 0);
            case C:
                int flags = cells[C] & 0xff;
                cells[C] = 0;
                board.interrupt(false);
                armUpdate();
                makeUp();
                return flags;
            default:
                return cells[cell] & 0xff;
        }
    }

    /** Delivers one of the periodic interrupts that were lost. */
    private void makeUp() {
        if (slew && coalesced > 0 && repeats < MAX_REPEATS && (cells[B] & B_PIE) != 0) {
            coalesced--;
            repeats++;
            raise(C_PF, true);
        }
    }

    /** Chooses a register. */
    void select(int value) {
        index = value & 0x7f;
    }

    /** Writes to the register that was chosen. */
    void write(int value) {
        int cell = index == CENTURY_PS2 ? CENTURY : index;
        switch (cell) {
            case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY -> {
                if (!halted()) {
                    storeTime();
                }
                cells[cell] = (byte) value;
                if (!halted()) {
                    loadTime(fraction());
                    armUpdate();
                }
            }
            case SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM -> {
                cells[cell] = (byte) value;
                armUpdate();
            }
            case A -> writeA(value);
            case B -> writeB(value);
            case C, D -> {
                // Read only.
            }
            default -> cells[cell] = (byte) value;
        }
    }

    private void writeA(int value) {
        boolean was = halted();
        if (!was) {
            storeTime();
        }
        cells[A] = (byte) (value & 0x7f);
        if (was && !halted()) {
            // Leaving divider reset, the first update comes half a second later.
            loadTime(NS / 2);
        }
        armPeriodic();
        armUpdate();
    }

    private void writeB(int value) {
        boolean was = halted();
        if (!was && (value & B_SET) != 0) {
            storeTime();
        }
        int v = (value & B_SET) != 0 ? value & ~B_UIE : value;
        boolean formatChanged = ((cells[B] ^ v) & (B_BINARY | B_24H)) != 0;
        cells[B] = (byte) v;
        if (was && !halted()) {
            // SET holds back the updates but not the divider chain.
            loadTime(fraction());
        } else if (formatChanged && !halted()) {
            storeTime();
        }
        boolean pending = (cells[B] & cells[C] & (C_PF | C_AF | C_UF)) != 0;
        if (pending) {
            cells[C] |= (byte) C_IRQF;
        } else {
            cells[C] &= (byte) ~C_IRQF;
        }
        board.interrupt(pending);
        armPeriodic();
        armUpdate();
    }

    void beforeSave() {
        if (!halted()) {
            storeTime();
        }
    }

    void describe(StateCodec c) throws StateException {
        c.bytes("cmos_data", cells);
        index = c.u8("cmos_index", index) & 0x7f;
        if (c.loading()) {
            repeats = 0;
        }
        c.pad("unused[0]", 28);
        long periodicAt = c.timer("periodic_timer", tickDeadline);
        nextPeriodic = c.i64("next_periodic_time", nextPeriodic);
        c.pad("unused[1]", 24);
        coalesced = c.u32("irq_coalesced", coalesced);
        period = c.u32("period", period);
        baseSeconds = c.u64("base_rtc", baseSeconds);
        lastUpdate = c.u64("last_update", lastUpdate);
        offset = c.i64("offset", offset);
        long updateAt = c.timer("update_timer", updateDeadline);
        nextAlarm = c.u64("next_alarm_time", nextAlarm);
        c.subsection(
                "mc146818rtc/irq_reinject_on_ack_count",
                1,
                repeats != 0,
                s -> repeats = s.u16("irq_reinject_on_ack_count", repeats));
        if (c.loading()) {
            // A year that no calendar knows would stop the guest's clock.
            if (baseSeconds < -62_167_219_200L || baseSeconds > 253_402_300_799L) {
                throw c.invalid("mc146818rtc: base_rtc " + baseSeconds + " is out of range");
            }
            tickAt(periodicAt);
            updateAt(updateAt);
        }
    }

    void loaded() {
        int rate = cells[A] & A_RATE;
        period = rate == 0 ? 0 : 1 << (rate <= 2 ? rate + 6 : rate - 1);
        // Deadlines that this clock does not give, of another host's clock or of none, start
        // afresh.
        long ahead = nextPeriodic - now();
        if (ahead > periodNanos() || ahead < -NS || tickDeadline != nextPeriodic) {
            tickAt(Timer.NEVER);
        }
        armPeriodic();
        if (updateDeadline == Timer.NEVER || updateDeadline - now() > (DAY_SECONDS + 1) * NS) {
            armUpdate();
        }
        board.interrupt((cells[C] & C_IRQF) != 0);
    }
}
