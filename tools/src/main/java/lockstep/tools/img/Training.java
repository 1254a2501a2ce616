package lockstep.tools.img;

import lockstep.tools.shell.Console;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What the program does in the run that its AOT cache is recorded in: most of its commands, on small images in a scratch
 * folder. The launcher starts it in place of {@link Main}.
 */
public final class Training {
    private Training() {}

    /** Runs commands in the folder that is given, which is there. */
    public static void main(String[] line) {
        Path folder = Path.of(line[0]);
        String raw = folder.resolve("raw").toString();
        String image = folder.resolve("image").toString();
        String top = folder.resolve("top").toString();
        String copy = folder.resolve("copy").toString();
        run("create", "-f", "raw", "-o", "preallocation=full", raw, "1M");
        run("convert", "-p", "-f", "raw", "-S", "0", "-O", "qcow2", raw, image);
        run("create", "-f", "qcow2", "-b", image, "-F", "qcow2", top);
        run("snapshot", "-c", "first", top);
        run("info", "--backing-chain", top);
        run("info", "--output=json", top);
        run("map", "--output=json", top);
        run("check", image);
        run("compare", image, top);
        run("measure", "-O", "qcow2", top);
        run("convert", "-c", "-O", "qcow2", top, copy);
        run("resize", image, "+1M");
        run("rebase", "-b", raw, "-F", "raw", top);
        run("commit", top);
        run("bench", "-c", "20000", "-d", "8", raw);
        run("bench", "-w", "-c", "5000", "-d", "8", image);
        run("nonsense");
        System.exit(0);
    }

    private static void run(String... line) {
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
        new Main(new Console("", nowhere, nowhere)).run(Arrays.asList(line));
    }
}
