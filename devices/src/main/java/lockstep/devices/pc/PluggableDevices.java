package lockstep.devices.pc;

import lockstep.devices.debugcon.DebugConsole;
import lockstep.devices.e1000.E1000Devices;
import lockstep.devices.ide.IdeDrives;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.VgaDevices;
import lockstep.runtime.Vmm;

/** Offers the drivers that {@code -device} can add to a PC. */
public final class PluggableDevices {
    private PluggableDevices() {}

    /** Registers every driver. From the room's installation. */
    public static void install(Vmm vmm) {
        vmm.deviceType("ide-hd", IdeDrives::createDisk);
        vmm.deviceType("ide-cd", IdeDrives::createCdrom);
        vmm.deviceType("e1000", E1000Devices::create);
        UsbBuses usb = new UsbBuses();
        vmm.publish(UsbBuses.class, usb);
        vmm.hmp()
                .addInfo(
                        "usb",
                        "",
                        "",
                        "USB devices by port",
                        (a, out) -> out.append(usb.describe()));
        vmm.deviceType("piix3-usb-uhci", usb::createController);
        vmm.deviceType("usb-tablet", usb::createTablet);
        vmm.deviceType("usb-mouse", usb::createMouse);
        vmm.deviceType("usb-kbd", usb::createKeyboard);
        vmm.deviceType("VGA", VgaDevices::create);
        vmm.deviceType("isa-debugcon", DebugConsole::create);
    }
}
