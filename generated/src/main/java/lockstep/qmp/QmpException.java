package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.Serial;

/** A command or an option that failed, with the class and the description a client sees. */
public class QmpException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    private final ErrorClass errorClass;
    private final String className;
    private final String description;

    /** A generic error. */
    public QmpException(String description) {
        this(ErrorClass.GENERIC_ERROR, description);
    }

    /** An error of a class. */
    public QmpException(ErrorClass errorClass, String description) {
        this(errorClass, errorClass.wireName(), description, null);
    }

    /** An error with its cause. */
    public QmpException(ErrorClass errorClass, String description, Throwable cause) {
        this(errorClass, errorClass.wireName(), description, cause);
    }

    private QmpException(
            ErrorClass errorClass,
            String className,
            String description,
            @Nullable Throwable cause) {
        super(description, cause);
        this.errorClass = errorClass;
        this.className = className;
        this.description = description;
    }

    /** The error that a server's reply tells of; a class that is not known counts as generic. */
    static QmpException ofReply(JsonObject error) {
        String name =
                error.get("class") instanceof JsonString text
                        ? text.value()
                        : ErrorClass.GENERIC_ERROR.wireName();
        ErrorClass known = ErrorClass.find(name);
        return new QmpException(
                known == null ? ErrorClass.GENERIC_ERROR : known,
                name,
                error.get("desc") instanceof JsonString text ? text.value() : error.toString(),
                null);
    }

    /** The class. */
    public ErrorClass errorClass() {
        return errorClass;
    }

    /** The name of the class on the wire, also of one that {@link ErrorClass} lacks. */
    public String className() {
        return className;
    }

    /** The description. */
    public String description() {
        return description;
    }

    /** {@code {"class": ..., "desc": ...}}. */
    public JsonObject toJson() {
        return new JsonObject().put("class", className).put("desc", description);
    }
}
