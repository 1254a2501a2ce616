package lockstep.runtime.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Memory in pieces on its way from and to a file. */
class ImageFileTest {
    private static final byte UNTOUCHED = 0x55;

    @TempDir Path directory;
    private final Random random = new Random(1);

    /** Pieces of some lengths, in any order in memory, with gaps between them. */
    private List<MemorySegment> scatter(Arena arena, int count, int longest) {
        MemorySegment memory = arena.allocate((long) count * (longest + 3));
        memory.fill(UNTOUCHED);
        List<Integer> places = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            places.add(i);
        }
        java.util.Collections.shuffle(places, random);
        return places.stream()
                .map(i -> memory.asSlice((long) i * (longest + 3) + 1, random.nextInt(longest + 1)))
                .toList();
    }

    private static byte[] content(List<MemorySegment> pieces) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        pieces.forEach(piece -> bytes.writeBytes(piece.toArray(JAVA_BYTE)));
        return bytes.toByteArray();
    }

    private void fill(List<MemorySegment> pieces) {
        for (MemorySegment piece : pieces) {
            byte[] bytes = new byte[(int) piece.byteSize()];
            random.nextBytes(bytes);
            piece.copyFrom(MemorySegment.ofArray(bytes));
        }
    }

    @Test
    void morePiecesThanOneCallTakes() throws Exception {
        Path path = directory.resolve("disk");
        try (Arena arena = Arena.ofShared();
                Arena other = Arena.ofShared();
                ImageFile file = ImageFile.create(path.toString())) {
            List<MemorySegment> source = new ArrayList<>(scatter(arena, 2500, 40));
            source.addAll(700, scatter(other, 5, 40));
            source.addAll(scatter(other, 1, 40));
            fill(source);
            file.write(100, source);
            byte[] expected = content(source);
            byte[] stored = Files.readAllBytes(path);
            assertArrayEquals(expected, Arrays.copyOfRange(stored, 100, stored.length));

            List<MemorySegment> target = scatter(arena, 2100, 60);
            file.read(100, target);
            byte[] all = content(target);
            assertTrue(all.length > expected.length, "the file ends before the pieces");
            assertArrayEquals(Arrays.copyOf(expected, all.length), all);
        }
    }

    @Test
    void heapMemoryAmongThem() throws Exception {
        try (Arena arena = Arena.ofShared();
                ImageFile file = ImageFile.create(directory.resolve("disk").toString())) {
            List<MemorySegment> source = new ArrayList<>(scatter(arena, 5, 40));
            source.add(3, MemorySegment.ofArray(new byte[30]));
            fill(source);
            file.write(0, source);
            List<MemorySegment> target =
                    List.of(MemorySegment.ofArray(new byte[25]), arena.allocate(60));
            file.read(7, target);
            assertArrayEquals(Arrays.copyOfRange(content(source), 7, 92), content(target));
        }
    }

    @Test
    void nothingAndNothingInPieces() throws Exception {
        try (Arena arena = Arena.ofShared();
                ImageFile file = ImageFile.create(directory.resolve("disk").toString())) {
            List<MemorySegment> empty = List.of(arena.allocate(0), arena.allocate(0));
            file.write(5, empty);
            file.write(5, List.of());
            assertEquals(0, file.length());
            file.read(5, empty);
        }
    }

    @Test
    void aFailureIsOneAlsoBehindTheFirstPiece() throws Exception {
        try (Arena arena = Arena.ofShared();
                ImageFile full = ImageFile.open("/dev/full", true)) {
            List<MemorySegment> pieces = scatter(arena, 20, 40);
            ImageFile.Failure e =
                    assertThrows(ImageFile.Failure.class, () -> full.write(0, pieces));
            assertEquals(Errno.ENOSPC, e.errno());
        }
    }

    /** As if the kernel moved less than it was asked to, which it may do at any byte. */
    @Test
    void whatIsLeftAfterShortTransfers() throws Exception {
        Path path = directory.resolve("disk");
        for (int round = 0; round < 200; round++) {
            try (Arena arena = Arena.ofShared();
                    ImageFile _ = ImageFile.create(path.toString());
                    Fd file = FileIo.open(path.toString(), 2, 0)) {
                List<MemorySegment> source = scatter(arena, 1 + random.nextInt(1500), 30);
                fill(source);
                IoVectors left = new IoVectors();
                long done = 0;
                while (left.take(source, done)) {
                    long n = FileCalls.pwritev(file.number(), left, done);
                    assertTrue(n > 0, () -> "pwritev: " + n);
                    done += 1 + random.nextLong(n);
                }
                byte[] expected = content(source);
                assertEquals(expected.length, done);
                assertArrayEquals(expected, Files.readAllBytes(path));
            }
        }
    }

    @Test
    void aCallIsOfOneOwner() {
        try (Arena one = Arena.ofShared();
                Arena other = Arena.ofShared()) {
            IoVectors left = new IoVectors();
            List<MemorySegment> pieces =
                    List.of(one.allocate(8), one.allocate(8), other.allocate(8), one.allocate(8));
            assertTrue(left.take(pieces, 3));
            assertEquals(2, left.count());
            assertEquals(one.scope(), left.owner().scope());
            assertTrue(left.take(pieces, 16));
            assertEquals(1, left.count());
            assertEquals(other.scope(), left.owner().scope());
            assertFalse(left.take(pieces, 32));
        }
    }
}
