package lockstep.devices.usb;

import lockstep.devices.pc.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * All USB buses of a machine, and the factories of controllers and devices. Published as a service, through
 * which input reaches the newest tablet and keyboard. Used under the machine lock.
 */
public final class UsbBuses {
    private final List<Uhci> controllers = new ArrayList<>();
    private final List<Plugged> plugged = new ArrayList<>();
    private @Nullable Pointer pointer;
    private @Nullable Keyboard keyboard;

    /** A machine without USB. */
    public UsbBuses() {}

    /** The newest tablet or mouse. */
    public Optional<Pointer> pointer() {
        return Optional.ofNullable(pointer);
    }

    /** The mice and tablets, the oldest first: whether each takes positions instead of movements. */
    public List<Boolean> pointers() {
        return plugged.stream()
                .filter(p -> p.device() instanceof Pointer)
                .map(p -> ((Pointer) p.device()).absolute())
                .toList();
    }

    /** The newest keyboard. */
    public Optional<Keyboard> keyboard() {
        return Optional.ofNullable(keyboard);
    }

    /** What sits on a port, for {@code info usb}. */
    private record Plugged(Uhci controller, int port, HidDevice device, @Nullable String id) {}

    /** The text of {@code info usb}. */
    public String describe() {
        if (controllers.isEmpty()) {
            throw new IllegalStateException("USB support not enabled");
        }
        StringBuilder text = new StringBuilder();
        for (Plugged p : plugged) {
            text.append("  Device ")
                    .append(controllers.indexOf(p.controller()))
                    .append('.')
                    .append(p.device().address)
                    .append(", Port ")
                    .append(p.port() + 1)
                    .append(", Speed 12 Mb/s, Product ")
                    .append(p.device().product());
            if (p.id() != null) {
                text.append(", ID: ").append(p.id());
            }
            text.append('\n');
        }
        return text.toString();
    }

    /** A USB device as users see it. */
    private record UsbNode(String bus, List<QomProperty> properties) implements Device {}

    /** The factory of {@code piix3-usb-uhci}. */
    public Device createController(DeviceOptions options, Machine machine) throws DeviceException {
        PcBoard board = machine.vmm().service(PcBoard.class);
        int place = PciDevice.place(options);
        options.integer("bandwidth", 1280, 0, 0xffff_ffffL);
        options.integer("maxframes", 128, 0, 0xffff_ffffL);
        options.finish();
        String id = options.id();
        Uhci controller = new Uhci(id == null ? "usb-bus." + anonymousBuses() : id + ".0");
        PciDevice.attach(board.pci(), controller, place, options.id());
        controllers.add(controller);
        return new PciDevice(controller, List.of());
    }

    private long anonymousBuses() {
        return controllers.stream().filter(c -> c.busName().startsWith("usb-bus.")).count();
    }

    /** The factory of {@code usb-tablet}. */
    public Device createTablet(DeviceOptions options, Machine machine) throws DeviceException {
        Pointer tablet = new Pointer(true);
        Device device = plug(options, tablet, "usb-ptr", tablet::describe);
        pointer = tablet;
        return device;
    }

    /** The factory of {@code usb-mouse}. */
    public Device createMouse(DeviceOptions options, Machine machine) throws DeviceException {
        Pointer mouse = new Pointer(false);
        Device device = plug(options, mouse, "usb-ptr", mouse::describe);
        pointer = mouse;
        return device;
    }

    /** The factory of {@code usb-kbd}. */
    public Device createKeyboard(DeviceOptions options, Machine machine) throws DeviceException {
        Keyboard board = new Keyboard();
        Device device = plug(options, board, "usb-kbd", board::describe);
        keyboard = board;
        return device;
    }

    private Device plug(
            DeviceOptions options,
            HidDevice device,
            String vmstate,
            lockstep.runtime.vmstate.StateCodec.Body body)
            throws DeviceException {
        String port = options.string("port");
        options.string("serial");
        if (!options.driver().equals("usb-mouse")) {
            options.string("display");
        }
        if (options.driver().equals("usb-tablet")) {
            options.integer("head", 0, 0, 0xffff_ffffL);
        }
        options.integer("usb_version", 2, 1, 2);
        options.bool("full-path", true);
        options.bool("msos-desc", true);
        options.finish();
        Uhci controller = controller(options);
        int place = controller.takePort(port, options.driver());
        controller.plug(place, device, vmstate, body);
        plugged.add(new Plugged(controller, place, device, options.id()));
        String shown = String.valueOf(place + 1);
        return new UsbNode(
                controller.busName(), List.of(QomProperty.of("port", "str", () -> shown)));
    }

    /** The bus that a device with these options would go to. */
    public String bus(DeviceOptions options) throws DeviceException {
        return controller(options).busName();
    }

    private Uhci controller(DeviceOptions options) throws DeviceException {
        String bus = options.bus();
        if (bus != null) {
            for (Uhci c : controllers) {
                if (c.busName().equals(bus)) {
                    return c;
                }
            }
            throw new DeviceException("Bus '" + bus + "' not found");
        }
        if (controllers.isEmpty()) {
            throw new DeviceException(
                    "No 'usb-bus' bus found for device '" + options.driver() + "'");
        }
        for (Uhci c : controllers) {
            if (c.hasFreePort()) {
                return c;
            }
        }
        return controllers.getFirst();
    }
}
