package lockstep.devices.usb;

import lockstep.api.UhciOptions;
import lockstep.api.UsbHidOptions;
import lockstep.api.UsbHidOptionsMembers;
import lockstep.api.UsbKeyboardOptions;
import lockstep.api.UsbTabletOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;

/**
 * All USB buses of a machine, and the factories of controllers and devices. Published as a service, through
 * which input reaches tablets, mice and keyboards. Used under the machine lock.
 */
public final class UsbBuses {
    private static final String BUS = "usb-bus";
    private static final DeviceType.Home HOME = new DeviceType.Home(BUS, true, m -> of(m).anyBus());

    /** What all input devices are usually told. */
    private static final UsbHidOptions USUAL =
            UsbHidOptions.builder().msosDesc(true).usbVersion(2L).build();

    /** The type {@code piix3-usb-uhci}. */
    public static final DeviceType<UhciOptions> CONTROLLER =
            PciDevice.type(
                    "piix3-usb-uhci",
                    UhciOptions::read,
                    UhciOptions::write,
                    UhciOptions.builder().bandwidth(1280L).maxframes(128L).build(),
                    (r, s) -> of(s.machine()).createController(r, s));

    /** The type {@code usb-tablet}. */
    public static final DeviceType<UsbTabletOptions> TABLET =
            hid(
                    "usb-tablet",
                    UsbTabletOptions::read,
                    UsbTabletOptions::write,
                    UsbTabletOptions.builder().head(0L).build(),
                    (r, s) -> of(s.machine()).createTablet(r, s));

    /** The type {@code usb-mouse}. */
    public static final DeviceType<UsbHidOptions> MOUSE =
            hid(
                    "usb-mouse",
                    UsbHidOptions::read,
                    UsbHidOptions::write,
                    UsbHidOptions.builder().build(),
                    (r, s) -> of(s.machine()).createMouse(r, s));

    /** The type {@code usb-kbd}. */
    public static final DeviceType<UsbKeyboardOptions> KEYBOARD =
            hid(
                    "usb-kbd",
                    UsbKeyboardOptions::read,
                    UsbKeyboardOptions::write,
                    UsbKeyboardOptions.builder().build(),
                    (r, s) -> of(s.machine()).createKeyboard(r, s));

    private final List<Uhci> controllers = new ArrayList<>();
    private final List<Plugged> plugged = new ArrayList<>();
    private int anonymousBuses;

    /** The board's own keyboard and mouse are the first two. */
    private int nextInput = 3;

    private IntConsumer firstPoll = index -> {};

    /** A machine without USB. */
    public UsbBuses() {}

    private <D extends HidDevice> Optional<D> newest(Class<D> kind) {
        return plugged.reversed().stream()
                .map(Plugged::device)
                .filter(kind::isInstance)
                .map(kind::cast)
                .findFirst();
    }

    /**
     * A device for a user's hand.
     *
     * @param index its number among all such devices of the machine
     * @param pointer null for a keyboard
     */
    public record Input(int index, @Nullable Pointer pointer) {}

    /** Mice, tablets and keyboards, the oldest first. */
    public List<Input> inputs() {
        return plugged.stream()
                .map(p -> new Input(p.index(), p.device() instanceof Pointer d ? d : null))
                .toList();
    }

    /** Has the mouse or tablet of that number called out when the guest first asks it what the user does. */
    public void onFirstPoll(IntConsumer action) {
        firstPoll = action;
    }

    /** The newest keyboard. */
    public Optional<Keyboard> keyboard() {
        return newest(Keyboard.class);
    }

    /** What sits on a port, for {@code info usb}. */
    private record Plugged(
            int index, Uhci controller, int port, HidDevice device, @Nullable String id) {}

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
    private record UsbNode(int bus, Plugged place, List<QomProperty> properties) implements Device {
        @Override
        public String notes() {
            return "addr %d.%d, port %d, speed 12, name %s, attached"
                    .formatted(
                            bus,
                            place.device().address,
                            place.port() + 1,
                            place.device().product());
        }
    }

    private Device createController(DeviceRequest<UhciOptions> request, DeviceScope scope)
            throws DeviceException {
        String id = request.id();
        request.requireUsual("bandwidth", "maxframes");
        Uhci controller = new Uhci(id == null ? "usb-bus." + anonymousBuses++ : id + ".0");
        PcBoard board = PcBoard.of(scope);
        PciDevice.attach(board.pci(), controller, request, scope);
        controllers.add(controller);
        scope.onClose(() -> controllers.remove(controller));
        return new PciDevice(
                controller,
                List.of(),
                List.of(new Device.Bus(controller.busName(), BUS, path -> path)));
    }

    private Device createTablet(DeviceRequest<UsbTabletOptions> request, DeviceScope scope)
            throws DeviceException {
        Pointer tablet = new Pointer(true, settings(request));
        request.requireUsual("display", "head");
        return plug(request, tablet, "usb-ptr", tablet::describe, scope);
    }

    private Device createMouse(DeviceRequest<UsbHidOptions> request, DeviceScope scope)
            throws DeviceException {
        Pointer mouse = new Pointer(false, settings(request));
        return plug(request, mouse, "usb-ptr", mouse::describe, scope);
    }

    private Device createKeyboard(DeviceRequest<UsbKeyboardOptions> request, DeviceScope scope)
            throws DeviceException {
        Keyboard board = new Keyboard(settings(request));
        request.requireUsual("display");
        return plug(request, board, "usb-kbd", board::describe, scope);
    }

    private Device plug(
            DeviceRequest<? extends UsbHidOptionsMembers> request,
            HidDevice device,
            String vmstate,
            StateCodec.Body body,
            DeviceScope scope)
            throws DeviceException {
        request.requireUsual("pcap");
        Uhci controller = controller(request.bus());
        int place = controller.takePort(request.options().port(), request.driver(), scope);
        device.place(controller.path() + '-' + (place + 1));
        controller.plug(place, device, vmstate, body, scope);
        int index = nextInput++;
        Plugged entry = new Plugged(index, controller, place, device, request.id());
        plugged.add(entry);
        if (device instanceof Pointer pointer) {
            pointer.onFirstPoll(() -> firstPoll.accept(index));
        }
        scope.onClose(() -> plugged.remove(entry));
        return new UsbNode(
                controllers.indexOf(controller),
                entry,
                List.of(QomProperty.of("attached", "bool", () -> true)));
    }

    private static HidDevice.Settings settings(
            DeviceRequest<? extends UsbHidOptionsMembers> request) throws DeviceException {
        UsbHidOptionsMembers options = request.options();
        Long version = options.usbVersion();
        if (version != null && version != 1 && version != 2) {
            throw new DeviceException("Invalid usb version " + version + " for usb hid device");
        }
        return new HidDevice.Settings(
                version == null || version == 2,
                !Boolean.FALSE.equals(options.msosDesc()),
                options.serial());
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
        return DeviceType.of(name, reader, writer, usual, HOME, factory)
                .over(USUAL, UsbHidOptions::write);
    }

    private Uhci controller(String bus) throws DeviceException {
        for (Uhci c : controllers) {
            if (c.busName().equals(bus)) {
                return c;
            }
        }
        throw new DeviceException("Bus '" + bus + "' not found");
    }

    /** A bus with a free port, or one without; null without any bus. */
    private @Nullable String anyBus() {
        for (Uhci c : controllers) {
            if (c.hasFreePort()) {
                return c.busName();
            }
        }
        return controllers.isEmpty() ? null : controllers.getFirst().busName();
    }
}
