package lockstep.tools.img;

import lockstep.qmp.NumberText;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.ToolException;

/** Numbers as users write and read them. */
final class Numbers {
    private Numbers() {}

    /**
     * A number of bytes with an optional suffix.
     *
     * @param what its name in the message when it is none
     */
    static long size(String what, String text, long least, long most) throws ToolException {
        NumberText size = NumberText.size(text);
        boolean big = size.outcome() == NumberText.Outcome.OUT_OF_RANGE;
        if (!big && size.outcome() != NumberText.Outcome.NUMBER) {
            throw new ToolException(
                            "Invalid "
                                    + what
                                    + " specified. You may use k, M, G, T, P or E suffixes for")
                    .advising(
                            Console.PROGRAM
                                    + ": kilobytes, megabytes, gigabytes, terabytes, petabytes and"
                                    + " exabytes.\n");
        }
        if (big || size.value() < least || size.value() > most) {
            throw new ToolException(
                    "Invalid "
                            + what
                            + " specified. Must be between "
                            + least
                            + " and "
                            + most
                            + ".");
        }
        return size.value();
    }

    /** A plain number. */
    static long integer(String refusal, String text, long least, long most) throws ToolException {
        NumberText number = NumberText.signed(text);
        if (number.outcome() != NumberText.Outcome.NUMBER
                || number.value() < least
                || number.value() > most) {
            throw new ToolException(refusal);
        }
        return number.value();
    }
}
