package lockstep.devices.vga;

import lockstep.api.SecondaryVgaOptions;
import lockstep.api.SecondaryVgaOptionsMembers;
import lockstep.api.VgaOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** Makes {@code VGA} and {@code secondary-vga} devices. */
public final class VgaDevices {
    private static final SecondaryVgaOptions USUAL =
            SecondaryVgaOptions.builder()
                    .vgamemMb((long) StdVga.DEFAULT_VRAM >> 20)
                    .qemuExtendedRegs(true)
                    .edid(true)
                    .xres(0L)
                    .yres(0L)
                    .xmax(0L)
                    .ymax(0L)
                    .refreshRate(0L)
                    .build();

    /** The type {@code secondary-vga}. */
    public static final DeviceType<SecondaryVgaOptions> SECONDARY =
            PciDevice.type(
                    "secondary-vga",
                    SecondaryVgaOptions::read,
                    SecondaryVgaOptions::write,
                    USUAL,
                    (request, scope) -> create(request, scope, false, true));

    /** The type {@code VGA}. */
    public static final DeviceType<VgaOptions> TYPE =
            PciDevice.type(
                            "VGA",
                            VgaOptions::read,
                            VgaOptions::write,
                            VgaOptions.builder()
                                    .romfile("vgabios-stdvga.bin")
                                    .mmio(true)
                                    .globalVmstate(false)
                                    .build(),
                            VgaDevices::create)
                    .over(USUAL, SecondaryVgaOptions::write)
                    .plugged(DeviceType.Plugging.COLD);

    private VgaDevices() {}

    private static Device create(DeviceRequest<VgaOptions> request, DeviceScope scope)
            throws DeviceException {
        request.requireUsual("global-vmstate");
        return create(request, scope, true, !Boolean.FALSE.equals(request.options().mmio()));
    }

    private static Device create(
            DeviceRequest<? extends SecondaryVgaOptionsMembers> request,
            DeviceScope scope,
            boolean primary,
            boolean mmio)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        SecondaryVgaOptionsMembers options = request.options();
        Long wanted = options.vgamemMb();
        long megabytes = Math.clamp(wanted == null ? 0 : wanted, 1, StdVga.MAX_VRAM >> 20);
        if (Long.bitCount(megabytes) != 1) {
            megabytes = Long.highestOneBit(megabytes) << 1;
        }
        Edid edid =
                !mmio || Boolean.FALSE.equals(options.edid())
                        ? null
                        : new Edid(
                                given(options.xres()),
                                given(options.yres()),
                                given(options.xmax()),
                                given(options.ymax()),
                                given(options.refreshRate()));
        StdVga.Registers registers =
                new StdVga.Registers(
                        mmio,
                        !Boolean.FALSE.equals(options.qemuExtendedRegs()),
                        edid == null ? new byte[0] : edid.bytes());
        StdVga vga = new StdVga(primary, (int) (megabytes << 20), registers);
        PciDevice.attach(board.pci(), vga, request, scope);
        return new PciDevice(
                vga,
                List.of(
                        shown("vgamem_mb", megabytes),
                        shown("xres", edid == null ? given(options.xres()) : edid.width()),
                        shown("yres", edid == null ? given(options.yres()) : edid.height())));
    }

    private static QomProperty shown(String name, long value) {
        return QomProperty.of(name, "uint32", () -> value);
    }

    private static long given(@Nullable Long value) {
        return value == null ? 0 : value;
    }
}
