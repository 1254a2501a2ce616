package lockstep.runtime.chip;

import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

/**
 * One 8259A (Intel 231468) with the edge/level register of the PC's pair (Intel 82371AB, 4.2.4). QEMU: vmstate "i8259"
 * v1. Guarded by its owner.
 */
final class Pic implements StateSection {
    private static final int NONE = -1;
    private static final int CASCADE = 2;

    // Operation command word 2: bits 7 to 5.
    private static final int NONSPECIFIC_EOI = 1;
    private static final int SPECIFIC_EOI = 3;
    private static final int ROTATE_ON_EOI = 5;
    private static final int SET_PRIORITY = 6;
    private static final int ROTATE_ON_SPECIFIC_EOI = 7;

    // configuration
    private final int number;
    private final int elcrMask;
    private final @Nullable Pic slave;

    // wiring
    private final Object guard;
    private final Irq output;
    private boolean raised;

    // guest-visible state, named as in the stream
    private int lastIrr;
    private int irr;
    private int imr;
    private int isr;
    private int priorityAdd;
    private int irqBase;
    private int readRegSelect;
    private int poll;
    private int specialMask;
    private int initState;
    private int autoEoi;
    private int rotateOnAutoEoi;
    private int specialFullyNestedMode;
    private int init4;
    private int singleMode;
    private int elcr;
    private int ltim;

    /**
     * The first of the pair when it is given the second as {@code slave}.
     *
     * @param guard whose monitor the owner holds for each call
     * @param elcrMask the inputs that can be level-triggered
     */
    Pic(Object guard, int number, int elcrMask, @Nullable Pic slave, Irq output) {
        this.guard = guard;
        this.number = number;
        this.elcrMask = elcrMask;
        this.slave = slave;
        this.output = output;
    }

    void reset() {
        elcr = 0;
        irr = 0;
        initialize();
    }

    /** What the first initialization command word does; level-triggered inputs stay as they are. */
    private void initialize() {
        lastIrr = 0;
        irr &= elcr;
        imr = 0;
        isr = 0;
        priorityAdd = 0;
        irqBase = 0;
        readRegSelect = 0;
        poll = 0;
        specialMask = 0;
        initState = 0;
        autoEoi = 0;
        rotateOnAutoEoi = 0;
        specialFullyNestedMode = 0;
        init4 = 0;
        singleMode = 0;
        ltim = 0;
        update();
    }

    // ---- priorities

    /** The rank of the foremost of some inputs, 0 for the first; 8 for none. */
    private int rank(int inputs) {
        if (inputs == 0) {
            return 8;
        }
        // Rotated so that the input of the highest priority is bit 0.
        return Integer.numberOfTrailingZeros((inputs | inputs << 8) >>> priorityAdd);
    }

    /** The input to be served next, or {@link #NONE}. */
    private int pending() {
        int priority = rank(irr & ~imr);
        if (priority == 8) {
            return NONE;
        }
        int served = isr;
        if (specialMask != 0) {
            served &= ~imr;
        }
        if (specialFullyNestedMode != 0 && slave != null) {
            served &= ~(1 << CASCADE);
        }
        return priority < rank(served) ? priority + priorityAdd & 7 : NONE;
    }

    /** Whether it asks for service. */
    boolean raised() {
        return raised;
    }

    private void update() {
        raised = pending() != NONE;
        output.set(raised);
    }

    private boolean levelTriggered(int mask) {
        return ltim != 0 || (elcr & mask) != 0;
    }

    void input(int n, boolean level) {
        int mask = 1 << n;
        if (!level) {
            if (levelTriggered(mask)) {
                irr &= ~mask;
            }
            lastIrr &= ~mask;
        } else {
            if (levelTriggered(mask) || (lastIrr & mask) == 0) {
                irr |= mask;
            }
            lastIrr |= mask;
        }
        update();
    }

    private void acknowledge(int n) {
        int mask = 1 << n;
        if (autoEoi == 0) {
            isr |= mask;
        } else if (rotateOnAutoEoi != 0) {
            priorityAdd = n + 1 & 7;
        }
        if (!levelTriggered(mask)) {
            irr &= ~mask;
        }
        update();
    }

    /** Answers the processor's acknowledge cycle with a vector, that of input 7 when nothing is there any more. */
    int acknowledge() {
        int n = pending();
        if (n == NONE) {
            return irqBase + 7;
        }
        int vector = n == CASCADE && slave != null ? slave.acknowledge() : irqBase + n;
        acknowledge(n);
        return vector;
    }

    // ---- registers

    int read(long port) {
        if (poll != 0) {
            poll = 0;
            int n = pending();
            if (n == NONE) {
                return 0;
            }
            acknowledge(n);
            return n | 0x80;
        }
        if ((port & 1) != 0) {
            return imr;
        }
        return readRegSelect != 0 ? isr : irr;
    }

    void write(long port, int value) {
        if ((port & 1) != 0) {
            data(value);
        } else if ((value & 0x10) != 0) {
            initialize();
            initState = 1;
            init4 = value & 1;
            singleMode = value & 2;
            ltim = value & 8;
        } else if ((value & 0x08) != 0) {
            if ((value & 0x04) != 0) {
                poll = 1;
            }
            if ((value & 0x02) != 0) {
                readRegSelect = value & 1;
            }
            if ((value & 0x40) != 0) {
                specialMask = value >>> 5 & 1;
            }
        } else {
            endOfInterrupt(value >>> 5, value & 7);
        }
    }

    private void endOfInterrupt(int command, int level) {
        switch (command) {
            case 0, 4 -> rotateOnAutoEoi = command >>> 2;
            case NONSPECIFIC_EOI, ROTATE_ON_EOI -> {
                int rank = rank(isr);
                if (rank != 8) {
                    end(rank + priorityAdd & 7, command == ROTATE_ON_EOI);
                }
            }
            case SPECIFIC_EOI, ROTATE_ON_SPECIFIC_EOI ->
                    end(level, command == ROTATE_ON_SPECIFIC_EOI);
            case SET_PRIORITY -> {
                priorityAdd = level + 1 & 7;
                update();
            }
            default -> {}
        }
    }

    private void end(int n, boolean rotate) {
        isr &= ~(1 << n);
        if (rotate) {
            priorityAdd = n + 1 & 7;
        }
        update();
    }

    private void data(int value) {
        switch (initState) {
            case 1 -> {
                irqBase = value & 0xf8;
                initState = singleMode == 0 ? 2 : init4 != 0 ? 3 : 0;
            }
            case 2 -> initState = init4 != 0 ? 3 : 0;
            case 3 -> {
                specialFullyNestedMode = value >>> 4 & 1;
                autoEoi = value >>> 1 & 1;
                initState = 0;
            }
            default -> {
                imr = value;
                update();
            }
        }
    }

    int readElcr() {
        return elcr;
    }

    void writeElcr(int value) {
        elcr = value & elcrMask;
    }

    // ---- section

    @Override
    public String name() {
        return "i8259";
    }

    @Override
    public int instance() {
        return number;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        lastIrr = c.u8("last_irr", lastIrr);
        irr = c.u8("irr", irr);
        imr = c.u8("imr", imr);
        isr = c.u8("isr", isr);
        priorityAdd = c.u8("priority_add", priorityAdd) & 7;
        irqBase = c.u8("irq_base", irqBase);
        readRegSelect = c.u8("read_reg_select", readRegSelect);
        poll = c.u8("poll", poll);
        specialMask = c.u8("special_mask", specialMask);
        initState = c.u8("init_state", initState);
        autoEoi = c.u8("auto_eoi", autoEoi);
        rotateOnAutoEoi = c.u8("rotate_on_auto_eoi", rotateOnAutoEoi);
        specialFullyNestedMode = c.u8("special_fully_nested_mode", specialFullyNestedMode);
        init4 = c.u8("init4", init4);
        singleMode = c.u8("single_mode", singleMode);
        elcr = c.u8("elcr", elcr);
        if (c.loading()) {
            ltim = 0;
        }
        c.subsection("i8259/ltim", 1, ltim != 0, s -> ltim = s.u8("ltim", ltim));
    }

    @Override
    public void afterLoad(int version) {
        synchronized (guard) {
            update();
        }
    }
}
