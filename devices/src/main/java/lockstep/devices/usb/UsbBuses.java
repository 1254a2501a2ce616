package lockstep.devices.usb;

import lockstep.api.UhciOptions;
import lockstep.api.UsbHidOptions;
import lockstep.api.UsbHidOptionsMembers;
import lockstep.api.UsbKeyboardOptions;
import lockstep.api.UsbTabletOptions;
import lockstep.devices.pc.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * All USB buses of a machine, and the factories of controllers and devices. Published as a service, through
 * which input reaches the newest tablet and keyboard. Used under the machine lock.
 */
public final class UsbBuses {
    /** The type {@code piix3-usb-uhci}. */
    public static final DeviceType<UhciOptions> CONTROLLER =
            PciDevice.type(
                    "piix3-usb-uhci",
                    UhciOptions::read,
                    UhciOptions::write,
                    UhciOptions.builder()
                            .multifunction(false)
                            .acpiIndex(0L)
                            .romsize(0xffff_ffffL)
                            .rombar(1L)
                            .xPcieLnkstaDllla(true)
                            .xPcieExtcapInit(true)
                            .bandwidth(1280L)
                            .maxframes(128L)
                            .build(),
                    (r, m) -> of(m).createController(r, m));

    /** The type {@code usb-tablet}. */
    public static final DeviceType<UsbTabletOptions> TABLET =
            hid(
                    "usb-tablet",
                    UsbTabletOptions::read,
                    UsbTabletOptions::write,
                    UsbTabletOptions.builder().msosDesc(true).usbVersion(2L).head(0L).build(),
                    (r, m) -> of(m).createTablet(r));

    /** The type {@code usb-mouse}. */
    public static final DeviceType<UsbHidOptions> MOUSE =
            hid(
                    "usb-mouse",
                    UsbHidOptions::read,
                    UsbHidOptions::write,
                    UsbHidOptions.builder().msosDesc(true).usbVersion(2L).build(),
                    (r, m) -> of(m).createMouse(r));

    /** The type {@code usb-kbd}. */
    public static final DeviceType<UsbKeyboardOptions> KEYBOARD =
            hid(
                    "usb-kbd",
                    UsbKeyboardOptions::read,
                    UsbKeyboardOptions::write,
                    UsbKeyboardOptions.builder().msosDesc(true).usbVersion(2L).build(),
                    (r, m) -> of(m).createKeyboard(r));

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
            return "Error: USB support not enabled\n";
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

    private Device createController(DeviceRequest<UhciOptions> request, Machine machine)
            throws DeviceException {
        String id = request.id();
        Uhci controller = new Uhci(id == null ? "usb-bus." + anonymousBuses() : id + ".0");
        PciDevice.attach(machine.service(PcBoard.class).pci(), controller, request);
        controllers.add(controller);
        return new PciDevice(controller, List.of());
    }

    /** Adds the controller that is part of the board. */
    public void addOnBoard(Machine machine, String addr) throws DeviceException {
        CONTROLLER.create(
                DeviceRequest.ofBoard(CONTROLLER, UhciOptions.builder().addr(addr).build()),
                machine);
    }

    private long anonymousBuses() {
        return controllers.stream().filter(c -> c.busName().startsWith("usb-bus.")).count();
    }

    private Device createTablet(DeviceRequest<UsbTabletOptions> request) throws DeviceException {
        Pointer tablet = new Pointer(true);
        Device device = plug(request, tablet, "usb-ptr", tablet::describe);
        pointer = tablet;
        return device;
    }

    private Device createMouse(DeviceRequest<UsbHidOptions> request) throws DeviceException {
        Pointer mouse = new Pointer(false);
        Device device = plug(request, mouse, "usb-ptr", mouse::describe);
        pointer = mouse;
        return device;
    }

    private Device createKeyboard(DeviceRequest<UsbKeyboardOptions> request)
            throws DeviceException {
        Keyboard board = new Keyboard();
        Device device = plug(request, board, "usb-kbd", board::describe);
        keyboard = board;
        return device;
    }

    private Device plug(
            DeviceRequest<? extends UsbHidOptionsMembers> request,
            HidDevice device,
            String vmstate,
            lockstep.runtime.vmstate.StateCodec.Body body)
            throws DeviceException {
        UsbHidOptionsMembers options = request.options();
        Long version = options.usbVersion();
        if (version != null && version != 1 && version != 2) {
            throw new DeviceException("Invalid usb version " + version + " for usb hid device");
        }
        String serial = options.serial();
        if (serial != null) {
            device.serial(serial);
        }
        Uhci controller = controller(request);
        int place = controller.takePort(options.port(), request.driver());
        controller.plug(place, device, vmstate, body);
        plugged.add(new Plugged(controller, place, device, request.id()));
        return new UsbNode(
                controller.busName(), List.of(QomProperty.of("attached", "bool", () -> true)));
    }

    private static UsbBuses of(Machine machine) {
        return machine.service(UsbBuses.class);
    }

    private static <O extends Record & UsbHidOptionsMembers> DeviceType<O> hid(
            String name,
            ValueReader<O> reader,
            ValueWriter<O> writer,
            O usual,
            DeviceType.Factory<O> factory) {
        return DeviceType.of(
                name, reader, writer, usual, (r, m) -> of(m).controller(r).busName(), factory);
    }

    private Uhci controller(DeviceRequest<?> request) throws DeviceException {
        String bus = request.bus();
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
                    "No 'usb-bus' bus found for device '" + request.driver() + "'");
        }
        for (Uhci c : controllers) {
            if (c.hasFreePort()) {
                return c;
            }
        }
        return controllers.getFirst();
    }
}
