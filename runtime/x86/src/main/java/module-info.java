import org.jspecify.annotations.NullMarked;

/** An x86-64 processor in software. Knows memory, ports and interrupts only through interfaces of its own. */
@NullMarked
@SuppressWarnings("module") // the architecture's name ends in digits
module lockstep.x86 {
    requires static org.jspecify;

    exports lockstep.x86;
}
