package lockstep.qmp;

/** A JSON string. */
public record JsonString(String value) implements JsonValue {
    @Override
    public Kind kind() {
        return Kind.STRING;
    }

    @Override
    public String toString() {
        return JsonPrinter.compact(this);
    }
}
