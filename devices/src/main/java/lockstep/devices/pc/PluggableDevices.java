package lockstep.devices.pc;

import lockstep.api.E1000Options;
import lockstep.api.IdeDeviceOptions;
import lockstep.api.IdeHdOptions;
import lockstep.api.IsaDebugconOptions;
import lockstep.api.IsaParallelOptions;
import lockstep.api.IsaSerialOptions;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.PciCommands;
import lockstep.api.UhciOptions;
import lockstep.api.UiCommands;
import lockstep.api.UsbHidOptions;
import lockstep.api.UsbKeyboardOptions;
import lockstep.api.UsbTabletOptions;
import lockstep.api.VgaOptions;
import lockstep.devices.debugcon.DebugConsole;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.serial.IsaSerial;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.VgaDevices;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.ValueReader;
import lockstep.runtime.Vmm;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceFactory;
import lockstep.runtime.spi.DeviceOptions;

import java.util.List;

/** Offers the drivers that {@code -device} can add to a PC. */
public final class PluggableDevices {
    private PluggableDevices() {}

    /** Registers every driver. From the room's installation. */
    public static void install(Vmm vmm) {
        device(vmm, "ide-hd", IdeDrives::createDisk, IdeHdOptions::read, IdeDrives::bus);
        device(vmm, "ide-cd", IdeDrives::createCdrom, IdeDeviceOptions::read, IdeDrives::bus);
        device(vmm, "e1000", E1000Devices::create, E1000Options::read, (o, m) -> PciDevice.bus(o));
        UsbBuses usb = new UsbBuses();
        vmm.publish(UsbBuses.class, usb);
        BoardCommands commands = new BoardCommands(vmm, usb);
        PciCommands.register(vmm.commands(), commands);
        UiCommands.register(vmm.commands(), commands);
        vmm.hmp()
                .addInfo(
                        "usb",
                        "",
                        "",
                        "USB devices by port",
                        (a, out) -> out.append(usb.describe()));
        device(
                vmm,
                "piix3-usb-uhci",
                usb::createController,
                UhciOptions::read,
                (o, m) -> PciDevice.bus(o));
        device(vmm, "usb-tablet", usb::createTablet, UsbTabletOptions::read, (o, m) -> usb.bus(o));
        device(vmm, "usb-mouse", usb::createMouse, UsbHidOptions::read, (o, m) -> usb.bus(o));
        device(vmm, "usb-kbd", usb::createKeyboard, UsbKeyboardOptions::read, (o, m) -> usb.bus(o));
        device(vmm, "VGA", VgaDevices::create, VgaOptions::read, (o, m) -> PciDevice.bus(o));
        device(
                vmm,
                "isa-debugcon",
                DebugConsole::create,
                IsaDebugconOptions::read,
                (o, m) -> IsaBus.bus(o));
        device(
                vmm,
                "isa-serial",
                IsaSerial::create,
                IsaSerialOptions::read,
                (o, m) -> IsaBus.bus(o));
        device(
                vmm,
                "isa-parallel",
                IsaParallel::create,
                IsaParallelOptions::read,
                (o, m) -> IsaBus.bus(o));
    }

    private static void device(
            Vmm vmm,
            String driver,
            DeviceFactory factory,
            ValueReader<?> options,
            Placement placement) {
        vmm.deviceType(driver, new Described(factory, options, placement));
    }

    /** Says which bus a device goes to. */
    @FunctionalInterface
    private interface Placement {
        String bus(DeviceOptions options, Machine machine) throws DeviceException;
    }

    /** A driver whose properties the schema describes. */
    private record Described(DeviceFactory factory, ValueReader<?> options, Placement placement)
            implements DeviceFactory {
        @Override
        public String bus(DeviceOptions given, Machine machine) throws DeviceException {
            return placement.bus(given, machine);
        }

        @Override
        public Device create(DeviceOptions given, Machine machine) throws DeviceException {
            return factory.create(given, machine);
        }

        @Override
        public List<ObjectPropertyInfo> properties() {
            return MemberOutline.of(options).stream()
                    .map(m -> new ObjectPropertyInfo(m.name(), m.type(), null, null))
                    .toList();
        }
    }
}
