import org.jspecify.annotations.NullMarked;

/** The QMP shell of the distribution: {@code lockstep-qmp}. */
@NullMarked
module lockstep.shell {
    // Its signals are how line editing hears of Ctrl-C.
    requires jdk.unsupported;
    requires lockstep.qmp;
    requires org.jline.reader;
    requires static org.jspecify;
}
