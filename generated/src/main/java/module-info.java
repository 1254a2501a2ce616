import org.jspecify.annotations.NullMarked;

/** What is generated from the schemas and from the kernel's headers, and the wire codec they use. */
@NullMarked
@SuppressWarnings("module") // The reader of the kernel layouts is compiled later.
module lockstep.qmp {
    requires static org.jspecify;
    requires tools.jackson.core;

    exports lockstep.api;
    exports lockstep.qmp;
    exports lockstep.linux.abi to
            lockstep.runtime;
}
