package lockstep.qmp;

import java.time.Instant;

/** An event. Generated events implement it through the sealed interface of their schema. */
public interface QmpEvent {
    /** Wire name, such as {@code STOP}. */
    String eventName();

    /** Whether the event has a {@code data} member. */
    boolean hasData();

    /** Writes the members of {@code data}, without the object around them. */
    void writeData(OutputVisitor visitor);

    /** The {@code data} object, without members when the event has none. */
    default JsonObject dataJson() {
        JsonOutputVisitor visitor = new JsonOutputVisitor();
        visitor.startStruct(null);
        writeData(visitor);
        visitor.endStruct();
        return (JsonObject) visitor.result();
    }

    /** The message that monitors send: {@code timestamp}, {@code event} and {@code data}. */
    default JsonObject toMessage(Instant time) {
        JsonObject timestamp =
                new JsonObject()
                        .put("seconds", time.getEpochSecond())
                        .put("microseconds", time.getNano() / 1000);
        JsonObject message = new JsonObject().put("timestamp", timestamp).put("event", eventName());
        if (hasData()) {
            message.put("data", dataJson());
        }
        return message;
    }
}
