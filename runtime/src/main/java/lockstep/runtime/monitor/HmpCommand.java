package lockstep.runtime.monitor;

import java.util.List;

/**
 * One command of the human monitor.
 *
 * <p>The pattern lists {@code name:type} pairs, comma separated. Types: {@code s} text, {@code F} file
 * name, {@code B} block device name, {@code O} option list, {@code S} the rest of the line, {@code i}
 * and {@code l} integers as expressions, {@code /} a format such as {@code /4xb} (as {@code count}, {@code
 * format} and {@code size} in bytes), {@code o} a size in MiB or with suffix, {@code b} on or off, {@code -x} a flag
 * spelled so. A {@code ?} behind the type makes the argument optional.
 *
 * @param names the name and its aliases
 * @param pattern the arguments, such as {@code node:-n,pci_addr:s,opts:s}
 * @param params how {@code help} shows them
 * @param help one line
 * @param handler what it does
 */
public record HmpCommand(
        List<String> names, String pattern, String params, String help, Handler handler) {
    /** Carries a command out, under the machine lock. */
    @FunctionalInterface
    public interface Handler {
        /**
         * Prints its answer, lines ending in {@code \n}. A thrown exception's message is printed
         * behind {@code Error: }.
         */
        void run(HmpArguments arguments, StringBuilder output) throws Exception;
    }
}
