package lockstep.qmp;

/** Makes typed events; each generated schema has one as {@code Event::read}. */
@FunctionalInterface
public interface EventReader {
    /**
     * Reads an event's data; an event that is not known is kept as an {@link UnknownEvent}.
     *
     * @throws QmpException when a member is missing or ill-typed
     */
    QmpEvent read(String eventName, JsonObject data) throws QmpException;
}
