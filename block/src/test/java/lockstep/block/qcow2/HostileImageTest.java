package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import static java.util.Objects.requireNonNull;

import lockstep.block.Images;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.GraphHost;
import lockstep.block.node.Pieces;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;

/** Images that lie: each ends in an error with a sentence, or works, and nothing else. */
class HostileImageTest {
    private static final int SIZE = 1 << 20;

    @TempDir Path dir;
    private final BlockGraph graph = new BlockGraph(GraphHost.direct());

    @AfterEach
    void close() {
        graph.close();
    }

    private byte[] valid() throws Exception {
        Path image = dir.resolve("valid.qcow2");
        Qcow2Creator.create(image.toString(), new Qcow2Creator.Options(SIZE, 12, "base", "raw"));
        Qcow2Node node = Images.qcow2(graph, image, SIZE, false);
        for (int i = 0; i < 40; i++) {
            node.write(i * 20_000L, Pieces.of(Images.pattern(i, 5000)));
        }
        node.writeZeroes(0, 8192, false);
        graph.release(node);
        byte[] bytes = Files.readAllBytes(image);
        Files.delete(image);
        return bytes;
    }

    @Test
    void mutatedImagesAreHarmless() throws Exception {
        byte[] valid = valid();
        Random random = new Random(11);
        for (int round = 0; round < 200; round++) {
            byte[] bytes = valid.clone();
            int changes = 1 + random.nextInt(4);
            for (int i = 0; i < changes; i++) {
                // Metadata lies at the front; the rest of the file is mostly data.
                int range = random.nextInt(4) == 0 ? bytes.length : 5 * 4096;
                int at = random.nextInt(Math.min(range, bytes.length - 8));
                if (random.nextBoolean()) {
                    bytes[at] = (byte) random.nextInt();
                } else {
                    at &= ~7;
                    ByteBuffer.wrap(bytes).putLong(at, random.nextLong() >>> random.nextInt(64));
                }
            }
            Path image = dir.resolve("m" + round + ".qcow2");
            Files.write(image, bytes);
            int number = round;
            assertTimeoutPreemptively(
                    Duration.ofSeconds(30), () -> use(image, number), "round " + round);
            Files.delete(image);
        }
    }

    private void use(Path image, int seed) {
        BlockGraph own = new BlockGraph(GraphHost.direct());
        Random random = new Random(seed);
        try {
            Qcow2Node node = Images.qcow2(own, image, SIZE, false);
            try {
                for (int i = 0; i < 30; i++) {
                    exercise(node, random);
                }
            } finally {
                own.release(node);
            }
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
        } finally {
            own.close();
        }
    }

    private static void exercise(Qcow2Node node, Random random) {
        try {
            long length = Math.min(node.length(), SIZE);
            int run = (int) Math.min(length, 1 + random.nextInt(30_000));
            long offset = length == run ? 0 : random.nextLong(length - run);
            switch (random.nextInt(5)) {
                case 0 -> node.write(offset, Pieces.of(Images.pattern(1, run)));
                case 1 -> node.writeZeroes(offset, run, true);
                case 2 -> node.discard(offset, run);
                case 3 -> node.flush();
                default -> node.read(offset, Pieces.of(MemorySegment.ofArray(new byte[run])));
            }
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "0, 51464900, Image is not in qcow2 format",
        "4, 00000007, Unsupported qcow2 version 7",
        "20, 00000030, Unsupported cluster size: 2^48",
        "100, 00000010, qcow2 header too short",
        "100, 00100000, qcow2 header exceeds cluster size",
        "8, 00100000, Invalid backing file offset",
        "16, 00010000, Backing file name too long",
        "96, 00000007, Reference count entry width too large; may not exceed 64 bits",
        "56, 00000000, Image does not contain a reference count table",
        "36, 00000000, L1 table is too small",
        "24, 80000000, Image is too big",
        "76, 00000002, qcow2: Image is corrupt; cannot be opened read/write",
        "76, 00000004, |data-file| is required for this image",
        "76, 00000008, qcow2: Compression type incompatible feature bit must not be set",
        "104, 01000000, qcow2: Compression type incompatible feature bit must be set",
        "76, 00000010, qcow2: images with extended L2 entries are not supported",
        "76, 00000100, Unsupported qcow2 feature(s): Unknown incompatible feature: 100",
    })
    void refusesWithASentence(int at, String hex, String message) throws Exception {
        byte[] bytes = valid();
        ByteBuffer.wrap(bytes).putInt(at, Integer.parseUnsignedInt(hex, 16));
        assertEquals(message.replace('|', '\''), refusal(bytes));
    }

    private String refusal(byte[] bytes) throws IOException {
        Path image = dir.resolve("bad.qcow2");
        Files.write(image, bytes);
        return requireNonNull(
                assertThrows(BlockException.class, () -> Images.qcow2(graph, image, SIZE, false))
                        .getMessage());
    }

    @Test
    void refusesAnEmptyFile() throws Exception {
        assertEquals("Image is not in qcow2 format", refusal(new byte[0]));
    }
}
