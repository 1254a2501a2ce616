package lockstep.tools.img;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** What the user sees. */
final class Console {
    /** The name that the program was called by. */
    static final String PROGRAM = System.getProperty("lockstep.argv0", "lockstep-img");

    private final PrintStream out;
    private final PrintStream err;

    Console(PrintStream out, PrintStream err) {
        this.out = out;
        this.err = err;
    }

    /** Standard output, in UTF-8, and standard error. */
    static Console standard() {
        return new Console(
                new PrintStream(
                        new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8),
                new PrintStream(
                        new FileOutputStream(FileDescriptor.err), false, StandardCharsets.UTF_8));
    }

    /** Prints a line of the command's output. */
    void line(String text) {
        print(text + "\n");
    }

    /** Prints a part of the command's output. */
    void print(String text) {
        out.print(text);
        out.flush();
    }

    /** Tells what went wrong, with the program's name in front. */
    void error(String message) {
        plainError(PROGRAM + ": " + message + "\n");
    }

    /** Tells what may go wrong. */
    void warning(String message) {
        error("warning: " + message);
    }

    /** Prints to standard error as it is. */
    void plainError(String text) {
        err.print(text);
        err.flush();
    }

    void error(ToolException e) {
        error(String.valueOf(e.getMessage()));
        plainError(e.hint());
    }
}
