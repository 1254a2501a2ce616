package lockstep.runtime.option;

/**
 * A command-line option that cannot be carried out. The program ends with exit status 1 after printing
 * {@code PROG: -option argument: message}, or {@code PROG: message} for one without location.
 */
public class OptionException extends Exception {
    private static final long serialVersionUID = 1L;
    private final boolean located;

    /** With the sentence that a user reads behind the option's text. */
    public OptionException(String message) {
        this(message, true);
    }

    /** With or without the option's text in front of the message. */
    public OptionException(String message, boolean located) {
        super(message);
        this.located = located;
    }

    /** Whether the option and its argument go in front of the message. */
    public boolean located() {
        return located;
    }
}
