package lockstep.x86;

/** There is no such model-specific register, or it does not take the value: the guest gets #GP. */
public final class MsrException extends Exception {
    private static final long serialVersionUID = 1;

    /** Without a stack trace, as guests probe for registers in masses. */
    public MsrException() {
        super("no such model-specific register", null, false, false);
    }
}
