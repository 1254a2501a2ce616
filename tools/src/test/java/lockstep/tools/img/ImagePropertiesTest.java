package lockstep.tools.img;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** Whatever is done to images, they are sound and read as what they should. */
class ImagePropertiesTest {
    private static final int SIZE = 1 << 20;

    /** Content of which some parts are zeroes, some can be packed and some cannot. */
    private static byte[] content(Random random, byte[] before) {
        byte[] bytes = before.clone();
        for (int i = 0; i < 6; i++) {
            int from = random.nextInt(SIZE / 512) * 512;
            int to = Math.min(SIZE, from + (1 + random.nextInt(200)) * 512);
            switch (random.nextInt(3)) {
                case 0 -> java.util.Arrays.fill(bytes, from, to, (byte) 0);
                case 1 -> java.util.Arrays.fill(bytes, from, to, (byte) random.nextInt());
                default -> {
                    byte[] noise = new byte[to - from];
                    random.nextBytes(noise);
                    System.arraycopy(noise, 0, bytes, from, noise.length);
                }
            }
        }
        return bytes;
    }

    private interface Work {
        void in(Path folder) throws IOException;
    }

    private static void inFolder(Work work) throws IOException {
        Path folder = Files.createTempDirectory("images");
        try {
            work.in(folder);
        } finally {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    private static byte[] read(Path image, Path folder) throws IOException {
        Path raw = folder.resolve("read.raw");
        Tool.ok("convert", "-O", "raw", image, raw);
        return Files.readAllBytes(raw);
    }

    @Provide
    Arbitrary<String> clusterSizes() {
        return Arbitraries.of("512", "4096", "64k", "2M");
    }

    @Property(tries = 25)
    void copiesAreEqualAndSound(
            @ForAll Random random, @ForAll("clusterSizes") String cluster, @ForAll boolean packed)
            throws IOException {
        inFolder(
                folder -> {
                    byte[] content = content(random, new byte[SIZE]);
                    Path raw = folder.resolve("raw");
                    Path image = folder.resolve("image");
                    Files.write(raw, content);
                    int bits = 1 << random.nextInt(7);
                    List<Object> line = new ArrayList<>(List.of("convert", "-f", "raw"));
                    line.addAll(List.of("-O", "qcow2", "-o"));
                    line.add("cluster_size=" + cluster + ",refcount_bits=" + bits);
                    line.add(packed ? "-c" : "-W");
                    line.addAll(List.of(raw, image));
                    Tool.ok(line.toArray());
                    assertArrayEquals(content, read(image, folder));
                    assertEquals("", Tool.run("check", image).err());
                    Tool.ok("check", image);
                    assertEquals(
                            "Images are identical.\n",
                            Tool.ok("compare", "-f", "raw", "-F", "qcow2", raw, image));
                });
    }

    @Property(tries = 10)
    void snapshotsKeepWhatWas(@ForAll Random random, @ForAll("clusterSizes") String cluster)
            throws IOException {
        inFolder(
                folder -> {
                    Path image = folder.resolve("image");
                    Path raw = folder.resolve("raw");
                    Tool.ok("create", "-f", "qcow2", "-o", "cluster_size=" + cluster, image, SIZE);
                    byte[] disk = new byte[SIZE];
                    List<String> names = new ArrayList<>();
                    List<byte[]> kept = new ArrayList<>();
                    for (int step = 0; step < 10; step++) {
                        int at = names.isEmpty() ? -1 : random.nextInt(names.size());
                        switch (random.nextInt(4)) {
                            case 0 -> {
                                disk = content(random, disk);
                                Files.write(raw, disk);
                                Tool.ok("convert", "-n", "-f", "raw", "-O", "qcow2", raw, image);
                            }
                            case 1 -> {
                                Tool.ok("snapshot", "-c", "s" + step, image);
                                names.add("s" + step);
                                kept.add(disk);
                            }
                            case 2 -> {
                                if (at >= 0) {
                                    Tool.ok("snapshot", "-a", names.get(at), image);
                                    disk = kept.get(at);
                                }
                            }
                            default -> {
                                if (at >= 0) {
                                    Tool.ok("snapshot", "-d", names.remove(at), image);
                                    kept.remove(at);
                                }
                            }
                        }
                        Tool.ok("check", image);
                        assertArrayEquals(disk, read(image, folder));
                    }
                    for (int i = 0; i < names.size(); i++) {
                        Tool.ok("convert", "-l", names.get(i), "-O", "raw", image, raw);
                        assertArrayEquals(kept.get(i), Files.readAllBytes(raw));
                    }
                });
    }

    @Property(tries = 10)
    void anotherBackingFileChangesNothing(@ForAll Random random) throws IOException {
        inFolder(
                folder -> {
                    Path old = folder.resolve("old");
                    Path made = folder.resolve("made");
                    Path top = folder.resolve("top");
                    Path raw = folder.resolve("raw");
                    byte[] below = content(random, new byte[SIZE]);
                    byte[] disk = content(random, below);
                    Files.write(old, below);
                    Files.write(made, content(random, below));
                    Files.write(raw, disk);
                    Tool.ok("create", "-f", "qcow2", "-b", old, "-F", "raw", top);
                    Tool.ok("convert", "-n", "-f", "raw", "-O", "qcow2", raw, top);
                    Tool.ok("rebase", "-b", made, "-F", "raw", top);
                    assertArrayEquals(disk, read(top, folder));
                    assertTrue(Tool.ok("info", top).contains("backing file: " + made + "\n"));
                    Tool.ok("check", top);
                    Tool.ok("commit", top);
                    assertArrayEquals(disk, Files.readAllBytes(made));
                    assertArrayEquals(disk, read(top, folder));
                    Tool.ok("rebase", "-b", "", top);
                    Files.delete(made);
                    assertArrayEquals(disk, read(top, folder));
                    Tool.ok("check", top);
                });
    }

    @Property(tries = 15)
    void whatIsCutOffDoesNotComeBack(@ForAll Random random, @ForAll("clusterSizes") String cluster)
            throws IOException {
        inFolder(
                folder -> {
                    Path raw = folder.resolve("raw");
                    Path image = folder.resolve("image");
                    byte[] content = content(random, new byte[SIZE]);
                    Files.write(raw, content);
                    Tool.ok(
                            "convert",
                            "-f",
                            "raw",
                            "-O",
                            "qcow2",
                            "-o",
                            "cluster_size=" + cluster,
                            raw,
                            image);
                    int length = 512 * (1 + random.nextInt(SIZE / 512 - 1));
                    Tool.ok("resize", "--shrink", image, length);
                    Tool.ok("check", image);
                    Tool.ok("resize", image, SIZE);
                    java.util.Arrays.fill(content, length, SIZE, (byte) 0);
                    assertArrayEquals(content, read(image, folder));
                    Tool.ok("check", image);
                });
    }

    /** Whatever the refcounts are, or the table of their blocks. */
    @Property(tries = 20)
    void wrongRefcountsAreSetRight(@ForAll Random random) throws IOException {
        inFolder(
                folder -> {
                    Path raw = folder.resolve("raw");
                    Path image = folder.resolve("image");
                    byte[] content = content(random, new byte[SIZE]);
                    Files.write(raw, content);
                    Tool.ok("convert", "-f", "raw", "-O", "qcow2", raw, image);
                    Tool.ok("snapshot", "-c", "kept", image);
                    byte[] bytes = Files.readAllBytes(image);
                    int at = random.nextInt(4) == 0 ? 65536 : 2 * 65536;
                    for (int i = 0; i < 1 + random.nextInt(20); i++) {
                        bytes[at + random.nextInt(40)] = (byte) random.nextInt(4);
                    }
                    Files.write(image, bytes);
                    Tool.run("check", "-r", "all", image);
                    Tool.ok("check", image);
                    assertArrayEquals(content, read(image, folder));
                });
    }
}
