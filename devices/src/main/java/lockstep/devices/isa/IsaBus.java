package lockstep.devices.isa;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * The board's ISA bus, which hands out the customary places of serial and parallel ports. Used under the
 * machine lock.
 */
public final class IsaBus {
    /** The name under which users know the bus. */
    public static final String NAME = "isa.0";

    /** Ports that one serial or parallel port answers at. */
    public static final int PORT_SIZE = 8;

    private static final int IRQS = 16;
    private static final int LAST_BASE = 0x1_0000 - PORT_SIZE;

    /** The kinds of ports with their customary places, in the order in which they are used. */
    public enum Kind {
        /** COM1 to COM4. */
        SERIAL("ISA serial", new int[] {0x3f8, 0x2f8, 0x3e8, 0x2e8}, new int[] {4, 3, 4, 3}),
        /** LPT1 to LPT3. */
        PARALLEL("parallel", new int[] {0x378, 0x278, 0x3bc}, new int[] {7, 7, 7});

        private final String title;
        private final int[] bases;
        private final int[] irqs;

        Kind(String title, int[] bases, int[] irqs) {
            this.title = title;
            this.bases = bases;
            this.irqs = irqs;
        }

        /** How many a board can have without being told places. */
        public int most() {
            return bases.length;
        }
    }

    /**
     * The place of one port.
     *
     * @param index its number among those of its kind, from 0: COM1 is 0
     * @param base the first of its {@link #PORT_SIZE} I/O ports
     * @param irq its interrupt, 0 to 15
     * @param ordinal how many of its kind were there before it; its section's instance
     */
    public record Place(Kind kind, int index, int base, int irq, int ordinal) {}

    private final List<Place> places = new ArrayList<>();

    /** Takes the customary place of the port of that number. */
    public Place place(Kind kind, int index) throws DeviceException {
        return take(kind, index, -1, -1, kind.name());
    }

    /** Takes the place that {@code index}, {@code iobase} and {@code irq} say, or the next customary one. */
    public Place place(Kind kind, DeviceOptions options) throws DeviceException {
        int index = (int) number(options, "index");
        int base = (int) number(options, "iobase");
        int irq = (int) number(options, "irq");
        if (base > LAST_BASE) {
            throw refused(options.driver(), "iobase", base);
        }
        if (irq >= IRQS) {
            throw refused(options.driver(), "irq", irq);
        }
        return take(kind, index, base, irq, options.driver());
    }

    /** A number, or -1 when none is given or the one by which QEMU means none. */
    private static long number(DeviceOptions options, String name) throws DeviceException {
        long value = options.integer(name, -1, 0, 0xffff_ffffL);
        if (value == 0xffff_ffffL) {
            return -1;
        }
        if (value > Integer.MAX_VALUE) {
            throw refused(options.driver(), name, value);
        }
        return value;
    }

    private static DeviceException refused(String driver, String name, long value) {
        return new DeviceException(
                "Property '" + driver + "." + name + "' doesn't take value '" + value + "'");
    }

    private Place take(Kind kind, int index, int base, int irq, String driver)
            throws DeviceException {
        int ordinal = (int) places.stream().filter(p -> p.kind == kind).count();
        int number = index >= 0 ? index : ordinal;
        if (number >= kind.most()) {
            throw new DeviceException(
                    "Max. supported number of " + kind.title + " ports is " + kind.most() + ".");
        }
        int at = base >= 0 ? base : kind.bases[number];
        for (Place p : places) {
            if (Math.abs(p.base - at) < PORT_SIZE) {
                throw new DeviceException(
                        "%s: the ports at 0x%x are taken by the %s port at 0x%x"
                                .formatted(driver, at, p.kind.title, p.base));
            }
        }
        Place place = new Place(kind, number, at, irq >= 0 ? irq : kind.irqs[number], ordinal);
        places.add(place);
        return place;
    }

    /** All places taken, in the order of their devices. */
    public List<Place> places() {
        return List.copyOf(places);
    }

    /** Whether a serial or parallel port begins at an I/O port. */
    public boolean usedAt(int base) {
        return places.stream().anyMatch(p -> p.base == base);
    }

    /** The bus that a device with these options goes to; there is one. */
    public static String bus(DeviceOptions options) throws DeviceException {
        String bus = options.bus();
        if (bus == null || bus.equals(NAME)) {
            return NAME;
        }
        throw new DeviceException(
                switch (bus) {
                    case "pci.0" -> cannotGo(options, "PCI");
                    case "ide.0", "ide.1" -> cannotGo(options, "IDE");
                    default -> "Bus '" + bus + "' not found";
                });
    }

    private static String cannotGo(DeviceOptions options, String kind) {
        return "Device '" + options.driver() + "' can't go on " + kind + " bus";
    }

    /**
     * The character device that a device's {@code chardev} names, or null if it names none.
     *
     * @param owner the type that has the property
     */
    public static @Nullable Chardev chardev(DeviceOptions options, Machine machine, String owner)
            throws DeviceException {
        String id = options.string("chardev");
        if (id == null) {
            return null;
        }
        Chardev chardev = machine.vmm().chardevs().find(id);
        if (chardev == null) {
            throw new DeviceException(
                    "Property '" + owner + ".chardev' can't find value '" + id + "'");
        }
        return chardev;
    }

    /** Connects a device to its character device, which may have one user. */
    public static Chardev.Attachment attach(
            Chardev chardev, ChardevFrontend frontend, Machine machine, String owner)
            throws DeviceException {
        try {
            return chardev.attach(frontend, machine.vmm().mainLoop());
        } catch (ChardevException e) {
            throw new DeviceException(
                    "Property '%s.chardev' can't take value '%s': %s"
                            .formatted(owner, chardev.id(), e.getMessage()),
                    e);
        }
    }
}
