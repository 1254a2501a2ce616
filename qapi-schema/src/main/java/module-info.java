import org.jspecify.annotations.NullMarked;

/** The QAPI language: exact lexer and parser, checker, and the sealed model that generators read. */
@NullMarked
module lockstep.qapi {
    requires static org.jspecify;

    exports lockstep.qapi;
    exports lockstep.qapi.model;
    exports lockstep.qapi.syntax;
}
