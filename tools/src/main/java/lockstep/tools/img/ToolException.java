package lockstep.tools.img;

import lockstep.block.node.BlockException;

/** A command cannot go on: what the user is told, and the exit code. */
final class ToolException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int code;
    private final String hint;

    ToolException(String message) {
        this(1, message, "");
    }

    private ToolException(int code, String message, String hint) {
        super(message, null, false, false);
        this.code = code;
        this.hint = hint;
    }

    /** The command line is wrong, so that looking at the help is advised. */
    static ToolException usage(String message) {
        return new ToolException(
                1, message, "Try '" + Console.PROGRAM + " --help' for more information\n");
    }

    /** What the block room says, with its advice. */
    static ToolException of(String prefix, BlockException e) {
        return new ToolException(
                1, prefix + e.getMessage(), e.hint().isEmpty() ? "" : e.hint() + "\n");
    }

    /** Likewise with further advice, printed as it is. */
    ToolException advising(String advice) {
        return new ToolException(code, String.valueOf(getMessage()), hint + advice);
    }

    /** Likewise with another exit code. */
    ToolException ending(int with) {
        return new ToolException(with, String.valueOf(getMessage()), hint);
    }

    int code() {
        return code;
    }

    /** Printed behind the message as it is. */
    String hint() {
        return hint;
    }
}
