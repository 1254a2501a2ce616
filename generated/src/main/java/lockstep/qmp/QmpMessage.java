package lockstep.qmp;

/**
 * A message as it went over the wire.
 *
 * @param direction who wrote it
 * @param json the whole message
 */
public record QmpMessage(Direction direction, JsonValue json) {
    /** Who wrote a message. */
    public enum Direction {
        /** The client. */
        SENT,
        /** The server. */
        RECEIVED
    }
}
