package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.conformance.DiskProgram.Kind;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A chain of images that random things are done to by either program, and what must be in them. */
final class RandomChain {
    private static final int SECTOR = 512;
    private static final int SIZE = 3 << 20;

    /**
     * One image of the chain.
     *
     * @param name its file and its node
     */
    private static final class Layer {
        final String name;
        final boolean old;
        final boolean sharing;

        /** QEMU, which leaves stale data in the rest of the last cluster, has shortened it. */
        boolean stale;

        /** What is seen through it. */
        byte[] content;

        /** What its snapshots show; null where that hangs on images that were below it. */
        final Map<String, byte @Nullable []> snapshots = new LinkedHashMap<>();

        Layer(String name, String options, byte[] content) {
            this.name = name;
            this.old = options.contains("compat=0.10");
            this.sharing = !options.contains("refcount_bits=1,");
            this.content = content.clone();
        }
    }

    private final Path folder;
    private final Random random;
    private final List<String> told = new ArrayList<>();
    private final List<Layer> chain = new ArrayList<>();
    private int names;
    private int steps;

    /** The layer that a bitmap follows since {@link #saved} was made, null for none. */
    private @Nullable Layer followed;

    /** The image that backups by the bitmap go to. */
    private String saved = "";

    private String bitmap = "";

    RandomChain(Path folder, long seed) {
        this.folder = folder;
        random = new Random(seed);
        Kind kind = pick(Kind.values());
        chain.add(create(kind, null, new byte[SIZE + SECTOR * random.nextInt(100)]));
    }

    /** What was done, in order. */
    String story() {
        return String.join("\n", told);
    }

    /** How many things were done. */
    int steps() {
        return steps;
    }

    private void tell(String what) {
        steps++;
        told.add(what);
    }

    @SafeVarargs
    private <T> T pick(T... of) {
        return of[random.nextInt(of.length)];
    }

    private Layer top() {
        return chain.getLast();
    }

    private String path(String name) {
        return folder.resolve(name).toString();
    }

    private String options() {
        boolean old = random.nextInt(5) == 0;
        String options = "cluster_size=" + pick("512", "1024", "4096", "65536", "2097152");
        if (old) {
            return options + ",compat=0.10,";
        }
        options += ",refcount_bits=" + pick(1, 2, 8, 16, 16, 16, 64) + ",";
        return options + (random.nextInt(4) == 0 ? "lazy_refcounts=on," : "");
    }

    /** A new image over a layer. */
    private Layer create(Kind kind, @Nullable Layer below, byte[] content) {
        String options = options();
        String name = "i" + names++;
        List<String> line = new ArrayList<>(List.of("create", "-q", "-f", "qcow2"));
        if (below != null) {
            line.addAll(List.of("-b", path(below.name), "-F", "qcow2"));
        }
        line.addAll(List.of("-o", options.substring(0, options.length() - 1)));
        line.addAll(List.of(path(name), Integer.toString(content.length)));
        image(kind, line);
        return new Layer(name, options, content);
    }

    private void image(Kind kind, List<String> line) {
        tell(kind + " " + String.join(" ", line));
        DiskProgram.image(kind, line.toArray(String[]::new));
    }

    private void image(Kind kind, String... line) {
        image(kind, List.of(line));
    }

    /** One of the programs uses the chain as a disk, then perhaps its tool for images; then all is compared. */
    void round(int requests) throws IOException {
        Kind kind = pick(Kind.values());
        tell("-- " + kind);
        try (DiskProgram program = new DiskProgram(kind, folder)) {
            open(program);
            for (int step = 0; step < requests; step++) {
                if (random.nextInt(25) == 0) {
                    change(kind, program);
                } else {
                    request(program);
                }
            }
            if (random.nextBoolean()) {
                program.withdraw();
            }
            program.quit();
        }
        compare();
        for (int i = random.nextInt(3); i > 0; i--) {
            work(pick(Kind.values()));
            compare();
        }
    }

    private void open(DiskProgram program) {
        String below = "null";
        for (Layer layer : chain) {
            add(program, layer.name, below, layer != top() && random.nextBoolean());
            below = "'" + layer.name + "'";
        }
        program.export(top().name);
    }

    private void add(DiskProgram program, String name, String below, boolean readOnly) {
        String node =
                "{'driver': 'qcow2', 'node-name': '%s', 'file': {'driver': 'file', 'filename':"
                        + " '%s'}, 'backing': %s, 'read-only': %s, 'discard': 'unmap'}";
        execute(program, "blockdev-add", node.formatted(name, path(name), below, readOnly));
    }

    private void execute(DiskProgram program, String command, String arguments) {
        tell(command + " " + arguments);
        program.execute(command, arguments);
    }

    // Requests

    private void request(DiskProgram program) throws IOException {
        byte[] content = top().content;
        int length = 1 + random.nextInt(random.nextInt(12) == 0 ? 500_000 : 12_000);
        int offset = random.nextInt(content.length - length);
        if (random.nextInt(3) == 0) {
            offset &= -SECTOR;
            length = Math.max(SECTOR, length & -SECTOR);
        }
        int end = offset + length;
        switch (random.nextInt(8)) {
            case 0, 1, 2, 3 -> {
                byte[] data = new byte[length];
                if (random.nextBoolean()) {
                    random.nextBytes(data);
                } else {
                    Arrays.fill(data, (byte) random.nextInt());
                }
                make(program, NbdClient.Command.WRITE, offset, length, data);
                System.arraycopy(data, 0, content, offset, length);
            }
            case 4 -> assertRead(program, offset, length);
            case 5 -> {
                make(program, NbdClient.Command.WRITE_ZEROES, offset, length, new byte[0]);
                Arrays.fill(content, offset, end, (byte) 0);
            }
            case 6 -> make(program, NbdClient.Command.FLUSH, 0, 0, new byte[0]);
            default -> {
                make(program, NbdClient.Command.TRIM, offset, length, new byte[0]);
                // What was thrown away is either zeroes or what it was; what is below may come
                // through in old images.
                byte[] now = make(program, NbdClient.Command.READ, offset, length, new byte[0]);
                for (int i = 0; i < length; i++) {
                    if (now[i] != 0 && now[i] != content[offset + i]) {
                        assertTrue(
                                top().old && chain.size() > 1, "what was discarded is other data");
                    }
                }
                System.arraycopy(now, 0, content, offset, length);
            }
        }
    }

    private void assertRead(DiskProgram program, int offset, int length) throws IOException {
        byte[] data = make(program, NbdClient.Command.READ, offset, length, new byte[0]);
        assertEquals(
                -1,
                Arrays.mismatch(Arrays.copyOfRange(top().content, offset, offset + length), data),
                () -> "read at " + offset);
    }

    private byte[] make(
            DiskProgram program, NbdClient.Command command, int offset, int length, byte[] data)
            throws IOException {
        tell(command + " " + offset + " " + length);
        NbdClient.Answer answer = program.disk().request(command, offset, length, data);
        assertEquals(0, answer.error(), "the request's error");
        return answer.data();
    }

    private void requests(DiskProgram program) throws IOException {
        for (int i = random.nextInt(6); i > 0; i--) {
            request(program);
        }
    }

    // Changes while it is used

    private void change(Kind kind, DiskProgram program) throws IOException {
        switch (random.nextInt(8)) {
            case 0 -> resize(kind, program);
            case 1 -> overlay(kind, program);
            case 2 -> snapshot(program);
            case 3 -> stream(program);
            case 4 -> commit(kind, program);
            case 5 -> mirror(kind, program);
            case 6 -> backup(kind, program);
            default -> increment(kind, program);
        }
    }

    private void resize(Kind kind, DiskProgram program) {
        if (top().old && !top().snapshots.isEmpty()) {
            return;
        }
        int size = SIZE + SECTOR * random.nextInt(2000);
        if (showsStale(kind, top(), size)) {
            return;
        }
        program.withdraw();
        execute(
                program,
                "block_resize",
                "{'node-name': '" + top().name + "', 'size': " + size + "}");
        resized(kind, top(), size);
        program.export(top().name);
    }

    /** Whether QEMU would show what it left when it shortened a disk. */
    private static boolean showsStale(Kind kind, Layer layer, int size) {
        return kind == Kind.QEMU && layer.stale && size > layer.content.length;
    }

    private void resized(Kind kind, Layer layer, int size) {
        if (size != layer.content.length) {
            layer.stale = kind == Kind.QEMU && size < layer.content.length;
        }
        if (layer == followed && size < layer.content.length) {
            followed = null; // no bitmap tells what was cut off
        }
        layer.content = Arrays.copyOf(layer.content, size);
    }

    private void overlay(Kind kind, DiskProgram program) {
        if (chain.size() > 4) {
            return;
        }
        Layer layer = create(kind, top(), top().content);
        add(program, layer.name, "null", false);
        execute(
                program,
                "blockdev-snapshot",
                "{'node': '" + top().name + "', 'overlay': '" + layer.name + "'}");
        chain.add(layer);
    }

    private void snapshot(DiskProgram program) {
        Layer layer = top();
        if (!layer.sharing) {
            return;
        }
        if (layer.snapshots.size() > 2) {
            String name = pick(layer.snapshots.keySet().toArray(String[]::new));
            execute(
                    program,
                    "blockdev-snapshot-delete-internal-sync",
                    "{'device': '" + layer.name + "', 'name': '" + name + "'}");
            layer.snapshots.remove(name);
        } else {
            String name = "s" + names++;
            execute(
                    program,
                    "blockdev-snapshot-internal-sync",
                    "{'device': '" + layer.name + "', 'name': '" + name + "'}");
            layer.snapshots.put(name, layer.content.clone());
        }
    }

    private void job(DiskProgram program, String command, String arguments) {
        execute(program, command, "{'job-id': 'j', 'auto-dismiss': false, " + arguments + "}");
    }

    private void completed(DiskProgram program) {
        assertEquals("", program.end("j"), "the job's error");
    }

    private void whenReady(DiskProgram program) throws IOException {
        requests(program);
        Host.await(
                "the job is ready",
                java.time.Duration.ofSeconds(60),
                () -> "ready".equals(program.status("j")));
        requests(program);
        execute(program, "job-complete", "{'id': 'j'}");
        requests(program);
        completed(program);
    }

    /** Layers are no longer part of the chain. */
    private void drop(DiskProgram program, List<Layer> layers) {
        for (Layer layer : List.copyOf(layers).reversed()) {
            execute(program, "blockdev-del", "{'node-name': '" + layer.name + "'}");
        }
        forget(layers);
    }

    private void forget(List<Layer> layers) {
        if (followed != null && layers.contains(followed)) {
            followed = null;
        }
        layers.clear();
    }

    private void stream(DiskProgram program) throws IOException {
        if (chain.size() < 2) {
            return;
        }
        int top = 1 + random.nextInt(chain.size() - 1);
        int base = random.nextInt(top + 1) - 1;
        Layer layer = chain.get(top);
        String to = base < 0 ? "" : ", 'base-node': '" + chain.get(base).name + "'";
        job(program, "block-stream", "'device': '" + layer.name + "'" + to);
        requests(program);
        completed(program);
        layer.snapshots.replaceAll((name, content) -> null);
        drop(program, chain.subList(base + 1, top));
    }

    private void commit(Kind kind, DiskProgram program) throws IOException {
        if (chain.size() < 2) {
            return;
        }
        int top = 1 + random.nextInt(chain.size() - 1);
        int base = random.nextInt(top);
        Layer above = chain.get(top);
        Layer below = chain.get(base);
        if (below.content.length > above.content.length
                || showsStale(kind, below, above.content.length)
                || below.old && !below.snapshots.isEmpty()) {
            return; // what is behind the shorter disk's end would come to light; or it cannot grow
        }
        boolean active = above == top();
        job(
                program,
                "block-commit",
                "'device': '%s', 'top-node': '%s', 'base-node': '%s'"
                        .formatted(top().name, above.name, below.name));
        if (active) {
            whenReady(program);
        } else {
            requests(program);
            completed(program);
        }
        below.content = above.content;
        drop(program, chain.subList(base + 1, top + 1));
    }

    private void mirror(Kind kind, DiskProgram program) throws IOException {
        boolean full = chain.size() == 1 || random.nextBoolean();
        Layer below = full ? null : chain.get(chain.size() - 2);
        Layer copy = create(kind, below, top().content);
        add(program, copy.name, below == null ? "null" : "'" + below.name + "'", false);
        job(
                program,
                "blockdev-mirror",
                "'device': '%s', 'target': '%s', 'sync': '%s', 'copy-mode': '%s'"
                        .formatted(
                                top().name,
                                copy.name,
                                full ? "full" : "top",
                                pick("background", "write-blocking")));
        whenReady(program);
        copy.content = top().content;
        drop(program, chain.subList(full ? 0 : chain.size() - 1, chain.size()));
        chain.add(copy);
    }

    private void backup(Kind kind, DiskProgram program) throws IOException {
        Layer copy = create(kind, null, top().content);
        add(program, copy.name, "null", false);
        job(
                program,
                "blockdev-backup",
                "'device': '%s', 'target': '%s', 'sync': 'full', 'compress': %s"
                        .formatted(top().name, copy.name, random.nextInt(3) == 0));
        requests(program);
        completed(program);
        execute(program, "blockdev-del", "{'node-name': '" + copy.name + "'}");
        assertShows(copy.name, null, copy.content);
    }

    /** A backup of what has changed since the one before, or the first of those. */
    private void increment(Kind kind, DiskProgram program) throws IOException {
        Layer layer = top();
        boolean first = followed != layer;
        if (layer.old || first && followed != null && random.nextBoolean()) {
            return;
        }
        if (first) {
            bitmap = "b" + names++;
            execute(
                    program,
                    "block-dirty-bitmap-add",
                    "{'node': '%s', 'name': '%s', 'persistent': true, 'granularity': %d}"
                            .formatted(layer.name, bitmap, pick(512, 4096, 65536)));
            saved = create(kind, null, layer.content).name;
            followed = layer;
        } else {
            String size = Integer.toString(layer.content.length);
            image(kind, "resize", "-q", path(saved), size);
        }
        add(program, saved, "null", false);
        byte[] now = layer.content.clone();
        job(
                program,
                "blockdev-backup",
                "'device': '%s', 'target': '%s', %s"
                        .formatted(
                                layer.name,
                                saved,
                                first
                                        ? "'sync': 'full'"
                                        : "'sync': 'incremental', 'bitmap': '" + bitmap + "'"));
        if (!first) {
            requests(program);
        }
        completed(program);
        execute(program, "blockdev-del", "{'node-name': '" + saved + "'}");
        assertShows(saved, null, now);
    }

    // The tools' work

    private void work(Kind kind) {
        Layer layer = top();
        String path = path(layer.name);
        switch (random.nextInt(7)) {
            case 0 -> {
                if (layer.sharing && layer.snapshots.size() < 3) {
                    String name = "s" + names++;
                    image(kind, "snapshot", "-c", name, path);
                    layer.snapshots.put(name, layer.content.clone());
                }
            }
            case 1 -> {
                String name =
                        layer.snapshots.isEmpty()
                                ? ""
                                : pick(layer.snapshots.keySet().toArray(String[]::new));
                byte[] content = layer.snapshots.get(name);
                if (content != null
                        && followed != layer
                        && !DiskProgram.image(Kind.QEMU, "info", path).contains("bitmaps:")) {
                    image(kind, "snapshot", "-a", name, path);
                    resized(kind, layer, content.length);
                    layer.content = content.clone();
                }
            }
            case 2 -> {
                for (String name : List.copyOf(layer.snapshots.keySet())) {
                    image(kind, "snapshot", "-d", name, path);
                    layer.snapshots.remove(name);
                }
            }
            case 3 -> {
                if (!layer.old || layer.snapshots.isEmpty()) {
                    int size = SIZE + SECTOR * random.nextInt(2000);
                    if (!showsStale(kind, layer, size)) {
                        image(kind, "resize", "-q", "--shrink", path, Integer.toString(size));
                        resized(kind, layer, size);
                    }
                }
            }
            case 4 -> commit(kind);
            case 5 -> {
                if (chain.size() > 1) {
                    int base = random.nextInt(chain.size() - 1);
                    boolean none = random.nextInt(4) == 0;
                    String below = none ? "" : path(chain.get(base).name);
                    image(kind, "rebase", "-b", below, "-F", "qcow2", path);
                    layer.snapshots.replaceAll((name, content) -> null);
                    forget(chain.subList(none ? 0 : base + 1, chain.size() - 1));
                }
            }
            default -> convert(kind);
        }
    }

    private void commit(Kind kind) {
        int base = chain.size() - 2;
        if (base < 0
                || chain.get(base).content.length > top().content.length
                || showsStale(kind, chain.get(base), top().content.length)
                || chain.get(base).old && !chain.get(base).snapshots.isEmpty()) {
            return;
        }
        image(kind, "commit", "-q", path(top().name));
        chain.get(base).content = top().content.clone();
        top().snapshots.replaceAll((name, content) -> null);
    }

    private void convert(Kind kind) {
        String options = options();
        Layer copy = new Layer("i" + names++, options, top().content);
        List<String> line = new ArrayList<>(List.of("convert", "-O", "qcow2", "-o"));
        line.add(options.substring(0, options.length() - 1));
        line.add(random.nextBoolean() ? "-c" : "-W");
        line.addAll(List.of(path(top().name), path(copy.name)));
        image(kind, line);
        chain.clear();
        chain.add(copy);
        followed = null;
    }

    // What must be

    /** All images are sound, and have in them what they should, by QEMU's word. */
    private void compare() {
        for (Layer layer : chain) {
            String report = DiskProgram.image(Kind.QEMU, "check", path(layer.name));
            assertTrue(
                    report.contains("No errors were found on the image."),
                    () -> layer.name + ": " + report);
            assertShows(layer.name, null, layer.content);
            layer.snapshots.forEach((name, content) -> assertShows(layer.name, name, content));
        }
    }

    private void assertShows(String image, @Nullable String snapshot, byte @Nullable [] content) {
        List<String> line = new ArrayList<>(List.of("convert", "-O", "raw"));
        if (snapshot != null) {
            line.addAll(List.of("-l", "snapshot.name=" + snapshot));
        }
        line.addAll(List.of("-U", path(image), path("raw")));
        if (snapshot != null) {
            line.remove("-U");
        }
        DiskProgram.image(Kind.QEMU, line.toArray(String[]::new));
        if (content != null) {
            try {
                byte[] there = Files.readAllBytes(folder.resolve("raw"));
                if (snapshot == null) {
                    assertEquals(content.length, there.length, image + "'s length");
                }
                int length =
                        Math.min(
                                content.length,
                                there.length); // QEMU shows a snapshot with the disk's length
                assertEquals(
                        -1,
                        Arrays.mismatch(content, 0, length, there, 0, length),
                        image + " " + snapshot + " differs");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
