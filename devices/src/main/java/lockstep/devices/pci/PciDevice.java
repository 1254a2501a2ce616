package lockstep.devices.pci;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import lockstep.runtime.Vmm;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

/** A PCI function as a device that users see, and the options that every PCI device has. */
public record PciDevice(PciFunction function, List<QomProperty> properties) implements Device {
    private static final long MAX_ROM = 16 << 20;

    /** A copy of the list. */
    public PciDevice {
        properties = List.copyOf(properties);
    }

    @Override
    public String bus() {
        return "pci.0";
    }

    /**
     * Reads {@code addr} ({@code slot} or {@code slot.function} in hexadecimal) and the options that have
     * no effect here.
     *
     * @return the place on the bus, or {@link PciBus#ANY}
     */
    public static int place(DeviceOptions options) throws DeviceException {
        String bus = options.bus();
        if (bus != null && !bus.equals("pci.0")) {
            throw new DeviceException("Bus '" + bus + "' not found");
        }
        options.bool("multifunction", false);
        options.bool("x-pcie-lnksta-dllla", true);
        options.bool("x-pcie-extcap-init", true);
        options.integer("acpi-index", 0, 0, Integer.MAX_VALUE);
        String addr = options.string("addr");
        if (addr == null) {
            return PciBus.ANY;
        }
        String[] parts = addr.split("\\.", -1);
        try {
            int slot = Integer.parseInt(parts[0], 16);
            int function = parts.length > 1 ? Integer.parseInt(parts[1], 16) : 0;
            if (parts.length <= 2 && slot >= 0 && slot < 32 && function >= 0 && function < 8) {
                return slot << 3 | function;
            }
        } catch (NumberFormatException e) {
            throw new DeviceException(refusal(options, addr), e);
        }
        throw new DeviceException(refusal(options, addr));
    }

    private static String refusal(DeviceOptions options, String addr) {
        return "Property '" + options.driver() + ".addr' doesn't take value '" + addr + "'";
    }

    /** Puts the function on the bus. */
    public static void attach(PciBus bus, PciFunction function, int place) throws DeviceException {
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

    /**
     * An option ROM from the directories that are searched for firmware, or from a path with a slash.
     *
     * @throws DeviceException when there is none or it cannot be read
     */
    public static byte[] romFile(Vmm vmm, String name) throws DeviceException {
        try {
            if (name.contains("/") && Files.isReadable(Path.of(name))) {
                return bounded(Path.of(name));
            }
            for (String directory : vmm.firmwareDirectories()) {
                Path file = Path.of(directory, name);
                if (Files.isReadable(file)) {
                    return bounded(file);
                }
            }
        } catch (IOException e) {
            throw new DeviceException("failed to load romfile \"" + name + "\"", e);
        }
        throw new DeviceException("failed to find romfile \"" + name + "\"");
    }

    private static byte[] bounded(Path file) throws IOException, DeviceException {
        if (Files.size(file) == 0) {
            throw new DeviceException("romfile \"" + file + "\" is empty");
        }
        if (Files.size(file) > MAX_ROM) {
            throw new DeviceException("romfile \"" + file + "\" too large (size cannot exceed 16 MiB)");
        }
        return Files.readAllBytes(file);
    }
}
