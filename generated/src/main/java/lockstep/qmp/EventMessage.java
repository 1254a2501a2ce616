package lockstep.qmp;

import java.time.Instant;

/**
 * An event as it arrived.
 *
 * @param time when it happened, by the server's clock; {@link Instant#EPOCH} where it did not say
 * @param event the event; an {@link UnknownEvent} where the schema does not have it or its data do
 *     not fit
 * @param raw the whole message
 * @param missed how many events were dropped just before this one because this listener or queue
 *     was full
 */
public record EventMessage<E extends QmpEvent>(Instant time, E event, JsonObject raw, long missed) {
    EventMessage<E> withMissed(long count) {
        return count == missed ? this : new EventMessage<>(time, event, raw, count);
    }
}
