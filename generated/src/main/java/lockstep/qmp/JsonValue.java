package lockstep.qmp;

/** A JSON value as QMP knows it. Immutable but for objects and arrays under construction. */
public sealed interface JsonValue
        permits JsonObject, JsonArray, JsonString, JsonNumber, JsonBoolean, JsonNull {
    /** Kinds of values; alternates are chosen by them. */
    enum Kind {
        /** {@link JsonObject}. */
        OBJECT,
        /** {@link JsonArray}. */
        ARRAY,
        /** {@link JsonString}. */
        STRING,
        /** {@link JsonNumber}. */
        NUMBER,
        /** {@link JsonBoolean}. */
        BOOLEAN,
        /** {@link JsonNull}. */
        NULL
    }

    /** The kind of this value. */
    Kind kind();
}
