package lockstep.qmp;

/** Where a client's connection stands. */
public enum QmpState {
    /** Connecting, or waiting for the server's greeting and the end of negotiation. */
    CONNECTING,
    /** Commands can be run. */
    CONNECTED,
    /** Not connected; the next attempt comes after a delay. */
    WAITING,
    /** Over for good: closed, or lost without a {@link Backoff}. */
    CLOSED
}
