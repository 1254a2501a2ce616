package lockstep.colo.room;

import lockstep.colo.compare.CompareObjects;
import lockstep.colo.heartbeat.HeartbeatObjects;
import lockstep.colo.rewriter.RewriterFilter;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Plugs the COLO room into the runtime. */
public final class ColoRoom implements Room {
    /** For ServiceLoader. */
    public ColoRoom() {}

    @Override
    public int order() {
        return 40;
    }

    @Override
    public void install(Registration offer, Vmm vmm) {
        CompareObjects.install(offer, vmm);
        RewriterFilter.install(offer, vmm);
        HeartbeatObjects.install(offer, vmm);
    }
}
