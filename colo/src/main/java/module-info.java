import org.jspecify.annotations.NullMarked;

/** Two virtual machines in lock-step: packet comparison, sequence rewriting, checkpoints, failover. */
@NullMarked
module lockstep.colo {
    requires static org.jspecify;
    requires transitive lockstep.net;
    requires transitive lockstep.runtime;

    exports lockstep.colo.compare;
}
