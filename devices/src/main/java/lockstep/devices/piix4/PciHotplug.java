package lockstep.devices.piix4;

import lockstep.devices.pci.PciBus;
import lockstep.devices.pci.PciFunction;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/**
 * The register block through which ACPI tables hear of PCI functions that come and go, and eject them: QEMU's {@code
 * docs/specs/acpi_pci_hotplug.rst}. Registers have four bytes; other accesses reach nothing.
 */
final class PciHotplug implements IoHandler, PciBus.SlotEvents {
    /** Bytes of the block. */
    static final int LENGTH = 0x18;

    private static final int UP = 0x00;
    private static final int DOWN = 0x04;
    private static final int EJECT = 0x08;
    private static final int REMOVABLE = 0x0c;
    private static final int BUS = 0x10;
    private static final int INDEX = 0x14;

    private static final int BUSES = 256;
    private static final int SLOTS = 32;

    // Wiring.
    private final PciBus bus;
    private final Runnable event;

    // Guest-visible state.
    private int selected;
    private int index;
    private final int[] up = new int[BUSES];
    private final int[] down = new int[BUSES];

    /**
     * For bus 0, the only one.
     *
     * @param event raises the general purpose event
     */
    PciHotplug(PciBus bus, Runnable event) {
        this.bus = bus;
        this.event = event;
    }

    @Override
    public void added(int slot) {
        up[0] |= 1 << slot;
        event.run();
    }

    @Override
    public void removalAsked(int slot) {
        down[0] |= 1 << slot;
        event.run();
    }

    /** A reset of the system gives the guest no choice. */
    void reset() {
        while (down[0] != 0) {
            eject(down[0]);
        }
    }

    /** One slot a write, that of the lowest bit. */
    private void eject(int slots) {
        int slot = Integer.numberOfTrailingZeros(slots);
        if (slot < SLOTS) {
            down[0] &= ~(1 << slot);
            up[0] &= ~(1 << slot);
            bus.eject(slot);
        }
    }

    private int removable() {
        if (selected != 0) {
            return -1;
        }
        int slots = 0;
        for (int slot = 0; slot < SLOTS; slot++) {
            slots |= bus.ejectable(slot) ? 1 << slot : 0;
        }
        return slots;
    }

    @Override
    public long read(long offset, int size) {
        if (size != 4 || Integer.compareUnsigned(selected, BUSES) >= 0) {
            return 0;
        }
        switch ((int) offset) {
            case UP:
                int was = up[selected];
                up[selected] = 0;
                return was & 0xffff_ffffL;
            case DOWN:
                return down[selected] & 0xffff_ffffL;
            case REMOVABLE:
                return removable() & 0xffff_ffffL;
            case BUS:
                return selected;
            case INDEX:
                int number = index;
                index = 0;
                return number;
            default:
                return 0;
        }
    }

    @Override
    public void write(long offset, int size, long value) {
        if (size != 4) {
            return;
        }
        switch ((int) offset) {
            case EJECT -> {
                if (selected == 0) {
                    eject((int) value);
                }
            }
            case BUS -> selected = (int) value;
            case INDEX -> index = indexOf(Integer.numberOfTrailingZeros((int) value));
            default -> {}
        }
    }

    /** The number of what sits in a slot of the selected bus; 0 for none. */
    private int indexOf(int slot) {
        PciFunction function = selected == 0 && slot < SLOTS ? bus.function(slot << 3) : null;
        return function == null ? 0 : function.acpiIndex();
    }

    /** The part of the function's section. */
    void describe(StateCodec c, boolean withIndex) throws StateException {
        selected = c.u32("acpi_pci_hotplug.hotplug_select", selected);
        c.structs(
                "acpi_pci_hotplug.acpi_pcihp_pci_status",
                "acpi_pcihp_pci_status",
                1,
                BUSES,
                (s, i) -> {
                    up[i] = s.u32("up", up[i]);
                    down[i] = s.u32("down", down[i]);
                });
        if (withIndex) {
            index = c.u32("acpi_pci_hotplug.acpi_index", index);
        }
    }
}
