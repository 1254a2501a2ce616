package lockstep.devices.isa;

import lockstep.devices.aml.Aml;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The board's ISA bus, which hands out the customary places of serial and parallel ports. Used under the
 * machine lock.
 */
public final class IsaBus {
    /** The name under which users know the bus. */
    public static final String NAME = "isa.0";

    /** The type of the bus. */
    public static final String TYPE = "ISA";

    /** Where ISA devices go; once the machine is complete, none does. */
    public static final DeviceType.Home HOME = new DeviceType.Home(TYPE, false, m -> NAME);

    /** Ports that one serial or parallel port answers at. */
    public static final int PORT_SIZE = 8;

    /** The number by which users say that the customary one will do. */
    public static final long ANY = 0xffff_ffffL;

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
    public record Place(Kind kind, int index, int base, int irq, int ordinal) {
        /**
         * The port as the tables tell of it.
         *
         * @param name the first three characters of its name
         * @param alignment the port numbers that would do are multiples of that; 0 for this one alone
         */
        public byte[] aml(String name, String id, int alignment) {
            int number = index + 1;
            return IsaBus.aml(
                    name + number,
                    id,
                    Aml.name("_UID", Aml.integer(number)),
                    Aml.ports(base, base, alignment, PORT_SIZE),
                    Aml.isaIrq(irq));
        }

        /** The properties that show it. */
        public List<QomProperty> properties() {
            return List.of(
                    QomProperty.of("index", "uint32", () -> (long) index),
                    QomProperty.of("iobase", "uint32", () -> (long) base),
                    QomProperty.of("irq", "uint32", () -> (long) irq));
        }
    }

    private final Machine machine;
    private final Map<Integer, Irq> intercepted = new HashMap<>();
    private final Map<Integer, DmaChannel> channels = new HashMap<>();
    private final List<Place> places = new ArrayList<>();

    /** A bus with nothing on it. */
    public IsaBus(Machine machine) {
        this.machine = machine;
    }

    /** The wire of an interrupt, 0 to 15. */
    public Irq irq(int n) {
        Irq by = intercepted.get(n);
        return by == null ? machine.gsi(n) : by;
    }

    /** A DMA channel, 0 to 7, of a controller that the board has. */
    public DmaChannel dma(int n) {
        return Objects.requireNonNull(channels.get(n), "no such DMA channel");
    }

    /** Offers a DMA channel to devices, until the scope is closed. */
    public void provide(int n, DmaChannel channel, DeviceScope scope) {
        channels.put(n, channel);
        scope.onClose(() -> channels.remove(n));
    }

    /** Leads an interrupt of devices to come through another chip, until the scope is closed. */
    public void intercept(int n, Irq by, DeviceScope scope) {
        intercepted.put(n, by);
        scope.onClose(() -> intercepted.remove(n));
    }

    /**
     * Takes the place that is asked for, or the next customary one. Of the numbers, null and 2^32 - 1 mean
     * none.
     *
     * @param driver the type that asks
     */
    public Place place(
            Kind kind,
            String driver,
            @Nullable Long index,
            @Nullable Long iobase,
            @Nullable Long irq,
            DeviceScope scope)
            throws DeviceException {
        int number = number(driver, "index", index);
        int base = number(driver, "iobase", iobase);
        int line = number(driver, "irq", irq);
        if (base > LAST_BASE) {
            throw DeviceRequest.refused(driver, "iobase", base);
        }
        if (line >= IRQS) {
            throw DeviceRequest.refused(driver, "irq", line);
        }
        Place place = take(kind, number, base, line, driver);
        scope.onClose(() -> places.remove(place));
        return place;
    }

    /** A number, or -1 for none. */
    private static int number(String driver, String name, @Nullable Long value)
            throws DeviceException {
        if (value == null || value == ANY) {
            return -1;
        }
        if (value > Integer.MAX_VALUE) {
            throw DeviceRequest.refused(driver, name, value);
        }
        return Math.toIntExact(value);
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

    /**
     * A device as the tables tell of it; terms that start with a name operator go before the resources.
     *
     * @param name four characters or fewer
     * @param id such as {@code PNP0501}
     */
    public static byte[] aml(String name, String id, byte[]... parts) {
        byte[] terms = new byte[0];
        List<byte[]> resources = new ArrayList<>();
        for (byte[] p : parts) {
            if (p[0] == Aml.NAME) {
                terms = Aml.all(terms, p);
            } else {
                resources.add(p);
            }
        }
        return Aml.device(
                name,
                Aml.name("_HID", Aml.eisaId(id)),
                Aml.name("_STA", Aml.integer(0x0f)),
                terms,
                Aml.name("_CRS", Aml.resources(resources.toArray(byte[][]::new))));
    }

    /** Whether a serial or parallel port begins at an I/O port. */
    public boolean usedAt(int base) {
        return places.stream().anyMatch(p -> p.base == base);
    }

    /**
     * The character device of that identifier, or null for none, which the empty text says too.
     *
     * @param owner the type that has the property
     */
    public static @Nullable Chardev chardev(@Nullable String id, DeviceScope scope, String owner)
            throws DeviceException {
        if (id == null || id.isEmpty()) {
            return null;
        }
        Chardev chardev = scope.machine().service(Chardevs.class).find(id);
        if (chardev == null) {
            throw new DeviceException(
                    "Property '" + owner + ".chardev' can't find value '" + id + "'");
        }
        return chardev;
    }

    /** Connects a device to its character device, which may have one user. */
    public static Chardev.Attachment attach(
            Chardev chardev, ChardevFrontend frontend, DeviceScope scope, String owner)
            throws DeviceException {
        try {
            Chardev.Attachment attached = chardev.attach(frontend, scope.machine().loop());
            scope.onClose(attached::close);
            return attached;
        } catch (ChardevException e) {
            throw new DeviceException(
                    "Property '%s.chardev' can't take value '%s': %s"
                            .formatted(owner, chardev.id(), e.getMessage()),
                    e);
        }
    }
}
