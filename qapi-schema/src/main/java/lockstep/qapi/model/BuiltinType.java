package lockstep.qapi.model;

/** The types every schema has. */
public enum BuiltinType {
    /** Text. */
    STR("string"),
    /** Floating point. */
    NUMBER("number"),
    /** 64 bits signed. */
    INT("int"),
    /** 8 bits signed. */
    INT8("int"),
    /** 16 bits signed. */
    INT16("int"),
    /** 32 bits signed. */
    INT32("int"),
    /** 64 bits signed. */
    INT64("int"),
    /** 8 bits unsigned. */
    UINT8("int"),
    /** 16 bits unsigned. */
    UINT16("int"),
    /** 32 bits unsigned. */
    UINT32("int"),
    /** 64 bits unsigned. */
    UINT64("int"),
    /** 64 bits unsigned, a number of bytes: text may have a suffix. */
    SIZE("int"),
    /** Boolean. */
    BOOL("boolean"),
    /** Any JSON value. */
    ANY("value"),
    /** JSON null. */
    NULL("null");

    private final String json;

    BuiltinType(String json) {
        this.json = json;
    }

    /** Name in a schema. */
    public String wireName() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }

    /** Name of its JSON type in introspection data. */
    public String jsonType() {
        return json;
    }
}
