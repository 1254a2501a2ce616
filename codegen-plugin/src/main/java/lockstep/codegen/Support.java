package lockstep.codegen;

import com.palantir.javapoet.ClassName;

/** The hand-written classes that generated code uses. */
final class Support {
    private static final String QMP = "lockstep.qmp";

    static final ClassName NULLABLE = ClassName.get("org.jspecify.annotations", "Nullable");
    static final ClassName INPUT = ClassName.get(QMP, "InputVisitor");
    static final ClassName OUTPUT = ClassName.get(QMP, "OutputVisitor");
    static final ClassName EXCEPTION = ClassName.get(QMP, "QmpException");
    static final ClassName JSON_VALUE = ClassName.get(QMP, "JsonValue");
    static final ClassName JSON_NULL = ClassName.get(QMP, "JsonNull");
    static final ClassName JSON_OBJECT = ClassName.get(QMP, "JsonObject");
    static final ClassName JSON_ARRAY = ClassName.get(QMP, "JsonArray");
    static final ClassName JSON_PARSER = ClassName.get(QMP, "JsonStreamParser");
    static final ClassName JSON_INPUT = ClassName.get(QMP, "JsonInputVisitor");
    static final ClassName COMMAND = ClassName.get(QMP, "QmpCommand");
    static final ClassName TABLE = ClassName.get(QMP, "CommandTable");
    static final ClassName EMPTY = ClassName.get(QMP, "Empty");
    static final ClassName EVENT = ClassName.get(QMP, "QmpEvent");
    static final ClassName UNKNOWN_EVENT = ClassName.get(QMP, "UnknownEvent");
    static final ClassName UNSTABLE = ClassName.get(QMP, "Unstable");
    static final ClassName FEATURES = ClassName.get(QMP, "Features");

    static final ClassName ADDRESS = ClassName.get(QMP, "QmpAddress");
    static final ClassName CALLER = ClassName.get(QMP, "QmpCaller");
    static final ClassName CLIENT = ClassName.get(QMP, "QmpClient");
    static final ClassName TYPED_CLIENT = ClassName.get(QMP, "TypedClient");

    private Support() {}
}
