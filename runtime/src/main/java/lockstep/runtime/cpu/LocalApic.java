package lockstep.runtime.cpu;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * The local APIC of one vCPU as the migration stream carries it (QEMU: vmstate "apic" v3): plain data, which a chip
 * without the kernel's help works on. Register offsets are those of the APIC page, Intel SDM volume 3, section 11.4.1.
 */
public final class LocalApic {
    private static final int ID = 0x20;
    private static final int TPR = 0x80;
    private static final int APR = 0x90;
    private static final int LDR = 0xd0;
    private static final int DFR = 0xe0;
    private static final int SVR = 0xf0;
    private static final int ISR = 0x100;
    private static final int TMR = 0x180;
    private static final int IRR = 0x200;
    private static final int ESR = 0x280;
    private static final int ICR = 0x300;
    private static final int LVT = 0x320;
    private static final int INITIAL_COUNT = 0x380;
    private static final int CURRENT_COUNT = 0x390;
    private static final int DIVIDE = 0x3e0;

    private static final int LVT_TIMER = 0;
    private static final int LVT_LINT0 = 3;
    private static final int MASKED = 1 << 16;
    private static final int PERIODIC = 1 << 17;
    private static final int EXTERNAL_INTERRUPT = 0x700;
    private static final long DEFAULT_BASE = 0xfee00000L;
    private static final int ENABLED = 1 << 11;
    private static final int BOOTSTRAP = 1 << 8;

    private final int initialId;

    /** The APIC base register: address, enable and bootstrap bits. */
    public long base;

    public int id;
    public int arbitration;
    public int tpr;
    public int spurious;

    /** Bits 31 to 24 of the logical destination register. */
    public int logicalDestination;

    /** Bits 31 to 28 of the destination format register. */
    public int destinationMode;

    public final int[] isr = new int[8];
    public final int[] tmr = new int[8];
    public final int[] irr = new int[8];
    public final int[] lvt = new int[6];
    public int esr;
    public final int[] icr = new int[2];
    public int divide;

    /** The base-2 logarithm of the divider; one undivided count takes a nanosecond. */
    public int countShift;

    public int initialCount;

    /** Guest time in nanoseconds at which the timer began to count. */
    public long loadTime;

    public long nextTime;

    /** Guest time at which the timer goes off, or -1. */
    public long expiry;

    public int sipiVector;

    /** Not 0 while an application processor waits to be started. */
    public int waitForSipi;

    /** The number that the processor was given at power-on. */
    public int initialId() {
        return initialId;
    }

    /** Of the vCPU with that APIC ID. */
    public LocalApic(int initialId) {
        this.initialId = initialId;
    }

    /** Whether the APIC is in x2APIC mode, where the ID register holds all 32 bits. */
    private boolean x2apic() {
        return (base & 1 << 10) != 0;
    }

    /** The state after RESET; the first processor is the bootstrap processor. */
    public void reset(boolean bootstrap) {
        base = DEFAULT_BASE | ENABLED | (bootstrap ? BOOTSTRAP : 0);
        id = initialId;
        init(bootstrap);
        if (bootstrap) {
            // As firmware would leave it: the PIC's interrupts reach the first processor.
            lvt[LVT_LINT0] = EXTERNAL_INTERRUPT;
        }
    }

    /** The state after an INIT, which leaves base and ID alone. */
    public void init(boolean bootstrap) {
        arbitration = 0;
        tpr = 0;
        spurious = 0xff;
        logicalDestination = 0;
        destinationMode = 0xf;
        Arrays.fill(isr, 0);
        Arrays.fill(tmr, 0);
        Arrays.fill(irr, 0);
        Arrays.fill(lvt, MASKED);
        esr = 0;
        Arrays.fill(icr, 0);
        divide = 0;
        countShift = 0;
        initialCount = 0;
        loadTime = 0;
        nextTime = 0;
        expiry = -1;
        sipiVector = 0;
        waitForSipi = bootstrap ? 0 : 1;
    }

    private static int get(MemorySegment page, int register) {
        return page.get(ValueLayout.JAVA_INT, register);
    }

    private static void set(MemorySegment page, int register, int value) {
        page.set(ValueLayout.JAVA_INT, register, value);
    }

    /** Takes the registers over from the kernel's page; {@code now} is guest time. */
    public void from(MemorySegment page, long apicBase, long now) {
        base = apicBase;
        id = x2apic() ? get(page, ID) & 0xff : get(page, ID) >>> 24;
        tpr = get(page, TPR) & 0xff;
        arbitration = get(page, APR) & 0xff;
        logicalDestination = get(page, LDR) >>> 24;
        destinationMode = get(page, DFR) >>> 28;
        spurious = get(page, SVR);
        for (int i = 0; i < 8; i++) {
            isr[i] = get(page, ISR + i * 16);
            tmr[i] = get(page, TMR + i * 16);
            irr[i] = get(page, IRR + i * 16);
        }
        esr = get(page, ESR);
        icr[0] = get(page, ICR);
        icr[1] = get(page, ICR + 16);
        for (int i = 0; i < lvt.length; i++) {
            lvt[i] = get(page, LVT + i * 16);
        }
        initialCount = get(page, INITIAL_COUNT);
        divide = get(page, DIVIDE);
        int v = (divide & 3) | (divide >>> 1 & 4);
        countShift = v + 1 & 7;
        long counted = Integer.toUnsignedLong(initialCount);
        counted -= Math.min(counted, Integer.toUnsignedLong(get(page, CURRENT_COUNT)));
        loadTime = initialCount == 0 ? now : now - (counted << countShift);
        timerState(now);
    }

    /** Works out when the timer goes off next, counted in ticks of the divider since it was loaded. */
    public void timerState(long now) {
        expiry = -1;
        long period = Integer.toUnsignedLong(initialCount);
        if ((lvt[LVT_TIMER] & MASKED) != 0 || period == 0) {
            return;
        }
        long elapsed = now - loadTime >> countShift;
        long ticks;
        if ((lvt[LVT_TIMER] & PERIODIC) != 0) {
            ticks = (elapsed / (period + 1) + 1) * (period + 1);
        } else if (elapsed >= period) {
            return;
        } else {
            ticks = period + 1;
        }
        nextTime = loadTime + (ticks << countShift);
        expiry = nextTime;
    }

    /** What is left of the count. */
    public int currentCount(long now) {
        long period = Integer.toUnsignedLong(initialCount);
        long elapsed = now - loadTime >> countShift;
        if ((lvt[LVT_TIMER] & PERIODIC) != 0) {
            return (int) (period - Math.floorMod(elapsed, period + 1));
        }
        return elapsed >= period ? 0 : (int) (period - elapsed);
    }

    /** The priority that an interrupt must exceed: that of the task or of what is being served. */
    public int processorPriority() {
        int served = Math.max(0, highest(isr));
        return tpr >>> 4 >= served >>> 4 ? tpr : served & 0xf0;
    }

    /** The highest vector of a register with a bit for each; -1 when there is none. */
    public static int highest(int[] bits) {
        for (int i = bits.length - 1; i >= 0; i--) {
            if (bits[i] != 0) {
                return i << 5 | 31 - Integer.numberOfLeadingZeros(bits[i]);
            }
        }
        return -1;
    }

    /** Whether a register with a bit for each vector has that of one. */
    public static boolean isSet(int[] bits, int vector) {
        return (bits[vector >>> 5] >>> vector & 1) != 0;
    }

    /** Fills the kernel's page. */
    public void to(MemorySegment page, long now) {
        page.fill((byte) 0);
        set(page, ID, x2apic() ? initialId : id << 24);
        set(page, TPR, tpr);
        set(page, LDR, x2apic() ? x2apicDestination() : logicalDestination << 24);
        set(page, DFR, destinationMode << 28 | 0x0fffffff);
        set(page, SVR, spurious);
        for (int i = 0; i < 8; i++) {
            set(page, ISR + i * 16, isr[i]);
            set(page, TMR + i * 16, tmr[i]);
            set(page, IRR + i * 16, irr[i]);
        }
        set(page, ESR, esr);
        set(page, ICR, icr[0]);
        set(page, ICR + 16, icr[1]);
        for (int i = 0; i < lvt.length; i++) {
            set(page, LVT + i * 16, lvt[i]);
        }
        set(page, INITIAL_COUNT, initialCount);
        if (expiry != -1 && initialCount != 0) {
            long left = Math.max(1, expiry - now >> countShift);
            set(page, CURRENT_COUNT, (int) Math.min(left, Integer.toUnsignedLong(initialCount)));
        }
        set(page, DIVIDE, divide);
    }

    /** In x2APIC mode the logical destination follows from the ID (Intel SDM volume 3, 11.12.10.2). */
    private int x2apicDestination() {
        return initialId >>> 4 << 16 | 1 << (initialId & 15);
    }

    /** The fields, in the order of the stream. */
    public void describe(StateCodec c) throws StateException {
        base = c.u32("apicbase", (int) base) & 0xffffffffL;
        id = c.u8("id", id);
        arbitration = c.u8("arb_id", arbitration);
        tpr = c.u8("tpr", tpr);
        spurious = c.u32("spurious_vec", spurious);
        logicalDestination = c.u8("log_dest", logicalDestination);
        destinationMode = c.u8("dest_mode", destinationMode) & 0xf;
        c.u32s("isr", isr);
        c.u32s("tmr", tmr);
        c.u32s("irr", irr);
        c.u32s("lvt", lvt);
        esr = c.u32("esr", esr);
        c.u32s("icr", icr);
        divide = c.u32("divide_conf", divide);
        countShift = c.i32("count_shift", countShift) & 7;
        initialCount = c.u32("initial_count", initialCount);
        loadTime = c.i64("initial_count_load_time", loadTime);
        nextTime = c.i64("next_time", nextTime);
        expiry = c.i64("timer_expiry", expiry);
        if (c.loading()) {
            waitForSipi = 0;
            sipiVector = 0;
        }
        c.subsection(
                "apic_sipi",
                1,
                waitForSipi != 0,
                s -> {
                    sipiVector = s.i32("sipi_vector", sipiVector);
                    waitForSipi = s.i32("wait_for_sipi", waitForSipi);
                });
    }

    /** Bits 7 to 4 of the task priority, which the processor shows as CR8. */
    public int taskPriorityClass() {
        return tpr >>> 4;
    }

    /** The kernel keeps the wait for a SIPI in the vCPU's multiprocessing state. */
    public void startupKnown() {
        waitForSipi = 0;
        sipiVector = 0;
    }
}
