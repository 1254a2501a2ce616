package lockstep.runtime.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Whatever comes as a migration stream: it is loaded or refused with a sentence. Also the target of
 * a fuzzer ({@code -Pfuzz}); its seeds run here.
 */
public final class MigrationStreamFuzzTest {
    /** One incoming stream; the entry for a fuzzer. */
    public static void fuzzerTestOneInput(byte[] data) {
        StreamTest.Half half = new StreamTest.Half();
        try {
            half.read(data);
        } catch (IOException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
        }
    }

    @Test
    void seedsAreHarmless() throws IOException {
        fuzzerTestOneInput(StreamTest.source().save());
        try (Stream<Path> seeds = Files.list(Path.of("src/test/fuzz/MigrationStreamFuzzTest"))) {
            for (Path seed : seeds.sorted().toList()) {
                fuzzerTestOneInput(Files.readAllBytes(seed));
            }
        }
    }
}
