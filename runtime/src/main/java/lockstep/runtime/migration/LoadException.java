package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateException;

import java.util.List;

/**
 * A stream that cannot be loaded: the message, lines that go to the user before it, and the error's class
 * as a Linux error name's text.
 */
public final class LoadException extends StateException {
    private static final long serialVersionUID = 1L;

    /** What kind of error it is, with the text that QEMU prints for it and the number it reports. */
    public enum Kind {
        /** EIO. */
        IO("Input/output error", -5),
        /** EINVAL. */
        INVALID("Invalid argument", -22),
        /** ENOENT. */
        NOT_FOUND("No such file or directory", -2),
        /** ERANGE. */
        RANGE("Numerical result out of range", -34),
        /** ENOTSUP. */
        UNSUPPORTED("Operation not supported", -95);

        private final String text;
        private final int number;

        Kind(String text, int number) {
            this.text = text;
            this.number = number;
        }

        /** The text of strerror. */
        public String text() {
            return text;
        }

        /** The negative error number. */
        public int number() {
            return number;
        }
    }

    private final Kind kind;
    private final transient List<String> notes;

    /** Without lines before. */
    public LoadException(Kind kind, String message) {
        this(kind, message, List.of());
    }

    /** With lines that are printed before. */
    public LoadException(Kind kind, String message, List<String> notes) {
        super(message);
        this.kind = kind;
        this.notes = List.copyOf(notes);
    }

    /** The kind of error. */
    public Kind kind() {
        return kind;
    }

    /** Lines for the user that go before the message. */
    public List<String> notes() {
        return notes;
    }
}
