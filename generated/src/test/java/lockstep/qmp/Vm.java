package lockstep.qmp;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A virtual machine monitor that runs for a test: QEMU, or another that is named like it. */
final class Vm implements AutoCloseable {
    private final Process process;

    private Vm(Process process) {
        this.process = process;
    }

    /** QEMU's program; skips the test where it is not installed. */
    static String qemu() {
        String name = "qemu-system-x86_64";
        boolean found = false;
        for (String dir : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)) {
            found |= Files.isExecutable(Path.of(dir, name));
        }
        assumeTrue(found, "needs the program " + name);
        return name;
    }

    /** Starts QEMU with a display of none and the given arguments. */
    static Vm start(String... arguments) {
        List<String> command = new ArrayList<>(List.of(qemu(), "-display", "none"));
        command.addAll(List.of(arguments));
        try {
            return new Vm(
                    new ProcessBuilder(command)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Process process() {
        return process;
    }

    /** Kills it. */
    @Override
    public void close() {
        process.destroyForcibly();
        try {
            process.waitFor(30, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
