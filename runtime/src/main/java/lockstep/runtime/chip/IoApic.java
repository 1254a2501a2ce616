package lockstep.runtime.chip;

import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Arrays;
import java.util.function.IntSupplier;

/** The 82093AA (Intel 290566) with the EOI register of version 0x20. QEMU: vmstate "ioapic" v3. */
final class IoApic implements StateSection, IoHandler {
    static final long BASE = 0xfec00000L;
    static final int PINS = 24;

    private static final int SELECT = 0x00;
    private static final int WINDOW = 0x10;
    private static final int EOI = 0x40;

    // Indirect registers, section 3.2.
    private static final int ID = 0;
    private static final int VERSION = 1;
    private static final int ARBITRATION = 2;
    private static final int TABLE = 0x10;

    private static final long LEVEL = 1 << 15;
    private static final long REMOTE_IRR = 1 << 14;
    private static final long DELIVERY_STATUS = 1 << 12;
    private static final long READ_ONLY = REMOTE_IRR | DELIVERY_STATUS;
    private static final long MASKED = 1 << 16;

    // wiring
    private final ApicBus bus;
    private final IntSupplier pic;

    /** Inputs that are high; told by their edges, and therefore not part of the state. */
    private int lines;

    // guest-visible state, named as in the stream
    private int id;
    private int select;
    private int irr;
    private final long[] table = new long[PINS];

    /** {@code pic} acknowledges what the first PIC has, for entries that let it choose the vector. */
    IoApic(ApicBus bus, IntSupplier pic) {
        this.bus = bus;
        this.pic = pic;
        reset();
    }

    void reset() {
        id = 0;
        select = 0;
        irr = 0;
        Arrays.fill(table, MASKED);
        bus.entries(table);
    }

    /** Drives an input. With the guard held. */
    void input(int pin, boolean level) {
        int mask = 1 << pin;
        boolean rising = level && (lines & mask) == 0;
        lines = level ? lines | mask : lines & ~mask;
        long entry = table[pin];
        if ((entry & LEVEL) != 0) {
            irr = level ? irr | mask : irr & ~mask;
            if (level && (entry & REMOTE_IRR) == 0) {
                service(pin);
            }
        } else if (rising && (entry & MASKED) == 0) {
            // Section 3.2.4, "Interrupt Mask": an edge on a masked input is lost.
            irr |= mask;
            service(pin);
        }
    }

    /** Sends what a pin has to send. */
    private void service(int pin) {
        long entry = table[pin];
        if ((irr >>> pin & 1) == 0 || (entry & MASKED) != 0) {
            return;
        }
        boolean level = (entry & LEVEL) != 0;
        if (!level) {
            irr &= ~(1 << pin);
        } else if ((entry & REMOTE_IRR) != 0) {
            return;
        } else {
            table[pin] |= REMOTE_IRR;
        }
        int mode = (int) entry >>> 8 & 7;
        int vector = mode == ApicBus.EXTERNAL ? pic.getAsInt() : (int) entry & 0xff;
        bus.deliver((int) (entry >>> 56), (entry & 1 << 11) != 0, mode, vector, level);
    }

    /** A processor is done with a level-triggered interrupt. With the guard held. */
    void endOfInterrupt(int vector) {
        for (int pin = 0; pin < PINS; pin++) {
            long entry = table[pin];
            if ((entry & 0xff) == vector && (entry & LEVEL) != 0 && (entry & REMOTE_IRR) != 0) {
                table[pin] &= ~REMOTE_IRR;
                service(pin);
            }
        }
    }

    @Override
    public long read(long offset, int size) {
        synchronized (bus) {
            return switch ((int) offset & 0xff) {
                case SELECT -> select;
                case WINDOW -> size == 4 ? register() : 0;
                default -> 0;
            };
        }
    }

    private long register() {
        int entry = select - TABLE >> 1;
        return switch (select) {
            case ID, ARBITRATION -> (long) id << 24;
            case VERSION -> (PINS - 1) << 16 | 0x20;
            default ->
                    entry < 0 || entry >= PINS
                            ? 0
                            : (select & 1) != 0 ? table[entry] >>> 32 : table[entry] & 0xffffffffL;
        };
    }

    @Override
    public void write(long offset, int size, long value) {
        synchronized (bus) {
            switch ((int) offset & 0xff) {
                case SELECT -> select = (int) value & 0xff;
                case WINDOW -> {
                    if (size == 4) {
                        register(value);
                    }
                }
                case EOI -> {
                    if (size == 4) {
                        endOfInterrupt((int) value & 0xff);
                    }
                }
                default -> {}
            }
        }
    }

    private void register(long value) {
        int n = select - TABLE >> 1;
        if (select == ID) {
            id = (int) value >>> 24 & 0xf;
        } else if (n >= 0 && n < PINS) {
            long old = table[n];
            long entry =
                    (select & 1) != 0
                            ? old & 0xffffffffL | value << 32
                            : old & 0xffffffff00000000L | value & ~READ_ONLY | old & READ_ONLY;
            table[n] = (entry & LEVEL) != 0 ? entry : entry & ~REMOTE_IRR;
            bus.entries(table);
            service(n);
        }
    }

    // ---- section

    @Override
    public String name() {
        return "ioapic";
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        id = c.u8("id", id);
        select = c.u8("ioregsel", select);
        if (c.version() >= 2) {
            c.pad("unused", 8);
            irr = c.u32("irr", irr);
        } else {
            irr = 0;
        }
        c.u64s("ioredtbl", table);
    }

    @Override
    public void afterLoad(int version) {
        synchronized (bus) {
            bus.entries(table);
        }
    }
}
