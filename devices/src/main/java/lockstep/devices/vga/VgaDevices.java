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
        long megabytes = options.integer("vgamem_mb", StdVga.DEFAULT_VRAM >> 20, 1, 256);
        if (Long.bitCount(megabytes) != 1) {
            megabytes = Long.highestOneBit(megabytes) << 1;
        }
        boolean edid = options.bool("edid", true);
        String rom = options.string("romfile", ROM);
        boolean bar = options.integer("rombar", 1, 0, 1) != 0;
        for (String shown : List.of("xres", "yres", "xmax", "ymax", "refresh_rate", "mmio")) {
            options.string(shown);
        }
        options.bool("qemu-extended-regs", true);
        options.bool("global-vmstate", false);
        options.finish();
        byte[] image = rom.isEmpty() || !bar ? null : board.firmware().load(rom);
        StdVga vga = new StdVga((int) (megabytes << 20), image, edid);
        PciDevice.attach(board.pci(), vga, place, options.id());
        long size = megabytes;
        return new PciDevice(
                vga,
                List.of(
                        QomProperty.of("vgamem_mb", "uint32", () -> size),
                        QomProperty.of("edid", "bool", () -> edid),
                        QomProperty.of("romfile", "str", () -> rom)));
    }
}
