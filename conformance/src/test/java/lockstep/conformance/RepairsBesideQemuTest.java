package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** {@code check -r} of images whose counts are wrong: the same lines and exit codes as QEMU's. */
@Tag("qemu")
class RepairsBesideQemuTest {
    private static final int IMAGES = Integer.getInteger("repairs", 8);
    private static final int REFCOUNT_TABLE_AT = 48;
    private static final int AUTOCLEAR_AT = 88;
    private static final int CLUSTER = 4096;

    @TempDir Path directory;
    private byte[] sound;

    @BeforeEach
    void makeImage() throws IOException {
        Host.assumeProgram("qemu-img");
        String image = directory.resolve("sound").toString();
        Host.run("qemu-img", "create", "-q", "-fqcow2", "-ocluster_size=4k", image, "4M");
        String io = "qemu-io";
        Host.run(io, "-c", "write 0 40k", "-c", "write -c 2M 4k", "-c", "write 1M 8k", image);
        Host.run("qemu-img", "snapshot", "-c", "kept", image);
        Host.run(io, "-c", "write 4k 12k", image);
        sound = Files.readAllBytes(Path.of(image));
    }

    /** What a program says of the image when it repairs it, and what is left then. */
    private String repair(String program, String what, byte[] image)
            throws IOException, InterruptedException {
        Path file = directory.resolve("image");
        Files.write(file, image);
        Path output = directory.resolve("output");
        Process process =
                new ProcessBuilder(List.of(program, "check", "-r", what, file.toString()))
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        int code = process.waitFor();
        List<String> lines = new ArrayList<>(Files.readAllLines(output, StandardCharsets.UTF_8));
        lines.replaceAll(line -> line.replace("lockstep-img:", "qemu-img:"));
        lines.sort(null); // standard output and errors are not mixed alike
        return code + "\n" + String.join("\n", lines);
    }

    @Test
    void wrongCounts() throws Exception {
        Random random = new Random(Long.getLong("repairs.seed", 1));
        ByteBuffer fields = ByteBuffer.wrap(sound);
        int counts = (int) fields.getLong((int) fields.getLong(REFCOUNT_TABLE_AT));
        String ours = Host.home().resolve("bin/lockstep-img").toString();
        for (int i = 0; i < IMAGES; i++) {
            byte[] image = sound.clone();
            for (int damages = 1 + random.nextInt(3); damages > 0; damages--) {
                int cluster = 3 + random.nextInt(sound.length / CLUSTER - 3);
                short wrong = (short) (i % 3 == 0 ? 0 : 1 + random.nextInt(5));
                ByteBuffer.wrap(image).putShort(counts + 2 * cluster, wrong);
            }
            for (String what : List.of("leaks", "all")) {
                assertEquals(
                        repair("qemu-img", what, image),
                        repair(ours, what, image),
                        "image " + i + ", " + what);
            }
        }
    }

    @Test
    void promisesOfOthersAreTakenBack() throws Exception {
        sound[AUTOCLEAR_AT] = (byte) 0x80;
        String ours = Host.home().resolve("bin/lockstep-img").toString();
        repair(ours, "leaks", sound);
        byte[] after = Files.readAllBytes(directory.resolve("image"));
        assertEquals(0, ByteBuffer.wrap(after).getLong(AUTOCLEAR_AT));
        // QEMU 7.2 forgets the snapshots then.
        assertEquals(1, ByteBuffer.wrap(after).getInt(60));
    }
}
