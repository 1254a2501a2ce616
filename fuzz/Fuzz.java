import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Runs the fuzz targets of the module in the current folder, one after the other; {@code mvn -Pfuzz}
 * calls it. A target is a test class with a folder of inputs in {@code src/test/fuzz}. What the
 * fuzzer learns is kept in {@code target/fuzz}; an input that does harm is left there as {@code
 * TARGET-crash-...}: mend the fault, then keep the input in the target's folder.
 *
 * <p>Arguments: class path, seconds for each target, the targets to run or nothing for all.
 */
public final class Fuzz {
    public static void main(String[] arguments) throws IOException, InterruptedException {
        Path inputs = Path.of("src/test/fuzz");
        Path learned = Path.of("target/fuzz");
        List<String> targets = names(inputs);
        for (String target : targets) {
            if (arguments.length > 2 && !arguments[2].isBlank() && !arguments[2].contains(target)) {
                continue;
            }
            System.out.println("Fuzzing " + target);
            Files.createDirectories(learned.resolve(target));
            Process fuzzer =
                    new ProcessBuilder(
                                    Path.of(System.getProperty("java.home"), "bin/java").toString(),
                                    "-Xmx1g",
                                    "-XX:+EnableDynamicAgentLoading",
                                    "--enable-native-access=ALL-UNNAMED",
                                    "--sun-misc-unsafe-memory-access=allow",
                                    "-cp",
                                    arguments[0],
                                    "com.code_intelligence.jazzer.Jazzer",
                                    "--target_class=" + className(target),
                                    "--instrumentation_includes=lockstep.**",
                                    "--instrumentation_excludes=lockstep.api.**",
                                    "--custom_hook_includes=lockstep.**",
                                    "--reproducer_path=" + learned,
                                    "-artifact_prefix=" + learned.resolve(target) + "-",
                                    "-max_total_time=" + arguments[1],
                                    "-timeout=120",
                                    "-rss_limit_mb=4096",
                                    learned.resolve(target).toString(),
                                    inputs.resolve(target).toString())
                            .inheritIO()
                            .start();
            int code = fuzzer.waitFor();
            if (code != 0) {
                System.err.println(target + ": the fuzzer ended with " + code);
                System.exit(1);
            }
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    private static String className(String target) throws IOException {
        Path classes = Path.of("target/test-classes");
        try (Stream<Path> all = Files.walk(classes)) {
            Path file =
                    all.filter(path -> path.endsWith(target + ".class"))
                            .findFirst()
                            .orElseThrow(() -> new IOException("There is no class " + target));
            String name = classes.relativize(file).toString().replace('/', '.');
            return name.substring(0, name.length() - ".class".length());
        }
    }
}
