package lockstep.runtime.memory;

/** The host does not give the memory that a guest is to have, or cannot put it where the guest sees it. */
public final class GuestMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public GuestMemoryException(String message) {
        super(message);
    }
}
