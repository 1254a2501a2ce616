import org.jspecify.annotations.NullMarked;

/** The clients of the distribution: {@code lockstep-qmp}, and {@code lockstep-colo} on the typed client. */
@NullMarked
module lockstep.shell {
    // Its signals are how line editing hears of Ctrl-C.
    requires jdk.unsupported;
    requires lockstep.qmp;
    requires org.jline.reader;
    requires static org.jspecify;
}
