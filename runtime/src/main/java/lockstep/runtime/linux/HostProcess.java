package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.PR_SET_PDEATHSIG;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** What a process tells the kernel about itself. */
public final class HostProcess {
    private static final CFunction EXIT = CFunction.ofInt("_exit");
    private static final CFunction SETPRIORITY = CFunction.ofInt("setpriority");

    /** PRIO_PROCESS: of one thread, on Linux. */
    private static final int PROCESS = 0;

    private HostProcess() {}

    /**
     * Has the kernel send {@code signal} to this process when the thread that started it ends. Returns 0
     * or the negated errno.
     */
    public static int onParentDeath(int signal) {
        return FileCalls.prctl(PR_SET_PDEATHSIG(), signal);
    }

    /**
     * Has threads of this process whose name begins so stand behind the others when processors are short.
     *
     * @param nice by how much, as in setpriority(2): 0 for not at all, 19 for as much as can be
     */
    public static void standBehind(String threads, int nice) {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
            for (Path each : all) {
                if (Files.readString(each.resolve("comm")).startsWith(threads)) {
                    SETPRIORITY.call(PROCESS, Long.parseLong(each.getFileName().toString()), nice);
                }
            }
        } catch (IOException e) {
            // Without /proc, or a thread that ended meanwhile: all of them are equal then.
            return;
        }
    }

    /** Ends the process here and now, whatever its threads and the Java machine are at. Does not return. */
    public static void exit(int status) {
        EXIT.call(status, 0);
    }

    /** The name that a process was started by. Empty when it is gone or not ours to look at. */
    public static Optional<String> name(int process) {
        try {
            byte[] words = Files.readAllBytes(Path.of("/proc/" + process + "/cmdline"));
            String text = new String(words, StandardCharsets.UTF_8);
            int end = text.indexOf('\0');
            return Optional.of(end < 0 ? text : text.substring(0, end));
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
