package lockstep.runtime.chip;

import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.loop.EventLoop;

import java.util.ArrayList;
import java.util.List;

/**
 * The local APIC of one software vCPU (Intel SDM volume 3, chapter 11). Its registers are the vCPU's {@link LocalApic},
 * so there is nothing to fetch for the stream; {@link #loaded} puts loaded ones in force. Any thread.
 *
 * <p>The vCPU looks at {@link #requests} between instructions, which costs one plain read, and takes what it can.
 */
public final class Apic {
    /** {@link #acknowledge} has a vector for a processor that accepts interrupts. */
    public static final int INTERRUPT = 1;

    /** A non-maskable interrupt. */
    public static final int NMI = 2;

    /** An INIT: the vCPU resets itself, then calls {@link #init}. */
    public static final int INIT = 4;

    /** A start-up message: the vCPU asks {@link #start}. */
    public static final int SIPI = 8;

    /** A system management interrupt. */
    public static final int SMI = 16;

    /** Bits of the APIC base register that a guest may set: address, enable. */
    private static final long BASE_ENABLE = 1 << 11;

    private static final long BASE_BOOTSTRAP = 1 << 8;
    private static final long BASE_EXTENDED = 1 << 10;

    // Registers by number: offset in the page divided by 16.
    private static final int ID = 0x02;
    private static final int VERSION = 0x03;
    private static final int TPR = 0x08;
    private static final int APR = 0x09;
    private static final int PPR = 0x0a;
    private static final int EOI = 0x0b;
    private static final int RRD = 0x0c;
    private static final int LDR = 0x0d;
    private static final int DFR = 0x0e;
    private static final int SVR = 0x0f;
    private static final int ISR = 0x10;
    private static final int TMR = 0x18;
    private static final int IRR = 0x20;
    private static final int ESR = 0x28;
    private static final int ICR_LOW = 0x30;
    private static final int ICR_HIGH = 0x31;
    private static final int LVT = 0x32;
    private static final int INITIAL_COUNT = 0x38;
    private static final int CURRENT_COUNT = 0x39;
    private static final int DIVIDE = 0x3e;

    private static final int SOFTWARE_ENABLE = 1 << 8;

    // The local vector table and the bits of its entries.
    static final int LVT_TIMER = 0;
    private static final int LVT_LINT0 = 3;
    private static final int LVT_LINT1 = 4;
    private static final int LVT_ERROR = 5;
    private static final int LVT_COUNT = 6;
    private static final int LVT_VECTOR = 0xff;
    private static final int LVT_MODE = 7 << 8;
    private static final int LVT_POLARITY = 1 << 13;
    private static final int LVT_LEVEL = 1 << 15;
    private static final int LVT_MASKED = 1 << 16;

    private static final int[] LVT_WRITABLE = {
        LVT_VECTOR | LVT_MASKED | ApicTimer.MODE,
        LVT_VECTOR | LVT_MASKED | LVT_MODE,
        LVT_VECTOR | LVT_MASKED | LVT_MODE,
        LVT_VECTOR | LVT_MASKED | LVT_MODE | LVT_POLARITY | LVT_LEVEL,
        LVT_VECTOR | LVT_MASKED | LVT_MODE | LVT_POLARITY | LVT_LEVEL,
        LVT_VECTOR | LVT_MASKED
    };

    // Errors, section 11.5.3.
    private static final int SEND_ILLEGAL_VECTOR = 1 << 5;
    private static final int RECEIVED_ILLEGAL_VECTOR = 1 << 6;
    private static final int ILLEGAL_REGISTER = 1 << 7;

    // Interrupt command register.
    private static final int ICR_DELIVERY_STATUS = 1 << 12;
    private static final int ICR_ASSERT = 1 << 14;
    private static final int ICR_LEVEL = 1 << 15;

    private final LocalApic s;
    private final ApicBus bus;
    private final InterruptTarget target;
    private final ApicTimer timer;
    private volatile int requests;

    /** Errors since the guest last wrote the error status register. */
    private int errors;

    Apic(LocalApic state, ApicBus bus, EventLoop loop, InterruptTarget target) {
        this.s = state;
        this.bus = bus;
        this.target = target;
        timer = new ApicTimer(state, loop, target, bus, () -> local(LVT_TIMER));
        bus.add(this);
    }

    InterruptTarget target() {
        return target;
    }

    // ---- towards the vCPU

    /** What is there for the vCPU, as bits. */
    public int requests() {
        return requests;
    }

    /** Takes a request other than {@link #INTERRUPT} back; whether it was there. */
    public boolean take(int request) {
        synchronized (bus) {
            boolean there = (requests & request) != 0;
            requests &= ~request;
            return there;
        }
    }

    /** Adds a request, and has the vCPU look. */
    public void request(int request) {
        synchronized (bus) {
            requests |= request;
            target.changed();
        }
    }

    /** The vector that {@link #acknowledge} would give, or -1; that of the PIC is not known before, and given as 256. */
    public int pendingVector() {
        synchronized (bus) {
            return fromPic() ? 256 : deliverable();
        }
    }

    /** The processor takes an interrupt: its vector, or -1 when there is none any more. */
    public int acknowledge() {
        synchronized (bus) {
            // What the PIC has goes first, as it takes no part in the priorities.
            if (fromPic()) {
                int vector = bus.acknowledgePic();
                update();
                return vector;
            }
            int vector = deliverable();
            if (vector >= 0) {
                clear(s.irr, vector);
                set(s.isr, vector);
                update();
            }
            return vector;
        }
    }

    /** Bits 7 to 4 of the task priority, as CR8 shows them. */
    public int cr8() {
        return s.tpr >>> 4;
    }

    /** Sets the task priority through CR8. */
    public void cr8(int priority) {
        synchronized (bus) {
            s.tpr = (priority & 0xf) << 4;
            update();
        }
    }

    /** The APIC base register, IA32_APIC_BASE. */
    public long base() {
        return s.base;
    }

    /**
     * Sets the APIC base register; false when that is a general-protection fault: reserved bits, an address above
     * {@code physicalBits}, x2APIC mode.
     */
    public boolean base(long value, int physicalBits) {
        long reserved = 0xff | 1 << 9 | BASE_EXTENDED | -1L << physicalBits;
        if ((value & reserved) != 0) {
            return false;
        }
        synchronized (bus) {
            boolean off = (s.base & ~value & BASE_ENABLE) != 0;
            s.base = value & ~BASE_BOOTSTRAP | s.base & BASE_BOOTSTRAP;
            if (off) {
                // Section 11.4.3: afterwards it is as after a power-up, but for the base.
                s.init(bootstrap());
                s.waitForSipi = 0;
                s.id = s.initialId();
                timer.arm();
            }
            update();
            return true;
        }
    }

    /** Whether the processor has a local APIC now, as CPUID tells. */
    public boolean enabled() {
        return (s.base & BASE_ENABLE) != 0;
    }

    private boolean bootstrap() {
        return (s.base & BASE_BOOTSTRAP) != 0;
    }

    /** Whether the processor waits for a start-up message. */
    public boolean waiting() {
        return s.waitForSipi != 0;
    }

    /** Follows the vCPU's reset by INIT. An application processor waits for a start-up message then. */
    public void init() {
        synchronized (bus) {
            // A start-up message may have followed INIT before the vCPU came here.
            int vector = s.sipiVector;
            s.init(bootstrap());
            s.sipiVector = vector;
            errors = 0;
            timer.forgetDeadline();
            requests &= NMI | SMI | SIPI;
            timer.arm();
            update();
        }
    }

    /** The start-up vector, page number of the first instruction; -1 when the processor does not wait for one. */
    public int start() {
        synchronized (bus) {
            requests &= ~SIPI;
            if (s.waitForSipi == 0) {
                return -1;
            }
            s.waitForSipi = 0;
            return s.sipiVector;
        }
    }

    /** Puts registers that were loaded or reset in force. */
    public void loaded() {
        synchronized (bus) {
            requests = 0;
            errors = 0;
            timer.loaded();
            update();
        }
    }

    /** IA32_TSC_DEADLINE; 0 when the timer is not armed that way. */
    public long deadline() {
        return timer.deadline();
    }

    /** Arms the timer for a value of the time stamp counter, where the guest chose that mode; 0 disarms. */
    public void deadline(long tsc) {
        synchronized (bus) {
            timer.deadline(tsc);
        }
    }

    // ---- from the bus

    boolean matches(int destination, boolean logical) {
        if (!enabled()) {
            return false;
        }
        if (!logical) {
            return destination == ApicBus.BROADCAST || destination == s.id;
        }
        int mine = s.logicalDestination;
        if (s.destinationMode == 0xf) {
            return (destination & mine) != 0;
        }
        // Section 11.6.2.2: clusters, of which the last stands for all.
        boolean cluster = destination >>> 4 == mine >>> 4 || destination >>> 4 == 0xf;
        return s.destinationMode == 0 && cluster && (destination & mine & 0xf) != 0;
    }

    void accept(int vector, boolean level) {
        if (vector < 16) {
            error(RECEIVED_ILLEGAL_VECTOR);
            return;
        }
        set(s.irr, vector);
        if (level) {
            set(s.tmr, vector);
        } else {
            clear(s.tmr, vector);
        }
        update();
    }

    void startup(int vector) {
        // One that comes when nobody waits for it is lost, and must not be found after the next
        // INIT.
        if (s.waitForSipi != 0 || (requests & INIT) != 0) {
            s.sipiVector = vector;
            request(SIPI);
        }
    }

    /** The PIC's output changed. */
    void lint0(boolean level) {
        int entry = s.lvt[LVT_LINT0];
        boolean fixed = (entry & (LVT_MASKED | LVT_MODE)) == 0;
        if (level && enabled()) {
            if ((entry & (LVT_MASKED | LVT_MODE)) != ApicBus.EXTERNAL << 8) {
                local(LVT_LINT0);
            }
        } else if (fixed && (entry & LVT_LEVEL) != 0) {
            clear(s.irr, entry & LVT_VECTOR);
        }
        update();
    }

    /** Delivers what a local source asked for. */
    private void local(int source) {
        int entry = s.lvt[source];
        if ((entry & LVT_MASKED) != 0) {
            return;
        }
        boolean pin = source == LVT_LINT0 || source == LVT_LINT1;
        switch (pin || source != LVT_TIMER ? entry >>> 8 & 7 : ApicBus.FIXED) {
            case ApicBus.FIXED -> accept(entry & LVT_VECTOR, pin && (entry & LVT_LEVEL) != 0);
            case ApicBus.SMI -> request(SMI);
            case ApicBus.NMI -> request(NMI);
            case ApicBus.INIT -> request(INIT);
            default -> {}
        }
    }

    private void error(int kind) {
        errors |= kind;
        if ((s.lvt[LVT_ERROR] & LVT_VECTOR) >= 16) {
            local(LVT_ERROR);
        }
    }

    // ---- priorities

    private static void set(int[] bits, int vector) {
        bits[vector >>> 5] |= 1 << vector;
    }

    private static void clear(int[] bits, int vector) {
        bits[vector >>> 5] &= ~(1 << vector);
    }

    /** The processor priority: that of the task or of what is being served, whichever is higher. */
    int processorPriority() {
        return s.processorPriority();
    }

    private int deliverable() {
        if (!enabled() || (s.spurious & SOFTWARE_ENABLE) == 0) {
            return -1;
        }
        int vector = LocalApic.highest(s.irr);
        return vector >>> 4 > processorPriority() >>> 4 ? vector : -1;
    }

    /** Whether the PIC's output reaches the processor, and is high. */
    private boolean fromPic() {
        int entry = s.lvt[LVT_LINT0];
        boolean open = (entry & (LVT_MASKED | LVT_MODE)) == ApicBus.EXTERNAL << 8;
        return bus.picOutput() && (!enabled() || open);
    }

    private void update() {
        boolean pending = fromPic() || deliverable() >= 0;
        boolean before = (requests & INTERRUPT) != 0;
        if (pending && !before) {
            request(INTERRUPT);
        } else if (!pending) {
            requests &= ~INTERRUPT;
        }
    }

    // ---- registers

    /** Reads a register at an offset in the page; 0 for what is none. */
    public int read(int offset) {
        int n = offset >>> 4 & 0xff;
        synchronized (bus) {
            return switch (n) {
                case ID -> s.id << 24;
                case VERSION -> (LVT_COUNT - 1) << 16 | 0x14;
                case TPR -> s.tpr;
                case APR, EOI, RRD -> 0;
                case PPR -> processorPriority();
                case LDR -> s.logicalDestination << 24;
                case DFR -> s.destinationMode << 28 | 0x0fffffff;
                case SVR -> s.spurious;
                case ESR -> s.esr;
                case ICR_LOW -> s.icr[0];
                case ICR_HIGH -> s.icr[1];
                case INITIAL_COUNT -> s.initialCount;
                case CURRENT_COUNT -> timer.currentCount();
                case DIVIDE -> s.divide;
                default -> {
                    if (n >= ISR && n < ISR + 8) {
                        yield s.isr[n - ISR];
                    } else if (n >= TMR && n < TMR + 8) {
                        yield s.tmr[n - TMR];
                    } else if (n >= IRR && n < IRR + 8) {
                        yield s.irr[n - IRR];
                    } else if (n >= LVT && n < LVT + LVT_COUNT) {
                        yield s.lvt[n - LVT];
                    }
                    error(ILLEGAL_REGISTER);
                    yield 0;
                }
            };
        }
    }

    /** Writes a register likewise. */
    public void write(int offset, int value) {
        int n = offset >>> 4 & 0xff;
        synchronized (bus) {
            switch (n) {
                case ID -> s.id = value >>> 24;
                case TPR -> {
                    s.tpr = value & 0xff;
                    update();
                }
                case EOI -> endOfInterrupt();
                case LDR -> s.logicalDestination = value >>> 24;
                case DFR -> s.destinationMode = value >>> 28;
                case SVR -> spurious(value & 0x1ff);
                case ESR -> {
                    s.esr = errors;
                    errors = 0;
                }
                case ICR_LOW -> command(value & ~ICR_DELIVERY_STATUS);
                case ICR_HIGH -> s.icr[1] = value;
                case INITIAL_COUNT -> timer.initialCount(value);
                case DIVIDE -> timer.divide(value);
                case VERSION, APR, PPR, RRD, CURRENT_COUNT -> {}
                default -> {
                    if (n >= LVT && n < LVT + LVT_COUNT) {
                        vector(n - LVT, value);
                    } else if (n < ISR || n >= IRR + 8) {
                        error(ILLEGAL_REGISTER);
                    }
                }
            }
        }
    }

    private void spurious(int value) {
        s.spurious = value;
        if ((value & SOFTWARE_ENABLE) == 0) {
            // Section 11.4.7.2: all entries are masked, until the guest has enabled it and
            // unmasked them.
            for (int i = 0; i < LVT_COUNT; i++) {
                s.lvt[i] |= LVT_MASKED;
            }
            timer.arm();
        }
        update();
    }

    private void vector(int n, int value) {
        if (n == LVT_TIMER) {
            timer.settle();
        }
        int before = s.lvt[n];
        boolean off = (s.spurious & SOFTWARE_ENABLE) == 0;
        s.lvt[n] = value & LVT_WRITABLE[n] | (off ? LVT_MASKED : 0);
        if (n == LVT_TIMER) {
            if (((before ^ value) & ApicTimer.MODE & ~ApicTimer.PERIODIC) != 0) {
                s.initialCount = 0;
                timer.forgetDeadline();
            }
            timer.arm();
        }
        update();
    }

    private void endOfInterrupt() {
        int vector = LocalApic.highest(s.isr);
        if (vector < 0) {
            return;
        }
        clear(s.isr, vector);
        if (LocalApic.isSet(s.tmr, vector)) {
            bus.endOfInterrupt(vector);
        }
        update();
    }

    /** Writes the interrupt command register, which sends a message; section 11.6.1. */
    private void command(int value) {
        s.icr[0] = value;
        int mode = value >>> 8 & 7;
        int vector = value & 0xff;
        boolean level = (value & ICR_LEVEL) != 0;
        if (mode == ApicBus.INIT && level && (value & ICR_ASSERT) == 0) {
            return; // the arbitration IDs of a bus that there is no more
        }
        if ((mode == ApicBus.FIXED || mode == ApicBus.LOWEST_PRIORITY) && vector < 16) {
            error(SEND_ILLEGAL_VECTOR);
            return;
        }
        int shorthand = value >>> 18 & 3;
        if (shorthand == 0) {
            bus.deliver(s.icr[1] >>> 24, (value & 1 << 11) != 0, mode, vector, level);
            return;
        }
        List<Apic> to = new ArrayList<>();
        for (Apic a : bus.apics()) {
            if (shorthand == 2 || (a == this) == (shorthand == 1)) {
                to.add(a);
            }
        }
        bus.deliver(to, mode, vector, level);
    }
}
