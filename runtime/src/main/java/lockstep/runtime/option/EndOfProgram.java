package lockstep.runtime.option;

/** An option such as {@code -version} that prints something and ends the program with status 0. */
public final class EndOfProgram extends OptionException {
    private static final long serialVersionUID = 1L;

    /** With what goes to standard output. */
    public EndOfProgram(String output) {
        super(output, false);
    }

    /** The same, out of the table of options. */
    public static final class Reached extends OptionTable.Failure {
        private static final long serialVersionUID = 1L;

        Reached(String output) {
            super(output);
        }

        /** What goes to standard output. */
        public String output() {
            return String.valueOf(getMessage());
        }
    }
}
