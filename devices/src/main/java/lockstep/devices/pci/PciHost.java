package lockstep.devices.pci;

import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.function.IntConsumer;
import java.util.function.IntSupplier;

/**
 * Configuration mechanism 1 (PCI Local Bus Specification 3.0, section 3.2.2.3.2): CONFIG_ADDRESS at port
 * 0xcf8, four bytes only, and the data window at 0xcfc. The byte at 0xcf9 is the south bridge's reset
 * control register, handed over as a pair of functions.
 */
public final class PciHost implements IoHandler, StateSection {
    private static final int DATA = 4;
    private static final int RESET_CONTROL = 1;

    private final PciBus bus;
    private final IntSupplier resetControl;
    private final IntConsumer setResetControl;
    private int configAddress;

    /** Maps ports 0xcf8 to 0xcff and registers the section {@code PCIHost}. */
    public PciHost(PciBus bus, IntSupplier resetControl, IntConsumer setResetControl) {
        this.bus = bus;
        this.resetControl = resetControl;
        this.setResetControl = setResetControl;
        bus.machine().ports().mapIo("pci-conf", 0xcf8, 8, 0, this);
        bus.machine().state().register(this);
        bus.machine().onReset(() -> configAddress = 0);
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
        return at == RESET_CONTROL && size == 1 ? resetControl.getAsInt() : -1;
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
            setResetControl.accept((int) value & 0xff);
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
    public void describe(StateCodec c) throws StateException {
        configAddress = c.u32("config_reg", configAddress);
    }
}
