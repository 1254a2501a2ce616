package lockstep.devices.i440fx;

import lockstep.api.I440fxHostOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciBus;
import lockstep.devices.pci.PciDevice;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/**
 * Configuration mechanism 1 (PCI Local Bus Specification 3.0, section 3.2.2.3.2): CONFIG_ADDRESS at port
 * 0xcf8, four bytes only, and the data window at 0xcfc. The byte at 0xcf9 is the south bridge's reset
 * control register.
 */
public final class PciHost implements IoHandler, StateSection, Device {
    /** The type. */
    public static final DeviceType<I440fxHostOptions> TYPE =
            DeviceType.of(
                            "i440FX-pcihost",
                            I440fxHostOptions::read,
                            I440fxHostOptions::write,
                            I440fxHostOptions.builder()
                                    .bypassIommu(false)
                                    .pciHole64Size(2147483648L)
                                    .shortRootBus(0L)
                                    .xConfigRegMigrationEnabled(true)
                                    .xPciHole64Fix(true)
                                    .build(),
                            new DeviceType.Home("System", false, m -> "sysbus"),
                            PciHost::new)
                    .builtIn("x-config-reg-migration-enabled");

    /** Where the window for 32-bit registers ends: the first interrupt controller follows. */
    private static final long HOLE_END = 0xfec0_0000L;

    /** The type of the part that plugs and unplugs. */
    private static final String HOTPLUG = "PIIX4_PM";

    private static final int DATA = 4;
    private static final int RESET_CONTROL = 1;

    private final PcBoard board;
    private final PciBus bus;
    private final boolean migrates;
    private int configAddress;

    private PciHost(DeviceRequest<I440fxHostOptions> request, DeviceScope scope) {
        board = PcBoard.of(scope);
        bus = board.pci();
        migrates = !Boolean.FALSE.equals(request.options().xConfigRegMigrationEnabled());
        scope.ports("pci-conf", 0xcf8, 8, this);
        scope.onReset(() -> configAddress = 0);
        scope.section(this);
        scope.section(bus.section());
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of("pci-hole-start", "uint32", board::below4G),
                QomProperty.of("pci-hole-end", "uint32", () -> HOLE_END));
    }

    @Override
    public List<Bus> buses() {
        return List.of(new Bus(PciDevice.BUS, PciDevice.BUS_TYPE, path -> board.pathOf(HOTPLUG)));
    }

    @Override
    public long read(long offset, int size) {
        int at = (int) offset;
        if (at >= DATA) {
            return enabled() ? bus.configRead(configAddress | at & 3, size) : -1;
        }
        if (at == 0 && size == 4) {
            return configAddress;
        }
        return at == RESET_CONTROL && size == 1 ? bus.southBridge().resetControl() : -1;
    }

    @Override
    public void write(long offset, int size, long value) {
        int at = (int) offset;
        if (at >= DATA) {
            if (enabled()) {
                bus.configWrite(configAddress | at & 3, size, (int) value);
            }
        } else if (at == 0 && size == 4) {
            configAddress = (int) value;
        } else if (at == RESET_CONTROL && size == 1) {
            bus.southBridge().resetControl((int) value & 0xff);
        }
    }

    private boolean enabled() {
        return configAddress < 0;
    }

    @Override
    public String name() {
        return "PCIHost";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public boolean needed() {
        return migrates;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        configAddress = c.u32("config_reg", configAddress);
    }
}
