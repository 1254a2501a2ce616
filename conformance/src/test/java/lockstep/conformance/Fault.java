package lockstep.conformance;

/** What goes wrong. */
enum Fault {
    KILL_PRIMARY,
    KILL_SECONDARY,
    STOP_PRIMARY,
    STOP_SECONDARY,
    /** All connections between the two end. */
    CUT,
    /** All connections between the two stay, and nothing comes. */
    HANG,
    /** Some hundred kilobytes a second, for a while. */
    SLOW,
    /** No room for the secondary's active and hidden disk. */
    FULL_DISK,
    /** What the primary writes to its own disk hangs. */
    PRIMARY_DISK,
    /** What the secondary writes to its active and hidden disk hangs. */
    SECONDARY_DISK;

    /** Whether it is a disk that hangs on its own side. */
    boolean hangsDisk() {
        return this == PRIMARY_DISK || this == SECONDARY_DISK;
    }

    /** The name in tables and in {@code -Dfaults=}. */
    String title() {
        return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    }
}
