package lockstep.runtime.trace;

/**
 * Mistakes of this program: a user reads one line about each. The stack trace goes to stderr as well
 * where the system property {@code lockstep.trace} is true.
 */
public final class InternalFailure {
    private static final boolean TRACE = Boolean.getBoolean("lockstep.trace");

    private InternalFailure() {}

    /** One line that says where it happened and what. */
    public static String text(String place, Throwable failure) {
        return "internal error in "
                + place
                + ": "
                + failure.toString().lines().findFirst().orElse("");
    }

    /** Shows the stack trace to those who asked for it. */
    @SuppressWarnings("CatchAndPrintStackTrace")
    public static void log(String place, Throwable failure) {
        if (TRACE) {
            System.err.println(text(place, failure));
            failure.printStackTrace();
        }
    }
}
