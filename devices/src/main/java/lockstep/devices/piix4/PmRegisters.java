package lockstep.devices.piix4;

import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.util.function.LongSupplier;

/**
 * PM1a event, control and timer blocks: ACPI 6.5 section 4.8.3, at offsets 0, 4 and 8 of the PM base.
 * Pure: the owner drives the SCI from {@link #pending} after each call.
 */
public final class PmRegisters {
    /** What the guest asks of the machine through SLP_TYP. */
    public interface Power {
        /** The guest switches the machine off. */
        void off();

        /** The guest sleeps until it is woken, its RAM kept. */
        void sleep();

        /** The guest has saved itself to its disk and switches the machine off. */
        void sleepToDisk();
    }

    /** The sleep type of suspend to RAM. */
    public static final int SLEEP_S3 = 1;

    private static final int TIMER_STATUS = 0x0001;
    private static final int GLOBAL_STATUS = 0x0020;
    private static final int BUTTON_STATUS = 0x0100;
    private static final int RTC_STATUS = 0x0400;
    private static final int WAKE_STATUS = 0x8000;
    private static final int SCI_SOURCES =
            TIMER_STATUS | GLOBAL_STATUS | BUTTON_STATUS | RTC_STATUS;
    private static final int SCI_ENABLE = 0x0001;
    private static final int SLEEP_ENABLE = 0x2000;
    private static final int APM_ACPI_ENABLE = 0xf1;
    private static final int APM_ACPI_DISABLE = 0xf0;

    /** Hz; ACPI 6.5 section 4.8.3.3. */
    private static final long TIMER_HZ = 3_579_545;

    private static final long NS = 1_000_000_000L;
    private static final int TIMER_MASK = 0xff_ffff;

    private final LongSupplier clock;
    private final Power power;
    private final int sleepS4;

    private int status;
    private int enable;
    private int control;
    private long overflowTime;

    /**
     * Registers on the given clock in nanoseconds.
     *
     * @param sleepS4 the sleep type of suspend to disk, whether or not the guest is told of it
     */
    public PmRegisters(LongSupplier clock, Power power, int sleepS4) {
        this.clock = clock;
        this.power = power;
        this.sleepS4 = sleepS4;
    }

    void reset() {
        status = 0;
        enable = 0;
        // Without SMM nothing could answer an enabling command, so ACPI mode is on from the start.
        control = SCI_ENABLE;
        overflowTime = 0;
    }

    /** The guest sleeps no more. A button is what else can wake a machine. */
    void woken(Sleep.Reason reason) {
        status |= WAKE_STATUS | (reason == Sleep.Reason.ALARM ? RTC_STATUS : BUTTON_STATUS);
    }

    boolean wakesByAlarm() {
        return (enable & RTC_STATUS) != 0;
    }

    void powerButton() {
        status |= BUTTON_STATUS;
    }

    void apmCommand(int value) {
        if (value == APM_ACPI_ENABLE) {
            control |= SCI_ENABLE;
        } else if (value == APM_ACPI_DISABLE) {
            control &= ~SCI_ENABLE;
        }
    }

    private long ticks() {
        return Math.multiplyHigh(clock.getAsLong(), TIMER_HZ) == 0
                ? Long.divideUnsigned(clock.getAsLong() * TIMER_HZ, NS)
                : clock.getAsLong() / NS * TIMER_HZ + clock.getAsLong() % NS * TIMER_HZ / NS;
    }

    private int status() {
        if (overflowTime <= ticks()) {
            status |= TIMER_STATUS;
        }
        return status;
    }

    boolean pending() {
        return (status() & enable & SCI_SOURCES) != 0;
    }

    /** When the timer's top bit changes next, in nanoseconds, if the guest wants to hear of it. */
    long overflowAlarm() {
        if ((enable & TIMER_STATUS) == 0 || (status() & TIMER_STATUS) != 0) {
            return Timer.NEVER;
        }
        if (overflowTime / TIMER_HZ >= Long.MAX_VALUE / NS) {
            // Only a damaged stream says so; the product would wrap into the past, again and again.
            return Timer.NEVER;
        }
        // Rounded up, or the alarm would find the tick not yet reached.
        return overflowTime / TIMER_HZ * NS
                + (overflowTime % TIMER_HZ * NS + TIMER_HZ - 1) / TIMER_HZ;
    }

    int read(int offset, int size) {
        int word =
                switch (offset & ~3) {
                    case 0 -> status() | enable << 16;
                    case 4 -> control;
                    case 8 -> (int) ticks() & TIMER_MASK;
                    default -> 0;
                };
        return word >>> (8 * (offset & 3));
    }

    void write(int offset, int size, int value) {
        switch (offset & ~3) {
            case 0 -> {
                long bits = (value & 0xffff_ffffL) << (8 * (offset & 3));
                long covered =
                        (size == 4 ? 0xffff_ffffL : (1L << 8 * size) - 1) << (8 * (offset & 3));
                writeStatus((int) bits & 0xffff);
                int mask = (int) (covered >>> 16) & 0xffff;
                enable = enable & ~mask | (int) (bits >>> 16) & mask;
            }
            case 4 -> {
                int shift = 8 * (offset & 3);
                if (shift < 16) {
                    int mask = (size == 1 ? 0xff : 0xffff) << shift;
                    writeControl((control & ~mask | value << shift & mask) & 0xffff);
                }
            }
            default -> {
                // The timer is read only.
            }
        }
    }

    private void writeStatus(int value) {
        if ((status() & value & TIMER_STATUS) != 0) {
            overflowTime = (ticks() + 0x80_0000L) & ~0x7f_ffffL;
        }
        status &= ~value;
    }

    private void writeControl(int value) {
        control = value & ~SLEEP_ENABLE;
        if ((value & SLEEP_ENABLE) != 0) {
            int type = value >> 10 & 7;
            if (type == 0) {
                power.off();
            } else if (type == SLEEP_S3) {
                power.sleep();
            } else if (type == sleepS4) {
                power.sleepToDisk();
            }
        }
    }

    void describeEvents(StateCodec c) throws StateException {
        status = c.u16("ar.pm1.evt.sts", status());
        enable = c.u16("ar.pm1.evt.en", enable);
        control = c.u16("ar.pm1.cnt.cnt", control);
    }

    void describeTimer(StateCodec c) throws StateException {
        overflowTime = c.i64("ar.tmr.overflow_time", overflowTime);
    }
}
