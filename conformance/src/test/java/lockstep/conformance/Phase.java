package lockstep.conformance;

/** What a pair is about when a fault comes, in order. Those named like messages begin with the message's first byte. */
enum Phase {
    START,
    RAM,
    CHECKPOINT_READY,
    IDLE,
    CHECKPOINT_REQUEST,
    CHECKPOINT_REPLY,
    VMSTATE_SEND,
    PAGES,
    VMSTATE_SIZE,
    DEVICE_STATE,
    VMSTATE_RECEIVED,
    VMSTATE_LOADED,
    NBD_WRITE,
    FAILOVER;

    /** Whether the secondary has nothing yet that it could go on with. */
    boolean beforeThePair() {
        return compareTo(IDLE) < 0;
    }

    /** The name in tables and in {@code -Dfaults=}. */
    String title() {
        return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    }
}
