package lockstep.runtime.vmstate;

/** The stream ended in the middle of something. */
public final class EndOfStateException extends StateException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public EndOfStateException() {
        super("Input/output error: the stream ended too early");
    }
}
