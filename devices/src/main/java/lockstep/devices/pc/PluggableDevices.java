package lockstep.devices.pc;

import lockstep.api.PciCommands;
import lockstep.api.UiCommands;
import lockstep.devices.debugcon.DebugConsole;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.edu.Edu;
import lockstep.devices.fdc.FloppyDrive;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.parallel.IsaParallel;
import lockstep.devices.pvpanic.Pvpanic;
import lockstep.devices.serial.IsaSerial;
import lockstep.devices.testdev.PcTestdev;
import lockstep.devices.testdev.PciTestdev;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.VgaDevices;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.ChipNames;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;

import java.util.List;
import java.util.stream.Stream;

/** Offers the drivers that {@code -device} can add to a PC. */
public final class PluggableDevices {
    /** Every driver. */
    static final List<DeviceType<?>> TYPES =
            List.of(
                    IdeDrives.DISK,
                    IdeDrives.CD,
                    FloppyDrive.TYPE,
                    E1000Devices.TYPE,
                    UsbBuses.CONTROLLER,
                    UsbBuses.TABLET,
                    UsbBuses.MOUSE,
                    UsbBuses.KEYBOARD,
                    VgaDevices.TYPE,
                    VgaDevices.SECONDARY,
                    Edu.TYPE,
                    PciTestdev.TYPE,
                    PcTestdev.TYPE,
                    Pvpanic.TYPE,
                    DebugConsole.TYPE,
                    IsaSerial.TYPE,
                    IsaParallel.TYPE);

    private PluggableDevices() {}

    /** Registers every driver. From the room's installation. */
    public static void install(Registration offer, Vmm vmm) {
        TYPES.forEach(offer::deviceType);
        BoardTypes.ALL.forEach(offer::deviceType);
        Stream.concat(
                        Stream.of(ChipNames.SOFTWARE),
                        vmm.acceleratorTypes().stream().map(AcceleratorType::chipNames))
                .distinct()
                .flatMap(names -> BoardTypes.chips(names).all().stream())
                .forEach(offer::deviceType);
        UsbBuses usb = new UsbBuses();
        vmm.publish(UsbBuses.class, usb);
        BoardCommands commands = new BoardCommands(vmm);
        PciCommands.register(offer.commands(), commands);
        UiCommands.register(offer.commands(), commands);
        commands.register(vmm.hmp());
        vmm.hmp()
                .addInfo(
                        "usb",
                        "",
                        "",
                        "USB devices by port",
                        (a, out) -> out.append(usb.describe()));
    }
}
