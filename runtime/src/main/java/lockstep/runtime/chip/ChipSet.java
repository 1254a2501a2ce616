package lockstep.runtime.chip;

import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.stream.IntStream;

/**
 * A PC's two 8259A, its 82093AA, local APICs and 8254, wired up: ISA interrupts reach PIC and IOAPIC, the timer's the
 * IOAPIC's pin 2 (Intel MP specification); the PIC's output reaches LINT0 of all processors.
 */
public final class ChipSet implements InterruptControllers {
    private static final int ISA = 16;
    private static final int CASCADE = 2;
    private static final long MESSAGES = 0xfee00000L;
    private static final long MESSAGES_SIZE = 1 << 20;
    // Lines that can be level-triggered: not the timer, keyboard, cascade, clock and FPU.
    private static final int[] ELCR_MASKS = {0xf8, 0xde};

    private final EventLoop loop;
    private final ApicBus bus;
    private final Pic second;
    private final Pic first;
    private final IoApic ioapic;
    private final Pit pit;
    private final Irq[] inputs;
    private final long[] ioapicCounts = new long[IoApic.PINS];
    private final long[] picCounts = new long[ISA];
    private int ioapicLevels;
    private int picLevels;
    private volatile @Nullable Tap tap;

    /** Makes the chips, which are mapped nowhere yet; timers run on that loop, which holds the machine lock. */
    public ChipSet(EventLoop loop) {
        this(loop, null);
    }

    /** Likewise; {@code kernel} has the local APICs if it is not null. */
    public ChipSet(EventLoop loop, @Nullable KernelApics kernel) {
        this.loop = loop;
        bus = new ApicBus(kernel);
        second = new Pic(bus, 1, ELCR_MASKS[1], null, this::cascade);
        first = new Pic(bus, 0, ELCR_MASKS[0], second, bus::picOutput);
        ioapic = new IoApic(bus, first::acknowledge);
        bus.connect(first::acknowledge, ioapic::endOfInterrupt);
        inputs =
                IntStream.range(0, IoApic.PINS)
                        .<Irq>mapToObj(n -> on -> drive(n, on))
                        .toArray(Irq[]::new);
        pit = new Pit(loop, inputs[0]);
    }

    private void cascade(boolean level) {
        first.input(CASCADE, level);
    }

    private void drive(int n, boolean level) {
        Tap t = tap;
        if (t != null) {
            t.driven(n, level);
        }
        synchronized (bus) {
            if (n < ISA && n != CASCADE) {
                pic(n, level);
            }
            toIoapic(n, level);
        }
    }

    private void toIoapic(int n, boolean level) {
        int before = ioapicLevels;
        ioapicLevels = level ? before | 1 << n : before & ~(1 << n);
        ioapicCounts[n] += Integer.bitCount(ioapicLevels & ~before);
        ioapic.input(n == 0 ? 2 : n, level);
    }

    private void pic(int n, boolean level) {
        int before = picLevels;
        picLevels = level ? before | 1 << n : before & ~(1 << n);
        picCounts[n] += Integer.bitCount(picLevels & ~before);
        if (n < 8) {
            first.input(n, level);
        } else {
            second.input(n - 8, level);
        }
    }

    /** The local APIC of a vCPU, whose registers are those. */
    public Apic newApic(LocalApic state, InterruptTarget target) {
        return new Apic(state, bus, loop, target);
    }

    /** A processor that heard of the first PIC's output takes what it has: the vector, or -1 if it is low again. */
    public int acknowledgePic() {
        synchronized (bus) {
            return bus.picOutput() ? bus.acknowledgePic() : -1;
        }
    }

    /** A local APIC in the kernel tells of the end of a level-triggered interrupt. */
    public void endOfInterrupt(int vector) {
        synchronized (bus) {
            bus.endOfInterrupt(vector);
        }
    }

    /** The 8254. */
    public IntervalTimer timer() {
        return pit;
    }

    /** Maps the chips' registers, and the window through which devices send messages. */
    public void map(AddressSpace memory, AddressSpace ports) {
        ports.mapIo("i8259", 0x20, 2, 0, new Ports(first));
        ports.mapIo("i8259", 0xa0, 2, 0, new Ports(second));
        ports.mapIo("i8259-elcr", 0x4d0, 1, 0, new Elcr(first));
        ports.mapIo("i8259-elcr", 0x4d1, 1, 0, new Elcr(second));
        ports.mapIo("pit", 0x40, 4, 0, pit);
        memory.mapIo("ioapic", IoApic.BASE, 0x1000, 0, ioapic);
        memory.mapIo("apic-msi", MESSAGES, MESSAGES_SIZE, 0x1000, new Messages());
    }

    private final class Ports implements IoHandler {
        private final Pic pic;

        Ports(Pic pic) {
            this.pic = pic;
        }

        @Override
        public int maxAccess() {
            return 1;
        }

        @Override
        public long read(long offset, int size) {
            synchronized (bus) {
                return pic.read(offset);
            }
        }

        @Override
        public void write(long offset, int size, long value) {
            synchronized (bus) {
                pic.write(offset, (int) value);
            }
        }
    }

    private final class Elcr implements IoHandler {
        private final Pic pic;

        Elcr(Pic pic) {
            this.pic = pic;
        }

        @Override
        public int maxAccess() {
            return 1;
        }

        @Override
        public long read(long offset, int size) {
            synchronized (bus) {
                return pic.readElcr();
            }
        }

        @Override
        public void write(long offset, int size, long value) {
            synchronized (bus) {
                pic.writeElcr((int) value);
            }
        }
    }

    /** The page of the local APIC for the vCPU that looks at it; messages for everybody else. */
    private final class Messages implements IoHandler {
        private @Nullable Apic own(long offset) {
            if (offset < 0x1000) {
                for (Apic a : bus.apics()) {
                    if (a.target().current()) {
                        return a;
                    }
                }
            }
            return null;
        }

        @Override
        public long read(long offset, int size) {
            Apic apic = own(offset);
            return apic == null || size < 4 ? 0 : apic.read((int) offset);
        }

        @Override
        public void write(long offset, int size, long value) {
            if (size < 4) {
                return;
            }
            Apic apic = own(offset);
            if (apic != null) {
                apic.write((int) offset, (int) value);
            } else {
                signalMsi(MESSAGES + offset, (int) value);
            }
        }
    }

    // ---- as the machine sees it

    @Override
    public Irq gsi(int n) {
        return inputs[n];
    }

    @Override
    public boolean tap(Tap newTap) {
        tap = newTap;
        return true;
    }

    @Override
    public Irq pic(int n) {
        return level -> {
            synchronized (bus) {
                pic(n, level);
            }
        };
    }

    @Override
    public Irq ioapic(int n) {
        return level -> {
            synchronized (bus) {
                toIoapic(n, level);
            }
        };
    }

    @Override
    public long[] ioapicCounts() {
        synchronized (bus) {
            return ioapicCounts.clone();
        }
    }

    @Override
    public long[] picCounts() {
        synchronized (bus) {
            return picCounts.clone();
        }
    }

    @Override
    public boolean signalMsi(long address, int data) {
        return bus.deliver(
                (int) (address >>> 12) & 0xff,
                (address & 4) != 0,
                data >>> 8 & 7,
                data & 0xff,
                (data & 1 << 15) != 0);
    }

    @Override
    public void reset() {
        synchronized (bus) {
            second.reset();
            first.reset();
            ioapic.reset();
        }
    }

    @Override
    public List<StateSection> sections() {
        return List.of(first, second, ioapic);
    }
}
