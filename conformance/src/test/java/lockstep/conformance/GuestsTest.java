package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The committed boot sectors are what their sources build to, where there is an assembler. */
class GuestsTest {
    @TempDir Path directory;

    @Test
    void imagesMatchTheirSources() throws IOException {
        Host.assumeProgram("as");
        Host.assumeProgram("ld");
        Host.assumeProgram("gcc");
        Host.run("sh", "src/test/guest/build.sh", directory.toString());
        for (String guest :
                new String[] {
                    "counter", "dirty", "writer", "interrupts", "linux-probe", "system"
                }) {
            assertArrayEquals(
                    Files.readAllBytes(directory.resolve(guest + ".bin")), Guests.load(guest));
        }
    }
}
