import org.jspecify.annotations.NullMarked;

/** Two virtual machines in lock-step: packet comparison, sequence rewriting, checkpoints, failover. */
@NullMarked
module lockstep.colo {
    requires lockstep.block;
    requires lockstep.qmp;
    requires static org.jspecify;
    requires transitive lockstep.net;
    requires transitive lockstep.runtime;

    exports lockstep.colo.checkpoint;
    exports lockstep.colo.compare;

    provides lockstep.runtime.spi.Room with
            lockstep.colo.checkpoint.CheckpointRoom,
            lockstep.colo.room.ColoRoom;
}
