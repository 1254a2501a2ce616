package lockstep.devices.vga;

import lockstep.devices.pc.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceOptions;
import lockstep.runtime.spi.QomProperty;

import java.util.List;

/** Makes {@code VGA} devices. */
public final class VgaDevices {
    private static final String ROM = "vgabios-stdvga.bin";

    private VgaDevices() {}

    /** The factory of {@code VGA}. */
    public static Device create(DeviceOptions options, Machine machine) throws DeviceException {
        PcBoard board = machine.vmm().service(PcBoard.class);
        int place = PciDevice.place(options);
        long wanted = options.integer("vgamem_mb", StdVga.DEFAULT_VRAM >> 20, 0, 0xffff_ffffL);
        long megabytes = Math.clamp(wanted, 1, StdVga.MAX_VRAM >> 20);
        if (Long.bitCount(megabytes) != 1) {
            megabytes = Long.highestOneBit(megabytes) << 1;
        }
        boolean edid = options.bool("edid", true);
        byte[] image = PciDevice.rom(options, ROM, board.firmware()::load);
        for (String shown : List.of("xres", "yres", "xmax", "ymax", "refresh_rate", "mmio")) {
            options.string(shown);
        }
        options.bool("qemu-extended-regs", true);
        options.bool("global-vmstate", false);
        options.finish();
        StdVga vga = new StdVga((int) (megabytes << 20), image, edid);
        PciDevice.attach(board.pci(), vga, place, options.id());
        long size = megabytes;
        return new PciDevice(
                vga,
                List.of(
                        QomProperty.of("vgamem_mb", "uint32", () -> size),
                        QomProperty.of("edid", "bool", () -> edid),
                        QomProperty.of("romfile", "str", () -> PciDevice.romFile(options, ROM))));
    }
}
