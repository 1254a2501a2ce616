package lockstep.devices.pc;

import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Plugs boards and devices into the runtime. */
public final class DevicesRoom implements Room {
    /** Behind the block and net rooms, whose services devices use. */
    private static final int ORDER = 30;

    @Override
    public void install(Registration offer, Vmm vmm) {
        for (PcVersion version : PcVersion.all()) {
            offer.machineType(new PcType(version));
        }
        PluggableDevices.install(offer, vmm);
        PcMonitor.install(vmm);
    }

    @Override
    public int order() {
        return ORDER;
    }
}
