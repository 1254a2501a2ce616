package lockstep.qmp;

import java.io.Serial;

/** A command or an option that failed, with the class and the description a client sees. */
public class QmpException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    private final ErrorClass errorClass;
    private final String description;

    /** A generic error. */
    public QmpException(String description) {
        this(ErrorClass.GENERIC_ERROR, description);
    }

    /** An error of a class. */
    public QmpException(ErrorClass errorClass, String description) {
        super(description);
        this.errorClass = errorClass;
        this.description = description;
    }

    /** An error with its cause. */
    public QmpException(ErrorClass errorClass, String description, Throwable cause) {
        super(description, cause);
        this.errorClass = errorClass;
        this.description = description;
    }

    /** The class. */
    public ErrorClass errorClass() {
        return errorClass;
    }

    /** The description. */
    public String description() {
        return description;
    }

    /** {@code {"class": ..., "desc": ...}}. */
    public JsonObject toJson() {
        return new JsonObject().put("class", errorClass.wireName()).put("desc", description);
    }
}
