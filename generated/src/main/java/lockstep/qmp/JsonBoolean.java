package lockstep.qmp;

/** A JSON boolean. */
public record JsonBoolean(boolean value) implements JsonValue {
    @Override
    public Kind kind() {
        return Kind.BOOLEAN;
    }

    @Override
    public String toString() {
        return String.valueOf(value);
    }
}
