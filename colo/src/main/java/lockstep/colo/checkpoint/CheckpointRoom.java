package lockstep.colo.checkpoint;

import lockstep.api.ColoCommands;
import lockstep.runtime.migration.ColoHandler;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

/** Puts COLO into a process: what goes on behind a migration with x-colo, and its commands. */
public final class CheckpointRoom implements Room {
    /** Made by the service loader. */
    public CheckpointRoom() {}

    @Override
    public int order() {
        return 40;
    }

    @Override
    public void install(Registration offer, Vmm vmm) {
        ColoSession session = new ColoSession(new VmmNeighbours(vmm));
        vmm.publish(ColoHandler.class, session);
        vmm.publish(ColoSession.class, session);
        ColoCommands.register(offer.commands(), session);
        vmm.hmp()
                .add(
                        "x_colo_lost_heartbeat",
                        "",
                        "",
                        "go on alone, as the other side of the COLO pair is lost",
                        (arguments, output) -> session.xColoLostHeartbeat());
        vmm.hmp()
                .addInfo(
                        "colo",
                        "",
                        "",
                        "checkpoints of COLO, and what its comparisons have done",
                        (arguments, output) ->
                                ColoText.describe(
                                        session.queryColoStatus(),
                                        session.queryColoStats(),
                                        output));
    }
}
