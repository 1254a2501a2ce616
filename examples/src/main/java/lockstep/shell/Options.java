package lockstep.shell;

import lockstep.qmp.QmpAddress;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * The command line.
 *
 * @param address the server
 * @param words the command, empty where commands come from elsewhere
 * @param file where commands come from, null for standard input
 * @param timeout for connecting and for each command; null where not given
 * @param pretty whether JSON is written over several lines
 * @param events whether events are written, too
 * @param hmp whether the commands are those of the human monitor
 * @param awaitServer whether to wait for the server to be there
 * @param keepGoing whether to go on after an error
 */
record Options(
        QmpAddress address,
        List<String> words,
        @Nullable Path file,
        @Nullable Duration timeout,
        boolean pretty,
        boolean events,
        boolean hmp,
        boolean awaitServer,
        boolean keepGoing) {
    static final String HELP =
            """
            Usage: lockstep-qmp [OPTION]... ADDRESS [--] [COMMAND]
            Runs QMP commands on a virtual machine monitor such as QEMU or Lockstep.

            ADDRESS is a UNIX socket (PATH or unix:PATH) or a TCP one (HOST:PORT or tcp:HOST:PORT).
            COMMAND is JSON, or the command's name and its arguments as KEY=VALUE; members of members are
            KEY.MEMBER=VALUE or KEY.INDEX=VALUE, and a VALUE may be JSON. Without COMMAND, commands are read
            from standard input: with line editing from a terminal, else one per line (JSON may take several).

              -f, --file FILE        read commands from FILE
              -p, --pretty           write JSON over several lines
              -e, --events           write events, too
              -k, --keep-going       go on after a command that failed
              -t, --timeout SECONDS  for connecting (10 if not given) and for each command (60); 0 for none
              -w, --wait             wait until the server is there, for as long as --timeout says
                  --hmp              commands are those of the human monitor
                  --help             write this and end
                  --version          write the version and end

            Each command's answer is one line of JSON on standard output, "return" or "error" in it. Exit
            status: 0 when all commands succeeded, 1 when one failed, 2 for wrong usage or a lost connection.

            Examples:
              lockstep-qmp vm.sock query-status
              lockstep-qmp --pretty localhost:4444 blockdev-add driver=null-co node-name=n0 size=1M
              lockstep-qmp vm.sock '{"execute": "device_del", "arguments": {"id": "net0"}}'
              lockstep-qmp --hmp vm.sock info block
            """;

    /** Whether an option is the only thing to be done. */
    static boolean wants(String option, String[] arguments) {
        for (String argument : arguments) {
            if (!argument.startsWith("-") || argument.equals("--")) {
                return false;
            }
            if (argument.equals(option)) {
                return true;
            }
        }
        return false;
    }

    static Options parse(String[] arguments) throws UsageException {
        Path file = null;
        Duration timeout = null;
        boolean pretty = false;
        boolean events = false;
        boolean hmp = false;
        boolean awaitServer = false;
        boolean keepGoing = false;
        int i = 0;
        while (i < arguments.length && arguments[i].startsWith("-")) {
            String argument = arguments[i++];
            if (argument.equals("--")) {
                break;
            }
            int equals = argument.startsWith("--") ? argument.indexOf('=') : -1;
            String option = equals < 0 ? argument : argument.substring(0, equals);
            String value = equals < 0 ? null : argument.substring(equals + 1);
            if (List.of("-f", "--file", "-t", "--timeout").contains(option)) {
                if (value == null) {
                    if (i == arguments.length) {
                        throw new UsageException("option " + option + " needs a value");
                    }
                    value = arguments[i++];
                }
                if (option.endsWith("f") || option.equals("--file")) {
                    file = Path.of(value);
                } else {
                    timeout = seconds(value);
                }
                continue;
            }
            if (value != null) {
                throw new UsageException("option " + option + " takes no value");
            }
            switch (option) {
                case "-p", "--pretty" -> pretty = true;
                case "-e", "--events" -> events = true;
                case "-k", "--keep-going" -> keepGoing = true;
                case "-w", "--wait" -> awaitServer = true;
                case "--hmp" -> hmp = true;
                default -> throw new UsageException("there is no option " + option);
            }
        }
        if (i == arguments.length) {
            throw new UsageException("the address of the server is missing");
        }
        QmpAddress address;
        try {
            address = QmpAddress.parse(arguments[i++]);
        } catch (IllegalArgumentException e) {
            throw new UsageException(String.valueOf(e.getMessage()), e);
        }
        List<String> words = new ArrayList<>(List.of(arguments).subList(i, arguments.length));
        if (!words.isEmpty() && words.getFirst().equals("--")) {
            words.removeFirst();
        }
        if (file != null && !words.isEmpty()) {
            throw new UsageException(
                    "commands come from --file or from the command line, not both");
        }
        return new Options(
                address, words, file, timeout, pretty, events, hmp, awaitServer, keepGoing);
    }

    private static Duration seconds(String text) throws UsageException {
        try {
            double seconds = Double.parseDouble(text);
            if (seconds >= 0 && seconds <= 1e9) {
                return Duration.ofMillis(Math.round(seconds * 1000));
            }
        } catch (NumberFormatException e) {
            throw new UsageException("'" + text + "' is not a number of seconds", e);
        }
        throw new UsageException("'" + text + "' is not a number of seconds");
    }
}
