package lockstep.tools.shell;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** What the user sees. */
public final class Console {
    /** The name that the program was called by. */
    public static final String PROGRAM = System.getProperty("lockstep.argv0", "lockstep");

    private final String advice;
    private final PrintStream out;
    private final PrintStream err;

    /**
     * Over streams.
     *
     * @param advice printed behind what is said of a wrong command line
     */
    public Console(String advice, PrintStream out, PrintStream err) {
        this.advice = advice;
        this.out = out;
        this.err = err;
    }

    /** Standard output, in UTF-8, and standard error. */
    public static Console standard(String advice) {
        return new Console(
                advice,
                new PrintStream(
                        new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8),
                new PrintStream(
                        new FileOutputStream(FileDescriptor.err), false, StandardCharsets.UTF_8));
    }

    /** Prints a line of the command's output. */
    public void line(String text) {
        print(text + "\n");
    }

    /** Prints a part of the command's output. */
    public void print(String text) {
        out.print(text);
        out.flush();
    }

    /** Tells what went wrong, with the program's name in front. */
    public void error(String message) {
        plainError(PROGRAM + ": " + message + "\n");
    }

    /** Tells what may go wrong. */
    public void warning(String message) {
        error("warning: " + message);
    }

    /** Prints to standard error as it is. */
    public void plainError(String text) {
        err.print(text);
        err.flush();
    }

    /** Tells why a program cannot go on. */
    public void error(ToolException e) {
        error(String.valueOf(e.getMessage()));
        plainError(e.aboutUsage() ? advice + e.hint() : e.hint());
    }
}
