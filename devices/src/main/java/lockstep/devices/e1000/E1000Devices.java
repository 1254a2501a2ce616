package lockstep.devices.e1000;

import lockstep.api.E1000Options;
import lockstep.devices.board.BootOrder;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.Nics;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** Makes {@code e1000} devices. */
public final class E1000Devices {
    /** The type {@code e1000}. */
    public static final DeviceType<E1000Options> TYPE =
            PciDevice.type(
                            "e1000",
                            E1000Options::read,
                            E1000Options::write,
                            E1000Options.builder()
                                    .romfile("efi-e1000.rom")
                                    .autonegotiation(true)
                                    .mitigation(true)
                                    .extraMacRegisters(true)
                                    .migrateTsoProps(true)
                                    .initVet(true)
                                    .build(),
                            E1000Devices::create)
                    .checked(E1000Devices::check);

    private E1000Devices() {}

    private static void check(E1000Options given) throws DeviceException {
        PciDevice.check(TYPE.name(), given);
        mac(given.mac());
    }

    private static Device create(DeviceRequest<E1000Options> request, DeviceScope scope)
            throws DeviceException {
        Machine machine = scope.machine();
        PcBoard board = PcBoard.of(machine);
        E1000Options options = request.options();
        // They only exist to be like older machines.
        request.requireUsual(
                "autonegotiation",
                "mitigation",
                "extra_mac_registers",
                "migrate_tso_props",
                "init-vet");
        BootOrder order = board.bootOrder();
        int index = Objects.requireNonNullElse(options.bootindex(), -1);
        order.check(index);
        String id = request.id();
        String netdev = options.netdev();
        MacAddress mac = mac(options.mac());
        E1000 card = new E1000((nics, client) -> nics.attach("e1000", id, netdev, mac, client));
        try {
            card.connect(machine.service(Nics.class), scope);
        } catch (NetException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        PciDevice.attach(board.pci(), card, request, scope);
        String path = PciDevice.firmwarePath(card, "ethernet");
        order.set(path, index, scope);
        return new PciDevice(
                card,
                List.of(
                        QomProperty.of("mac", "str", () -> card.mac().toString()),
                        order.property(path)));
    }

    private static @Nullable MacAddress mac(@Nullable String text) throws DeviceException {
        if (text == null) {
            return null;
        }
        try {
            return MacAddress.parse(text);
        } catch (NetException e) {
            throw DeviceRequest.refused(TYPE.name(), "mac", text);
        }
    }
}
