package lockstep.devices.e1000;

import lockstep.devices.pc.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.Nics;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** Makes {@code e1000} devices. */
public final class E1000Devices {
    private static final String ROM = "efi-e1000.rom";

    private E1000Devices() {}

    /** The factory of {@code e1000}. */
    public static Device create(DeviceOptions options, Machine machine) throws DeviceException {
        PcBoard board = machine.vmm().service(PcBoard.class);
        int place = PciDevice.place(options);
        String netdev = options.string("netdev");
        MacAddress mac = mac(options);
        long bootIndex = options.integer("bootindex", -1, -1, Integer.MAX_VALUE);
        byte[] image = PciDevice.rom(options, ROM, board.firmware()::load);
        always(options, "autonegotiation");
        always(options, "mitigation");
        always(options, "extra_mac_registers");
        always(options, "migrate_tso_props");
        always(options, "init-vet");
        options.string("failover_pair_id");
        options.finish();
        String id = options.id();
        E1000 card =
                new E1000((nics, client) -> nics.attach("e1000", id, netdev, mac, client), image);
        try {
            card.connect(machine.vmm().service(Nics.class));
        } catch (NetException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        try {
            PciDevice.attach(board.pci(), card, place, id);
        } catch (DeviceException e) {
            card.disconnect();
            throw e;
        }
        if (bootIndex >= 0) {
            try {
                board.boot((int) bootIndex, PciDevice.firmwarePath(card, "ethernet"));
            } catch (IllegalArgumentException e) {
                throw new DeviceException(String.valueOf(e.getMessage()), e);
            }
        }
        String backend = netdev == null ? "" : netdev;
        return new PciDevice(
                card,
                List.of(
                        QomProperty.of("mac", "str", () -> card.mac().toString()),
                        QomProperty.of("netdev", "str", () -> backend),
                        QomProperty.of("autonegotiation", "bool", () -> true),
                        QomProperty.of("mitigation", "bool", () -> true),
                        QomProperty.of("extra_mac_registers", "bool", () -> true),
                        QomProperty.of("migrate_tso_props", "bool", () -> true),
                        QomProperty.of("init-vet", "bool", () -> true),
                        QomProperty.of("romfile", "str", () -> PciDevice.romFile(options, ROM))));
    }

    /** Properties that only exist to be like older machines, which are not offered. */
    private static void always(DeviceOptions options, String name) throws DeviceException {
        if (!options.bool(name, true)) {
            throw new DeviceException("Property 'e1000." + name + "' cannot be switched off");
        }
    }

    private static @Nullable MacAddress mac(DeviceOptions options) throws DeviceException {
        String text = options.string("mac");
        if (text == null) {
            return null;
        }
        try {
            return MacAddress.parse(text);
        } catch (NetException e) {
            throw new DeviceException("Property 'e1000.mac' doesn't take value '" + text + "'", e);
        }
    }
}
