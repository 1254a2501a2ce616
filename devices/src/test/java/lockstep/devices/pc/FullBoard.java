package lockstep.devices.pc;

import lockstep.block.monitor.BlockRoom;
import lockstep.devices.usb.UsbBuses;
import lockstep.net.MacAddress;
import lockstep.net.NetException;
import lockstep.net.NicPort;
import lockstep.net.Nics;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonObject;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.process.DeviceManager;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.testmachine.TestMachine;

import java.util.HashSet;
import java.util.Objects;
import java.util.Set;

/** What a board of {@link TestMachine} needs for devices that users add. */
final class FullBoard {
    private static final MacAddress MAC =
            MacAddress.of(new byte[] {0x52, 0x54, 0, 0x12, 0x34, 0x56}, 0);

    /** The NICs that have a port. */
    private interface Plugged {
        Set<String> names();
    }

    /** A node that a disk can have. */
    static final String DISK = "disk";

    private FullBoard() {}

    /** The manager of devices of all types, on a board that is built. */
    static DeviceManager devices(TestMachine core) {
        Set<String> names = new HashSet<>();
        int[] made = new int[1];
        core.vmm().install(new BlockRoom());
        JsonObject disk =
                new JsonObject()
                        .put("driver", "null-co")
                        .put("node-name", DISK)
                        .put("read-zeroes", new JsonBoolean(true));
        command(core, new JsonObject().put("execute", "blockdev-add").put("arguments", disk));
        core.vmm().publish(UsbBuses.class, new UsbBuses());
        core.vmm().publish(Plugged.class, () -> names);
        core.vmm()
                .publish(
                        Nics.class,
                        (model, id, netdev, mac, client) -> {
                            if (netdev != null) {
                                throw new NetException(
                                        "Property 'e1000.netdev' can't find value '"
                                                + netdev
                                                + "'");
                            }
                            String name = model + made[0]++;
                            names.add(name);
                            return Fake.of(
                                    NicPort.class,
                                    (call, args) ->
                                            switch (call) {
                                                case "mac" -> MAC;
                                                case "linkUp" -> true;
                                                case "close" -> names.remove(name);
                                                default -> null;
                                            });
                        });
        DeviceManager devices = new DeviceManager(core.vmm());
        PluggableDevices.TYPES.forEach(devices::type);
        BoardTypes.ALL.forEach(devices::type);
        BoardTypes.chips(ChipNames.SOFTWARE).all().forEach(devices::type);
        return devices;
    }

    /** What a QMP client is answered. */
    static JsonObject command(TestMachine core, JsonObject request) {
        return Objects.requireNonNull(core.vmm().commands().dispatch(request, false));
    }

    /** The NICs that are plugged. */
    static Set<String> nics(TestMachine core) {
        return core.vmm().service(Plugged.class).names();
    }
}
