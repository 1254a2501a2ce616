package lockstep.devices.piix3;

import static lockstep.runtime.memory.LittleEndian.put16;

import lockstep.api.PciDeviceOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.pci.PciBus;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** PCI to ISA bridge, function 01.0. QEMU: vmstate "PIIX3" v3. */
public final class IsaBridge extends PciFunction implements PciBus.SouthBridge, StateSection {
    /** The type. */
    public static final DeviceType<PciDeviceOptions> TYPE =
            PciDevice.type(
                            "PIIX3",
                            PciDeviceOptions::read,
                            PciDeviceOptions::write,
                            PciDeviceOptions.builder().build(),
                            IsaBridge::create)
                    .builtIn();

    private static final int DEVICE = 0x7000;

    /** PIRQRCA, 82371SB section 2.2.5; bit 7 disables, the low nibble names the ISA interrupt. */
    private static final int PIRQ_ROUTE = 0x60;

    private static final int ROUTE_DISABLED = 0x80;
    private static final int RESET_TYPE = 0x02;
    private static final int RESET_CPU = 0x04;

    /** Registers that are not zero after reset: offset, value. */
    private static final int[] DEFAULTS = {
        0x4c, 0x4d, 0x4e, 0x03, 0x60, 0x80, 0x61, 0x80, 0x62, 0x80, 0x63, 0x80, 0x69, 0x02, 0x70,
        0x80, 0x76, 0x0c, 0x77, 0x0c, 0x78, 0x02, 0xa0, 0x08, 0xa8, 0x0f
    };

    private final Runnable resetRequest;
    private final int[] wires = new int[4];
    private int isaLevels;
    private int resetControl;

    private IsaBridge(Runnable resetRequest) {
        super("PIIX3", PciSpec.VENDOR_INTEL, DEVICE, 0, 0x0601);
        this.resetRequest = resetRequest;
        config[PciSpec.HEADER_TYPE] = (byte) PciSpec.HEADER_MULTI_FUNCTION;
        put16(config, PciSpec.STATUS, PciSpec.STATUS_DEVSEL_MEDIUM);
    }

    private static Device create(DeviceRequest<PciDeviceOptions> request, DeviceScope scope)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        IsaBridge function = new IsaBridge(board::requestReset);
        PciDevice.attach(board.pci(), function, request, scope);
        return new PciDevice(
                function, List.of(), List.of(new Device.Bus(IsaBus.NAME, IsaBus.TYPE)));
    }

    @Override
    protected void realize() {
        bus().southBridge(this, scope());
    }

    @Override
    public void pirq(int wire, boolean level) {
        wires[wire] = level ? 1 : 0;
        route(false);
    }

    /** Drives each ISA interrupt with the OR of the wires that lead to it. */
    private void route(boolean all) {
        int levels = 0;
        for (int wire = 0; wire < wires.length; wire++) {
            int to = config[PIRQ_ROUTE + wire];
            if (wires[wire] != 0 && (to & ROUTE_DISABLED) == 0) {
                levels |= 1 << (to & 0x0f);
            }
        }
        int changed = all ? levels | isaLevels : levels ^ isaLevels;
        isaLevels = levels;
        for (int irq = 0; changed != 0; irq++, changed >>>= 1) {
            if ((changed & 1) != 0) {
                machine().gsi(irq).set((levels >> irq & 1) != 0);
            }
        }
    }

    @Override
    public int resetControl() {
        return resetControl;
    }

    @Override
    public void resetControl(int value) {
        if ((value & (RESET_TYPE | RESET_CPU)) == (RESET_TYPE | RESET_CPU)) {
            resetRequest.run();
            return;
        }
        // Only the reset type is kept; the CPU bit acts on its rising edge.
        resetControl = value & RESET_TYPE;
    }

    @Override
    protected void reset() {
        for (int i = 0; i < DEFAULTS.length; i += 2) {
            config[DEFAULTS[i]] = (byte) DEFAULTS[i + 1];
        }
        resetControl = 0;
        route(false);
    }

    @Override
    protected void configWritten(int offset, int size) {
        if (touches(offset, size, PIRQ_ROUTE, 4)) {
            route(false);
        }
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("dev", c);
        if (c.version() >= 3) {
            // Informative only: the levels follow from the bus.
            c.i32s("pci_irq_levels_vmstate", wires.clone());
        }
        if (c.loading()) {
            resetControl = 0;
        }
        c.subsection(
                "PIIX3/rcr",
                1,
                resetControl != 0,
                s -> resetControl = s.u8("rcr", resetControl) & RESET_TYPE);
    }

    @Override
    public void afterLoad(int version) {
        // The wires' levels come with the bus, the interrupt controllers' with their own sections.
        for (int wire = 0; wire < wires.length; wire++) {
            wires[wire] = bus().asserted(wire) ? 1 : 0;
        }
        route(true);
    }
}
