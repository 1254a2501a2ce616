package lockstep.devices.pci;

import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A PCI function as a device that users see, and the options that every PCI device has. */
public record PciDevice(PciFunction function, List<QomProperty> properties) implements Device {
    private static final String ROOT = "pci.0";
    private static final long UINT32 = 0xffff_ffffL;
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

    /** A copy of the list. */
    public PciDevice {
        properties = List.copyOf(properties);
    }

    @Override
    public String bus() {
        return ROOT;
    }

    /**
     * Reads {@code addr} ({@code slot} or {@code slot.function} in hexadecimal) and the options that have
     * no effect here.
     *
     * @return the place on the bus, or {@link PciBus#ANY}
     */
    public static int place(DeviceOptions options) throws DeviceException {
        bus(options);
        options.bool("multifunction", false);
        options.bool("x-pcie-lnksta-dllla", true);
        options.bool("x-pcie-extcap-init", true);
        if (options.integer("acpi-index", 0, 0, UINT32) > MAX_ACPI_INDEX) {
            throw new DeviceException("acpi-index should be less or equal to " + MAX_ACPI_INDEX);
        }
        String addr = options.string("addr");
        if (addr == null) {
            return PciBus.ANY;
        }
        Matcher match = ADDRESS.matcher(addr);
        if (match.matches()) {
            int slot = Integer.parseInt(match.group(1), 16);
            int function = match.group(2) == null ? 0 : Integer.parseInt(match.group(2), 16);
            if (slot < 32 && function < 8) {
                return slot << 3 | function;
            }
        }
        throw new DeviceException(
                "Property '" + options.driver() + ".addr' doesn't take value '" + addr + "'");
    }

    /** The file of the option ROM, as given or the usual one. */
    public static String romFile(DeviceOptions options, String usual) {
        return options.string("romfile", usual);
    }

    /**
     * Reads {@code romfile}, {@code rombar} and {@code romsize}.
     *
     * @param usual the file when none is given
     * @return the image, or null for a device without one
     */
    public static byte @Nullable [] rom(DeviceOptions options, String usual, RomLoader loader)
            throws DeviceException {
        String file = romFile(options, usual);
        boolean bar = options.integer("rombar", 1, 0, UINT32) != 0;
        long size = options.integer("romsize", UINT32, 0, UINT32);
        if (size != UINT32 && Long.bitCount(size) != 1) {
            throw new DeviceException("ROM size " + size + " is not a power of two");
        }
        if (file.isEmpty() || !bar) {
            return null;
        }
        byte[] image = loader.load(file);
        if (image.length > size) {
            throw new DeviceException(
                    "romfile \""
                            + file
                            + "\" ("
                            + image.length
                            + " bytes) is too large for ROM size "
                            + size);
        }
        return image;
    }

    /** The bus that a device with these options goes to; there is one. */
    public static String bus(DeviceOptions options) throws DeviceException {
        String bus = options.bus();
        if (bus != null && !bus.equals(ROOT)) {
            throw new DeviceException("Bus '" + bus + "' not found");
        }
        return ROOT;
    }

    /** Puts the function on the bus, under the user's identifier for it, if there is one. */
    public static void attach(PciBus bus, PciFunction function, int place, @Nullable String id)
            throws DeviceException {
        function.name(id);
        try {
            bus.attach(function, place);
        } catch (IllegalArgumentException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    /** The firmware's name of a function: {@code /pci@i0cf8/NAME@SLOT[,FUNCTION]}. */
    public static String firmwarePath(PciFunction function, String name) {
        int devfn = function.devfn();
        String path = "/pci@i0cf8/%s@%x".formatted(name, devfn >> 3);
        return (devfn & 7) == 0 ? path : path + ",%x".formatted(devfn & 7);
    }
}
