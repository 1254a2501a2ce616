package lockstep.codegen;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/**
 * What one execution generated from what, kept from build to build: the configuration, the hash of
 * every schema file and the files written. One line each: a keyword, a hash or size, a path.
 */
final class GenerationNote {
    private static final String INPUT = "input ";
    private static final String OUTPUT = "written ";

    private final Path file;
    private final List<String> lines;

    private GenerationNote(Path file, List<String> lines) {
        this.file = file;
        this.lines = lines;
    }

    /** The note of the last generation; empty when there is none. */
    static GenerationNote read(Path file) throws IOException {
        List<String> lines =
                Files.exists(file)
                        ? Files.readAllLines(file, StandardCharsets.UTF_8)
                        : List.<String>of();
        return new GenerationNote(file, lines);
    }

    private List<Path> paths(String keyword) {
        return lines.stream()
                .filter(line -> line.startsWith(keyword))
                .map(line -> Path.of(line.substring(line.indexOf(' ', keyword.length()) + 1)))
                .toList();
    }

    /** The schema files that were read. */
    List<Path> inputs() {
        return paths(INPUT);
    }

    /** The files that were written. */
    List<Path> outputs() {
        return paths(OUTPUT);
    }

    /** Whether generating again would change nothing. */
    boolean upToDate(List<String> configuration) throws IOException {
        List<Path> inputs = inputs();
        List<Path> outputs = outputs();
        return !outputs.isEmpty()
                && Stream.concat(inputs.stream(), outputs.stream()).allMatch(Files::isRegularFile)
                && lines.equals(lines(configuration, inputs, outputs));
    }

    /** Notes a generation. */
    void write(List<String> configuration, List<Path> inputs, Collection<Path> outputs)
            throws IOException {
        Files.createDirectories(file.getParent());
        Files.write(file, lines(configuration, inputs, outputs), StandardCharsets.UTF_8);
    }

    private static List<String> lines(
            List<String> configuration, List<Path> inputs, Collection<Path> outputs)
            throws IOException {
        List<String> lines = new ArrayList<>(configuration);
        for (Path input : inputs) {
            lines.add(INPUT + hash(Files.readAllBytes(input)) + " " + input);
        }
        for (Path output : outputs) {
            lines.add(OUTPUT + Files.size(output) + " " + output);
        }
        return lines;
    }

    /** What tells one build of the plugin from another. */
    static String stamp(Path plugin) throws IOException {
        if (!Files.isDirectory(plugin)) {
            return Files.size(plugin) + " " + Files.getLastModifiedTime(plugin);
        }
        // Built by the same reactor: the classes stand for the archive.
        StringBuilder all = new StringBuilder();
        try (Stream<Path> files = Files.walk(plugin)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                all.append(file).append(hash(Files.readAllBytes(file)));
            }
        }
        return hash(all.toString().getBytes(StandardCharsets.UTF_8));
    }

    private static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
