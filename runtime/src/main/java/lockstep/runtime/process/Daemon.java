package lockstep.runtime.process;

import lockstep.runtime.linux.Detachment;
import lockstep.runtime.linux.LinuxException;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * How a program becomes a daemon. A Java machine cannot fork, so the process that was called starts itself once more,
 * and returns when the second one says on its standard output that it is ready.
 */
public final class Daemon {
    private static final String MARK = "lockstep.daemon";
    private static final String READY = "\u0006ready";
    private static final int MASK = 027;

    private Daemon() {}

    /** Whether this is the second process. */
    public static boolean isChild() {
        return Boolean.getBoolean(MARK);
    }

    /** Starts the second process and gives the exit status of the first. */
    public static int spawn() throws IOException {
        byte[] raw = Files.readAllBytes(Path.of("/proc/self/cmdline"));
        List<String> command =
                new ArrayList<>(List.of(new String(raw, StandardCharsets.UTF_8).split("\0", -1)));
        command.removeLast();
        command.set(0, ProcessHandle.current().info().command().orElse(command.getFirst()));
        command.add(1, "-D" + MARK + "=true");
        Process child =
                new ProcessBuilder(command)
                        .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try (BufferedReader output = child.inputReader(StandardCharsets.UTF_8)) {
            String line = output.readLine();
            while (line != null) {
                if (line.equals(READY)) {
                    return 0;
                }
                System.out.println(line);
                line = output.readLine();
            }
        }
        return 1;
    }

    /** In the second process, before anything is opened. */
    public static void prepare() {
        Detachment.newSession();
        Detachment.fileModeMask(MASK);
    }

    /** In the second process, when the program is there for others: lets the first one return. */
    public static void ready() throws LinuxException {
        System.out.println(READY);
        System.out.flush();
        Detachment.directory("/");
        Detachment.closeStandardStreams();
    }
}
