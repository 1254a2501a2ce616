package lockstep.devices.pci;

import lockstep.api.PciDeviceOptions;
import lockstep.api.PciDeviceOptionsMembers;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A PCI function as a device that users see, and the options that every PCI device has. */
public record PciDevice(PciFunction function, List<QomProperty> properties, List<Bus> buses)
        implements Device {
    /** The name of the bus. */
    public static final String BUS = "pci.0";

    /** The type of the bus. */
    public static final String BUS_TYPE = "PCI";

    private static final long UINT32 = 0xffff_ffffL;

    /** What all PCI devices are usually told. */
    private static final PciDeviceOptions USUAL =
            PciDeviceOptions.builder()
                    .multifunction(false)
                    .acpiIndex(0L)
                    .romsize(UINT32)
                    .rombar(1L)
                    .xPcieLnkstaDllla(true)
                    .xPcieExtcapInit(true)
                    .build();

    private static final DeviceType.Home HOME = new DeviceType.Home(BUS_TYPE, true, m -> BUS);

    /** How long a guest may think about an ejection, in nanoseconds of its time. */
    private static final long PATIENCE = 5_000_000_000L;

    private static final int MAX_ACPI_INDEX = 16383;

    /** Reads the image of an option ROM. */
    @FunctionalInterface
    public interface RomLoader {
        /** The bytes of the file of that name. */
        byte[] load(String name) throws DeviceException;
    }

    /** Slot and function in hexadecimal. */
    private static final Pattern ADDRESS =
            Pattern.compile("(?:0[xX])?([0-9a-fA-F]{1,7})(?:\\.(?:0[xX])?([0-9a-fA-F]{1,7}))?");

    /** A copy of the lists. */
    public PciDevice {
        properties = List.copyOf(properties);
        buses = List.copyOf(buses);
    }

    /** A device without buses of its own. */
    public PciDevice(PciFunction function, List<QomProperty> properties) {
        this(function, properties, List.of());
    }

    @Override
    public void announce() {
        function.bus().slotEvents().added(function.devfn() >> 3);
    }

    @Override
    public long unplug(DeviceScope scope) {
        function.bus().slotEvents().removalAsked(function.devfn() >> 3);
        return PATIENCE;
    }

    @Override
    public List<QomProperty> properties() {
        List<QomProperty> all = new ArrayList<>(properties);
        if (function.romSize() != 0) {
            all.add(QomProperty.of("romsize", "uint32", function::romSize));
        }
        all.add(QomProperty.of("addr", "int32", () -> (long) function.devfn()));
        all.add(QomProperty.of("legacy-addr", "str", () -> address(function.devfn())));
        return all;
    }

    @Override
    public String notes() {
        return function.describeBriefly();
    }

    /** Slot and function as users write them. */
    public static String address(int devfn) {
        return "%02x.%x".formatted(devfn >> 3, devfn & 7);
    }

    /**
     * A type of PCI devices.
     *
     * @param usual its own values of what is not said
     */
    public static <O extends Record & PciDeviceOptionsMembers> DeviceType<O> type(
            String name,
            ValueReader<O> reader,
            ValueWriter<O> writer,
            O usual,
            DeviceType.Factory<O> factory) {
        return DeviceType.of(name, reader, writer, usual, HOME, factory)
                .over(USUAL, PciDeviceOptions::write)
                .checked(given -> check(name, given))
                .shownAs("addr", "int32", JsonNumber.of(-1));
    }

    /** Looks at the values that all PCI devices have. */
    public static void check(String driver, PciDeviceOptionsMembers given) throws DeviceException {
        JsonValue addr = given.addr();
        if (addr != null) {
            place(driver, addr);
        }
    }

    /** The function's number: a text says slot and function, an integer is the number itself. */
    private static int place(String driver, JsonValue addr) throws DeviceException {
        if (addr instanceof JsonString(String text)) {
            int devfn = parse(text);
            if (devfn < 0) {
                throw DeviceRequest.refused(driver, "addr", text);
            }
            return devfn;
        }
        if (!(addr instanceof JsonNumber)) {
            throw new DeviceException("Invalid parameter type for 'addr', expected int or str");
        }
        int devfn;
        try {
            devfn = new JsonInputVisitor(addr).int32("addr");
        } catch (QmpException e) {
            throw new DeviceException(e.description(), e);
        }
        if (devfn < PciBus.ANY || devfn >= PciBus.FUNCTIONS) {
            throw new DeviceException(
                    "Parameter 'addr' expects a value between -1 and " + (PciBus.FUNCTIONS - 1));
        }
        return devfn;
    }

    /** The number that {@code slot} or {@code slot.function} in hexadecimal mean, or -1. */
    private static int parse(String addr) {
        Matcher match = ADDRESS.matcher(addr);
        if (match.matches()) {
            int slot = Integer.parseInt(match.group(1), 16);
            int function = match.group(2) == null ? 0 : Integer.parseInt(match.group(2), 16);
            if (slot < 32 && function < 8) {
                return slot << 3 | function;
            }
        }
        return -1;
    }

    /**
     * Reads the image of the option ROM.
     *
     * @return the image, filled up to the size that was asked for, or null for a device without one
     */
    private static byte @Nullable [] rom(
            DeviceRequest<? extends PciDeviceOptionsMembers> request, RomLoader loader)
            throws DeviceException {
        PciDeviceOptionsMembers options = request.options();
        Long size = options.romsize();
        if (size != null && size != UINT32 && Long.bitCount(size) != 1) {
            throw new DeviceException("ROM size " + size + " is not a power of two");
        }
        String file = options.romfile();
        Long bar = options.rombar();
        if (file == null || file.isEmpty()) {
            return null;
        }
        if (bar != null && bar == 0) {
            if (request.hotplugged()) {
                throw new DeviceException(
                        "Hot-plugged device without ROM bar can't have an option ROM");
            }
            return null;
        }
        byte[] image = loader.load(file);
        if (size == null || size == UINT32) {
            return image;
        }
        if (image.length > size) {
            throw new DeviceException(
                    "romfile \"%s\" (%d bytes) is too large for ROM size %d"
                            .formatted(file, image.length, size));
        }
        return Arrays.copyOf(image, Math.toIntExact(size));
    }

    /**
     * Puts a function on the bus where its options say.
     *
     * @throws DeviceException there is no such place, or an option asks for what is not there
     */
    public static void attach(
            PciBus bus,
            PciFunction function,
            DeviceRequest<? extends PciDeviceOptionsMembers> request,
            DeviceScope scope)
            throws DeviceException {
        PciDeviceOptionsMembers options = request.options();
        function.rom(rom(request, bus.roms()));
        if (options.failoverPairId() != null) {
            throw new DeviceException("failover primary device must be on PCIExpress bus");
        }
        Long index = options.acpiIndex();
        if (index != null && index > MAX_ACPI_INDEX) {
            throw new DeviceException("acpi-index should be less or equal to " + MAX_ACPI_INDEX);
        }
        if (index != null && index != 0) {
            for (PciFunction other : bus.functions()) {
                if (other.acpiIndex() == index) {
                    throw new DeviceException(
                            "a PCI device with acpi-index = " + index + " already exist");
                }
            }
            function.acpiIndex(index.intValue());
        }
        if (Boolean.TRUE.equals(options.multifunction())) {
            function.declareMultifunction();
        }
        if (request.type().plugging() == DeviceType.Plugging.ANY_TIME) {
            function.declareHotpluggable();
        }
        JsonValue addr = options.addr();
        int devfn = addr == null ? PciBus.ANY : place(request.driver(), addr);
        if (request.hotplugged() && devfn >= 0) {
            visible(bus, devfn, request.driver());
        }
        function.name(request.driver(), request.id());
        try {
            bus.attach(function, devfn, scope);
        } catch (IllegalArgumentException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    /** A guest looks at a slot once, when its first function comes. */
    private static void visible(PciBus bus, int devfn, String driver) throws DeviceException {
        PciFunction first = bus.function(devfn & ~7);
        if (first != null && (devfn & 7) != 0) {
            throw new DeviceException(
                    ("PCI: slot %d function 0 already occupied by %s, new func %s cannot be"
                                    + " exposed to guest.")
                            .formatted(devfn >> 3, first.type(), driver));
        }
    }

    /** The firmware's name of a function: {@code /pci@i0cf8/NAME@SLOT[,FUNCTION]}. */
    public static String firmwarePath(PciFunction function, String name) {
        int devfn = function.devfn();
        String path = "/pci@i0cf8/%s@%x".formatted(name, devfn >> 3);
        return (devfn & 7) == 0 ? path : path + ",%x".formatted(devfn & 7);
    }
}
