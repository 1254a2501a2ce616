package lockstep.tools.shell;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

/** A program cannot go on: what the user is told, and the exit code. */
public final class ToolException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int code;
    private final boolean usage;
    private final String hint;

    /** With exit code 1. */
    public ToolException(String message) {
        this(1, message, false, "");
    }

    private ToolException(int code, @Nullable String message, boolean usage, String hint) {
        super(message, null, false, false);
        this.code = code;
        this.usage = usage;
        this.hint = hint;
    }

    /** The command line is wrong, so that looking at the help is advised. */
    public static ToolException usage(String message) {
        return new ToolException(1, message, true, "");
    }

    /** What the block room says, with its advice. */
    public static ToolException of(String prefix, BlockException e) {
        return new ToolException(
                1, prefix + e.getMessage(), false, e.hint().isEmpty() ? "" : e.hint() + "\n");
    }

    /** Likewise with further advice, printed as it is. */
    public ToolException advising(String advice) {
        return new ToolException(code, getMessage(), usage, hint + advice);
    }

    /** Likewise with another exit code. */
    public ToolException ending(int with) {
        return new ToolException(with, getMessage(), usage, hint);
    }

    /** The exit code. */
    public int code() {
        return code;
    }

    /** Whether the command line is wrong. */
    public boolean aboutUsage() {
        return usage;
    }

    /** Printed behind the message as it is. */
    public String hint() {
        return hint;
    }
}
