package lockstep.block;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The inputs that a fuzzer starts from, and those that once did harm. */
public final class FuzzSeeds {
    private FuzzSeeds() {}

    /** All of one target. */
    public static List<byte[]> of(Class<?> target) throws IOException {
        try (Stream<Path> files =
                Files.list(Path.of("src/test/fuzz").resolve(target.getSimpleName()))) {
            List<byte[]> all = new java.util.ArrayList<>();
            for (Path file : files.sorted().toList()) {
                all.add(Files.readAllBytes(file));
            }
            return all;
        }
    }
}
