package lockstep.runtime.option;

import java.util.List;

/**
 * What a room does with one command-line option, such as {@code -netdev}. Every occurrence is parsed
 * while the command line is read and applied in the handler's phase, under the machine lock.
 */
public interface OptionHandler {
    /** The option's names without dash, the main one first. */
    List<String> names();

    /** Whether an argument follows. */
    default boolean takesArgument() {
        return true;
    }

    /** When {@link #apply} runs. */
    StartPhase phase();

    /** Checks the text of one occurrence while the command line is read; opens nothing. */
    default void parse(String argument) throws OptionException {}

    /** Carries one occurrence out. The argument is empty if the option has none. */
    void apply(String argument) throws OptionException;

    /** Called once in the phase after the last occurrence, also when there was none: for defaults. */
    default void finish() throws OptionException {}

    /** The lines that {@code -help} prints; empty hides the option. */
    default String help() {
        return "";
    }
}
