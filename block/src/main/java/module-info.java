import org.jspecify.annotations.NullMarked;

/** Block nodes, drivers, jobs and exports. */
@NullMarked
module lockstep.block {
    requires static org.jspecify;
    requires lockstep.runtime;

    exports lockstep.block;
    exports lockstep.block.node;
}
