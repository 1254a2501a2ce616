import org.jspecify.annotations.NullMarked;

/** Block nodes, drivers, jobs and exports. */
@NullMarked
module lockstep.block {
    requires static org.jspecify;

    exports lockstep.block;
    exports lockstep.block.node;
}
