package lockstep.qmp;

/** JSON null, which is a value and not the absence of one. */
public enum JsonNull implements JsonValue {
    /** The only one. */
    NULL;

    @Override
    public Kind kind() {
        return Kind.NULL;
    }

    @Override
    public String toString() {
        return "null";
    }
}
