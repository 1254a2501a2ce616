package lockstep.runtime.chip;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.IntSupplier;

/**
 * What connects local APICs, IOAPIC and PIC: messages between them (Intel SDM volume 3, 11.6 and 11.11). Its monitor
 * guards all of these chips.
 */
final class ApicBus {
    // Delivery modes, bits 10 to 8 of a command, an entry or a message.
    static final int FIXED = 0;
    static final int LOWEST_PRIORITY = 1;
    static final int SMI = 2;
    static final int NMI = 4;
    static final int INIT = 5;
    static final int STARTUP = 6;
    static final int EXTERNAL = 7;

    static final int BROADCAST = 0xff;

    private final @Nullable KernelApics kernel;
    private final List<Apic> apics = new ArrayList<>();
    private int lastChosen;
    private boolean picOutput;
    private IntSupplier pic = () -> 0xff;
    private IntConsumer ends = vector -> {};

    /** {@code kernel} has the local APICs, if it is not null: none is added then. */
    ApicBus(@Nullable KernelApics kernel) {
        this.kernel = kernel;
    }

    /**
     * Wires up the rest, once.
     *
     * @param pic answers an acknowledge cycle with a vector
     * @param ends told of the end of each level-triggered interrupt
     */
    void connect(IntSupplier pic, IntConsumer ends) {
        this.pic = pic;
        this.ends = ends;
    }

    synchronized void add(Apic apic) {
        apics.add(apic);
    }

    List<Apic> apics() {
        return apics;
    }

    /** The first PIC's output, which is wired to LINT0 of all processors. With the guard held. */
    void picOutput(boolean level) {
        boolean changed = picOutput != level;
        picOutput = level;
        if (changed) {
            apics.forEach(a -> a.lint0(level));
            if (kernel != null) {
                kernel.external(level);
            }
        }
    }

    boolean picOutput() {
        return picOutput;
    }

    int acknowledgePic() {
        return pic.getAsInt();
    }

    void endOfInterrupt(int vector) {
        ends.accept(vector);
    }

    /** The IOAPIC's entries may have changed. With the guard held. */
    void entries(long[] table) {
        if (kernel != null) {
            kernel.entries(table);
        }
    }

    /**
     * Delivers a message; whether somebody took it.
     *
     * @param destination eight bits, an APIC ID or a logical destination
     */
    synchronized boolean deliver(
            int destination, boolean logical, int mode, int vector, boolean level) {
        if (kernel != null) {
            // The vector is known: where it came from makes no difference any more.
            int how = mode == EXTERNAL ? FIXED : mode;
            return kernel.message(destination & 0xff, logical, how << 8 | vector, level);
        }
        List<Apic> to = new ArrayList<>();
        for (Apic a : apics) {
            if (a.matches(destination & 0xff, logical)) {
                to.add(a);
            }
        }
        return deliver(to, mode, vector, level);
    }

    /** Likewise to these. With the guard held. */
    boolean deliver(List<Apic> to, int mode, int vector, boolean level) {
        if (to.isEmpty()) {
            return false;
        }
        switch (mode) {
            case LOWEST_PRIORITY -> lowest(to).accept(vector, level);
            case FIXED, EXTERNAL -> to.forEach(a -> a.accept(vector, level));
            case SMI -> to.forEach(a -> a.request(Apic.SMI));
            case NMI -> to.forEach(a -> a.request(Apic.NMI));
            case INIT -> to.forEach(a -> a.request(Apic.INIT));
            case STARTUP -> to.forEach(a -> a.startup(vector));
            default -> {
                return false;
            }
        }
        return true;
    }

    /** The one with the least to do; those that have equally much take turns. */
    private Apic lowest(List<Apic> to) {
        Apic best = to.getFirst();
        for (int i = 0; i < to.size(); i++) {
            // Begins behind the one that had the last turn.
            Apic a = to.get((lastChosen + 1 + i) % to.size());
            if (i == 0 || a.processorPriority() >>> 4 < best.processorPriority() >>> 4) {
                best = a;
            }
        }
        lastChosen = to.indexOf(best);
        return best;
    }
}
