import org.jspecify.annotations.NullMarked;

/** Programs for disk images, which use the block room without a machine. */
@NullMarked
module lockstep.tools {
    requires lockstep.block;
    requires static org.jspecify;
}
