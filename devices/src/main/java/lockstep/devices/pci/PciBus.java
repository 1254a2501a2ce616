package lockstep.devices.pci;

import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * PCI bus 0: which function sits where, and the four shared interrupt wires PIRQA to PIRQD, each of
 * which is asserted while at least one function asserts it. Used under the machine lock.
 */
public final class PciBus {
    /** Asks for the first free slot. */
    public static final int ANY = -1;

    /** Places on a bus: 32 slots of 8 functions. */
    public static final int FUNCTIONS = 256;

    /** Registers in PCI space lie below RAM, as the north bridge decodes RAM first. */
    public static final int PRIORITY = -1;

    /** What the bus and its host need of the south bridge. */
    public interface SouthBridge {
        /** Wire 0 (PIRQA) to 3 changed to {@code level}. */
        void pirq(int wire, boolean level);

        /** The reset control register, port 0xcf9. */
        int resetControl();

        /** A write to the reset control register. */
        void resetControl(int value);
    }

    /** Tells the guest of functions that come and go while it runs. */
    public interface SlotEvents {
        /** A function is there. */
        void added(int slot);

        /** The guest is asked to eject what sits in a slot. */
        void removalAsked(int slot);
    }

    private static final SouthBridge NONE =
            new SouthBridge() {
                @Override
                public void pirq(int wire, boolean level) {}

                @Override
                public int resetControl() {
                    return 0xff;
                }

                @Override
                public void resetControl(int value) {}
            };

    private static final SlotEvents NOBODY =
            new SlotEvents() {
                @Override
                public void added(int slot) {}

                @Override
                public void removalAsked(int slot) {}
            };

    private final Machine machine;
    private final PciDevice.RomLoader roms;
    private final @Nullable PciFunction[] functions = new PciFunction[FUNCTIONS];
    private final int[] irqCount = new int[4];
    private SouthBridge southBridge = NONE;
    private SlotEvents events = NOBODY;

    /**
     * A bus with nothing on it.
     *
     * @param roms finds the option ROMs of its cards
     */
    public PciBus(Machine machine, PciDevice.RomLoader roms) {
        this.machine = machine;
        this.roms = roms;
    }

    PciDevice.RomLoader roms() {
        return roms;
    }

    /** The machine. */
    public Machine machine() {
        return machine;
    }

    /** Connects the interrupt wires and the reset control register. */
    public void southBridge(SouthBridge to, DeviceScope scope) {
        southBridge = to;
        scope.onClose(() -> southBridge = NONE);
    }

    /** What {@link #southBridge(SouthBridge, DeviceScope)} connected. */
    public SouthBridge southBridge() {
        return southBridge;
    }

    /** Connects what tells the guest of functions that come and go. */
    public void slotEvents(SlotEvents to, DeviceScope scope) {
        events = to;
        scope.onClose(() -> events = NOBODY);
    }

    SlotEvents slotEvents() {
        return events;
    }

    /** Takes out what can be taken out of a slot. */
    public void eject(int slot) {
        for (int devfn = slot << 3; devfn < slot + 1 << 3; devfn++) {
            PciFunction f = functions[devfn];
            if (f != null && f.hotpluggable()) {
                f.scope().close();
            }
        }
    }

    /** Whether a guest may take out what sits in a slot, or would, if anything did. */
    public boolean ejectable(int slot) {
        for (int devfn = slot << 3; devfn < slot + 1 << 3; devfn++) {
            PciFunction f = functions[devfn];
            if (f != null && !f.hotpluggable()) {
                return false;
            }
        }
        return true;
    }

    /**
     * Puts {@code function} on the bus, gives it its registers, its reset and its section, until the scope is closed.
     *
     * @param devfn {@code slot << 3 | function}, or {@link #ANY}
     * @throws IllegalArgumentException when the place is taken or the bus is full; the message is
     *     for the user
     */
    public void attach(PciFunction function, int devfn, DeviceScope scope) {
        int place = devfn == ANY ? freeSlot(function) : devfn;
        PciFunction there = functions[place];
        if (there != null) {
            throw new IllegalArgumentException(
                    "PCI: slot %d function %d not available for %s, in use by %s"
                            .formatted(place >> 3, place & 7, function.type(), there.title()));
        }
        checkFunctions(function, place);
        function.place(this, place, scope);
        functions[place] = function;
        scope.onClose(
                () -> {
                    function.unplugged();
                    functions[place] = null;
                });
        function.realize();
        function.declareRom();
        scope.onReset(function::systemReset);
        if (function instanceof StateSection section) {
            scope.section(section);
        }
    }

    /** Guests look at further functions of a slot only if its first says that there are some. */
    private void checkFunctions(PciFunction function, int place) {
        int slot = place & ~7;
        if (function.multifunction()) {
            return;
        }
        PciFunction first = functions[slot];
        if (place != slot) {
            if (first != null && !first.multifunction()) {
                throw new IllegalArgumentException(
                        "PCI: single function device can't be populated in function %x.%x"
                                .formatted(slot >> 3, place & 7));
            }
            return;
        }
        for (int other = slot + 1; other < slot + 8; other++) {
            if (functions[other] != null) {
                throw new IllegalArgumentException(
                        "PCI: %x.0 indicates single function, but %x.%x is already populated."
                                .formatted(slot >> 3, slot >> 3, other & 7));
            }
        }
    }

    private int freeSlot(PciFunction function) {
        for (int devfn = 0; devfn < functions.length; devfn += 8) {
            if (functions[devfn] == null) {
                return devfn;
            }
        }
        throw new IllegalArgumentException(
                "PCI: no slot/function available for "
                        + function.type()
                        + ", all in use or reserved");
    }

    /** The function at {@code slot << 3 | function}, or null. */
    public @Nullable PciFunction function(int devfn) {
        return functions[devfn & 0xff];
    }

    /** All functions by ascending place. */
    public List<PciFunction> functions() {
        List<PciFunction> all = new ArrayList<>();
        for (PciFunction f : functions) {
            if (f != null) {
                all.add(f);
            }
        }
        return all;
    }

    /** The wire that pin {@code pin} of {@code devfn} is soldered to; slot 1 has INTA on PIRQA. */
    private static int wire(int devfn, int pin) {
        return (pin + (devfn >> 3) - 1) & 3;
    }

    /** Wire that a function's INTA is on, for ACPI's routing table. */
    public static int wireOfIntA(int slot) {
        return (slot - 1) & 3;
    }

    void intx(PciFunction function, int pin, int change) {
        int wire = wire(function.devfn(), pin);
        irqCount[wire] += change;
        southBridge.pirq(wire, irqCount[wire] != 0);
    }

    /** Whether wire 0 to 3 is asserted. */
    public boolean asserted(int wire) {
        return irqCount[wire] != 0;
    }

    /** A guest's read at {@code address}: bus, device, function and register as in CONFIG_ADDRESS. */
    public int configRead(int address, int size) {
        PciFunction f = target(address);
        int offset = address & 0xff;
        if (f == null) {
            return -1;
        }
        return f.configRead(offset, Math.min(size, PciSpec.CONFIG_SIZE - offset));
    }

    /** A guest's write likewise. */
    public void configWrite(int address, int size, int value) {
        PciFunction f = target(address);
        if (f != null) {
            f.write(address & 0xff, size, value);
        }
    }

    private @Nullable PciFunction target(int address) {
        return (address >>> 16 & 0xff) == 0 ? functions[address >>> 8 & 0xff] : null;
    }

    /** The section {@code PCIBUS}: QEMU vmstate "PCIBUS" v1. */
    public StateSection section() {
        return new StateSection() {
            @Override
            public String name() {
                return "PCIBUS";
            }

            @Override
            public int version() {
                return 1;
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                c.equalI32("nirq", irqCount.length);
                int[] counts = irqCount.clone();
                c.i32s("irq_count", counts);
                if (c.loading()) {
                    for (int count : counts) {
                        // No wire can be held by more pins than the bus has.
                        if (count < 0 || count > 4 * functions.length) {
                            throw c.invalid("PCIBUS: irq_count " + count + " is out of range");
                        }
                    }
                    System.arraycopy(counts, 0, irqCount, 0, counts.length);
                }
            }
        };
    }
}
