package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.BlockImageCorruptedEvent;
import lockstep.conformance.ImageServer.Outcome;
import lockstep.conformance.ImageServer.Request;
import lockstep.conformance.NbdClient.Command;
import lockstep.conformance.Qcow2Image.Field;
import lockstep.conformance.Qcow2Image.Kind;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Images with one wrong number in them, used by a client that reads, writes, discards, writes zeroes
 * and flushes, beside QEMU. Every request is answered, no metadata is written onto, {@code qemu-img
 * check} finds no more than before (or than after QEMU, where nobody could notice), and whoever
 * watches the monitor is told what QEMU tells. {@code -Ddamages=20000} tries more of them, {@code
 * -Ddamage.seed=7} others.
 */
@Tag("qemu")
class DamagedImageTest {
    private static final String QEMU = Host.qemu();
    private static final int DAMAGES = Integer.getInteger("damages", 80);
    private static final long SEED = Long.getLong("damage.seed", 1);

    private static final Pattern CORRUPTIONS = Pattern.compile("\"corruptions\": ([0-9]+)");

    /**
     * An image and how {@code qemu-img} makes it: its size and options, then what is done to it, where
     * IMAGE stands for its path.
     */
    private static final Map<String, List<String>> IMAGES =
            images(
                    "plain 64M -",
                    "io write_0_64k",
                    "small 8M cluster_size=4k",
                    "io write_0_20k|write_3M_4k|write_-z_40k_8k",
                    "tiny 1M cluster_size=512",
                    "io write_0_4k|write_100k_1k|write_600k_512",
                    "narrow 8M cluster_size=4k,refcount_bits=1",
                    "io write_0_8k",
                    "wide 4M cluster_size=1k,refcount_bits=64",
                    "io write_0_8k|write_3M_4k",
                    "old 16M cluster_size=4k,compat=0.10",
                    "io write_0_8k",
                    "backed 16M cluster_size=4k,backing_file=base,backing_fmt=raw",
                    "io write_0_8k|write_2M_4k",
                    "snapshots 8M cluster_size=4k",
                    "io write_0_16k|write_4M_4k",
                    "img snapshot_-c_one_IMAGE",
                    "io write_0_4k",
                    "img snapshot_-c_two_IMAGE",
                    "io write_8k_4k",
                    "bitmaps 8M cluster_size=4k",
                    "img bitmap_--add_-g_4k_IMAGE_first",
                    "io write_0_16k",
                    "img bitmap_--add_IMAGE_second",
                    "lazy 8M cluster_size=4k,lazy_refcounts=on",
                    "io write_0_16k",
                    "compressed 8M cluster_size=4k",
                    "io write_-c_0_4k|write_-c_4k_4k|write_8k_4k|write_-c_12k_4k",
                    "mapped 2M cluster_size=4k,preallocation=metadata",
                    "io write_0_16k");

    private static final int CORRUPT_BYTE = 79;
    private static final int CORRUPT_BIT = 2;

    private record Damage(String image, Field field, long value) {
        @Override
        public String toString() {
            return image + " " + field + "=0x" + Long.toHexString(value);
        }
    }

    @TempDir Path directory;
    private final Map<String, Qcow2Image> images = new LinkedHashMap<>();
    private final ExecutorService workers = Executors.newVirtualThreadPerTaskExecutor();
    private ImageServer ours;
    private ImageServer qemus;

    private static Map<String, List<String>> images(String... lines) {
        Map<String, List<String>> all = new LinkedHashMap<>();
        List<String> last = new ArrayList<>();
        for (String line : lines) {
            if (!line.startsWith("io ") && !line.startsWith("img ")) {
                last = new ArrayList<>();
                all.put(line.substring(0, line.indexOf(' ')), last);
            }
            last.add(line);
        }
        return all;
    }

    @BeforeEach
    void start() throws IOException {
        Host.assumeProgram(QEMU);
        Host.assumeProgram("qemu-img");
        Files.write(directory.resolve("base"), new byte[1 << 20]);
        IMAGES.forEach((name, steps) -> images.put(name, make(name, steps)));
        ours = new ImageServer(Host.binary().toString(), directory);
        qemus = new ImageServer(QEMU, directory);
    }

    private Qcow2Image make(String name, List<String> steps) {
        String path = directory.resolve(name).toString();
        String[] made = steps.get(0).split(" ");
        List<String> create = new ArrayList<>(List.of("qemu-img", "create", "-q", "-f", "qcow2"));
        if (!made[2].equals("-")) {
            create.addAll(List.of("-o", made[2]));
        }
        create.addAll(List.of(path, made[1]));
        Host.run(create);
        for (String step : steps.subList(1, steps.size())) {
            String[] words = step.split(" ");
            List<String> command = new ArrayList<>();
            if (words[0].equals("io")) {
                command.addAll(List.of("qemu-io", "-f", "qcow2"));
                for (String part : words[1].split("\\|")) {
                    command.addAll(List.of("-c", part.replace('_', ' ')));
                }
                command.add(path);
            } else {
                command.add("qemu-img");
                command.addAll(List.of(words[1].replace("IMAGE", path).split("_")));
            }
            Host.run(command);
        }
        return new Qcow2Image(Path.of(path));
    }

    @AfterEach
    void stop() {
        workers.shutdown();
        if (ours != null) {
            ours.close();
            qemus.close();
        }
    }

    private Damage damage(String image, String field, long value) {
        return new Damage(image, images.get(image).field(field), value);
    }

    private long at(String image, Kind kind) {
        return images.get(image).range(kind).start();
    }

    @Test
    void anyFieldOfAnyTable() throws Exception {
        Random random = new Random(SEED);
        List<String> names = new ArrayList<>(images.keySet());
        List<Damage> damages = new ArrayList<>();
        while (damages.size() < DAMAGES) {
            String name = names.get(random.nextInt(names.size()));
            Qcow2Image image = images.get(name);
            Kind kind = Kind.values()[random.nextInt(Kind.values().length)];
            List<Field> fields =
                    image.fields().stream().filter(field -> field.kind() == kind).toList();
            if (!fields.isEmpty()) {
                Field field = fields.get(random.nextInt(fields.size()));
                List<Long> values = image.values(field);
                damages.add(new Damage(name, field, values.get(random.nextInt(values.size()))));
            }
        }
        tryAll(damages, random);
    }

    /** Each pointer of each kind once to each part of the metadata, and what was met in the wild. */
    @Test
    void pointersToMetadata() throws Exception {
        List<Damage> damages = new ArrayList<>();
        damages.add(damage("plain", "REFCOUNT_TABLE/0", 0));
        damages.add(damage("plain", "REFCOUNT_TABLE/0", 1));
        damages.add(damage("plain", "REFCOUNT_TABLE/0", 512));
        List<Kind> parts = List.of(Kind.HEADER, Kind.REFCOUNT_TABLE, Kind.REFCOUNT, Kind.L1);
        for (Kind part : parts) {
            long copied = at("plain", part) | Qcow2Image.COPIED;
            damages.add(damage("plain", "L1/0", copied));
            damages.add(damage("plain", "L2/0.0", copied));
            damages.add(damage("plain", "L2/0.1", copied));
            damages.add(damage("plain", "L1/0", copied + 512));
            damages.add(damage("plain", "L2/0.0", copied + 512));
            damages.add(damage("plain", "REFCOUNT_TABLE/0", at("plain", part) + 512));
            damages.add(damage("plain", "L2/0.0", at("plain", part) | Qcow2Image.COMPRESSED));
        }
        for (int cluster = 0; cluster < 5; cluster++) {
            damages.add(damage("plain", "REFCOUNT/" + cluster, 0));
        }
        long list = at("snapshots", Kind.SNAPSHOT) | Qcow2Image.COPIED;
        damages.add(damage("snapshots", "L2/0.2", list));
        damages.add(damage("snapshots", "L2/0.2", at("snapshots", Kind.INACTIVE_L1)));
        damages.add(
                damage(
                        "bitmaps",
                        "L2/0.0",
                        at("bitmaps", Kind.BITMAP_DIRECTORY) | Qcow2Image.COPIED));
        tryAll(damages, new Random(SEED));
    }

    /** Headers that lie about sizes: refused at once, in QEMU's words. */
    @Test
    void impossibleHeaders() throws Exception {
        List<Damage> damages = new ArrayList<>();
        String[] lies = {
            "plain HEADER/l1-size ffffffff",
            "plain HEADER/l1-size 7fffffff",
            "plain HEADER/l1-size 0",
            "plain HEADER/l1-offset fffffffffffffe00",
            "plain HEADER/l1-offset 30001",
            "plain HEADER/refcount-table-clusters ffffffff",
            "plain HEADER/refcount-table-clusters 81",
            "plain HEADER/refcount-table-clusters 0",
            "plain HEADER/refcount-table 10200",
            "plain HEADER/refcount-table 8000000000000000",
            "plain HEADER/size 7fffffffffffffff",
            "plain HEADER/size 80000000000",
            "plain HEADER/snapshots ffffffff",
            "plain HEADER/snapshots 10001",
            "plain HEADER/header-length 0",
            "plain HEADER/header-length 67",
            "plain HEADER/header-length 10001",
            "plain HEADER/header-length ffffffff",
            "plain HEADER/cluster-bits 8",
            "plain HEADER/cluster-bits 16",
            "plain HEADER/cluster-bits ffffffff",
            "plain HEADER/refcount-order 7",
            "plain HEADER/refcount-order ffffffff",
            "plain HEADER/version 1",
            "plain HEADER/version 4",
            "plain HEADER/compression 1",
            "plain HEADER/incompatible 2",
            "plain HEADER/incompatible 8",
            "plain HEADER/incompatible 8000000000000000",
            "plain EXTENSION/0-length ffffffff",
            "plain EXTENSION/0-length 10000",
            "plain HEADER/crypt 3",
            "plain HEADER/compression 2",
            "plain HEADER/snapshots-offset 1",
            "snapshots SNAPSHOT/0-extra-length 401",
            "snapshots SNAPSHOT/0-extra-length ffffffff",
            "bitmaps EXTENSION/bitmaps 0",
            "bitmaps EXTENSION/bitmaps ffffffff",
            "bitmaps EXTENSION/bitmaps-reserved 1",
            "bitmaps EXTENSION/bitmaps-size ffffffffffffffff",
            "bitmaps EXTENSION/bitmaps-offset 1",
            "bitmaps EXTENSION/bitmaps 1",
            "bitmaps EXTENSION/bitmaps 3",
            "bitmaps EXTENSION/bitmaps-offset 0",
            "bitmaps EXTENSION/bitmaps-size 0",
            "bitmaps EXTENSION/bitmaps-size 30",
            "bitmaps BITMAP_DIRECTORY/0-table 1",
            "bitmaps BITMAP_DIRECTORY/0-table-size 0",
            "bitmaps BITMAP_DIRECTORY/0-table-size ffffffff",
            "bitmaps BITMAP_DIRECTORY/1-table-size 2",
            "bitmaps BITMAP_DIRECTORY/0-flags 4",
            "bitmaps BITMAP_DIRECTORY/1-type 2",
            "bitmaps BITMAP_DIRECTORY/0-granularity 8",
            "bitmaps BITMAP_DIRECTORY/0-granularity 20",
            "bitmaps BITMAP_DIRECTORY/0-name-length 0",
            "bitmaps BITMAP_DIRECTORY/1-name-length ffff",
            "bitmaps BITMAP_DIRECTORY/1-extra-length 8",
            "bitmaps BITMAP_DIRECTORY/1-extra-length ffffffff",
            "bitmaps BITMAP_TABLE/0.0 200",
            "bitmaps BITMAP_TABLE/0.0 1001",
            "bitmaps BITMAP_TABLE/1.0 8000000000000000",
            "backed HEADER/backing-offset 1001",
            "backed HEADER/backing-offset 8000000000000000",
            "backed HEADER/backing-size 400",
            "backed HEADER/backing-size ffffffff"
        };
        for (String lie : lies) {
            String[] words = lie.split(" ");
            damages.add(damage(words[0], words[1], Long.parseUnsignedLong(words[2], 16)));
        }
        List<String> wrong = new ArrayList<>();
        for (Damage damage : damages) {
            byte[] image = images.get(damage.image).damaged(damage.field, damage.value);
            Outcome we = use(ours, Files.write(directory.resolve("ours"), image), List.of());
            Outcome qemu = use(qemus, Files.write(directory.resolve("qemus"), image), List.of());
            if (we.refusal() == null || !we.refusal().equals(qemu.refusal())) {
                wrong.add("\n" + damage + ": " + we.refusal() + "; QEMU: " + qemu.refusal());
            }
        }
        assertTrue(ours.quit(), "quit ends the process");
        assertEquals("", String.join("", wrong));
    }

    /** What is protected can be chosen, and chosen again, as a mode and part by part. */
    @Test
    void protectionIsChosen() throws Exception {
        long table = images.get("snapshots").range(Kind.INACTIVE_L2).start();
        long list = at("snapshots", Kind.INACTIVE_L1);
        List<String> wrong = new ArrayList<>();
        int told = 0;
        String[] choices = {
            "all -",
            "{'template':'none','inactive-l2':true} -",
            "none all",
            "cached {'inactive-l2':true,'inactive-l1':true}",
            "{'template':'all','inactive-l1':false} cached",
            "constant all"
        };
        for (String choice : choices) {
            for (long target : List.of(table, list)) {
                Damage damage = damage("snapshots", "L2/0.2", target | Qcow2Image.COPIED);
                long place = damage.field.guest();
                List<Request> requests =
                        List.of(
                                new Request(Command.WRITE, place + 512, 16),
                                new Request(Command.FLUSH, 0, 0));
                Outcome we = useChosen(ours, damage, "ours", choice, requests);
                Outcome qemu = useChosen(qemus, damage, "qemus", choice, requests);
                told += qemu.events().size();
                boolean same =
                        qemu.events().isEmpty()
                                ? we.events().stream().noneMatch(event -> event.fatal())
                                : we.events().equals(qemu.events());
                if (we.trouble() != null || we.refusal() != null || !same) {
                    wrong.add(choice + " 0x" + Long.toHexString(target) + ": " + we);
                    wrong.add("  QEMU: " + qemu);
                }
            }
        }
        assertTrue(ours.quit(), "quit ends the process");
        assertEquals("", String.join("\n", wrong));
        assertTrue(told > choices.length, "QEMU told of " + told);
    }

    private Outcome useChosen(
            ImageServer server, Damage damage, String name, String choice, List<Request> requests)
            throws IOException {
        byte[] image = images.get(damage.image).damaged(damage.field, damage.value);
        Path path = Files.write(directory.resolve(name), image);
        String[] words = choice.split(" ");
        String added = node(path, words[0]);
        String again = node(path, words[1]).replaceFirst("'file': .*?}", "'file': 'f'");
        return server.use(added, words[1].equals("-") ? null : again, requests);
    }

    private static String node(Path image, String checks) {
        String option = checks.startsWith("{") ? checks : "'" + checks + "'";
        return "{'driver': 'qcow2', 'node-name': 'n', 'overlap-check': "
                + option
                + ", 'file': {'driver': 'file', 'node-name': 'f', 'filename': '"
                + image
                + "'}}";
    }

    private void tryAll(List<Damage> damages, Random random) throws Exception {
        List<String> failures = new ArrayList<>();
        for (Damage damage : damages) {
            failures.addAll(tryOut(damage, requests(damage, random)));
        }
        assertTrue(ours.quit(), "quit ends the process");
        qemus.quit();
        assertEquals("", String.join("\n", failures), failures.size() + " of " + damages.size());
    }

    /** Requests to a mapped and an unmapped cluster, the disk's end, and what the field maps. */
    private List<Request> requests(Damage damage, Random random) {
        Qcow2Image image = images.get(damage.image);
        int cluster = image.cluster();
        long free = Math.min(1 << 20, image.size() / 2);
        while (image.data().contains(free)) {
            free += cluster;
        }
        Set<Long> places = new LinkedHashSet<>();
        long guest = damage.field.guest();
        if (guest >= 0) {
            places.add(guest);
            places.add(guest + 3L * cluster);
        }
        places.addAll(List.of(image.data().first(), free, image.size() - cluster));
        List<Request> first = new ArrayList<>();
        List<Request> later = new ArrayList<>();
        for (long place : places) {
            first.add(new Request(Command.READ, place, cluster));
            later.add(new Request(Command.WRITE, place, cluster));
            later.add(new Request(Command.WRITE, place + cluster / 2, 16));
            later.add(new Request(Command.WRITE_ZEROES, place, cluster));
            later.add(new Request(Command.TRIM, place, cluster));
        }
        later.add(new Request(Command.WRITE, free + 5L * cluster, 2 * cluster));
        later.add(new Request(Command.FLUSH, 0, 0));
        Collections.shuffle(later, random);
        first.addAll(later);
        first.add(new Request(Command.FLUSH, 0, 0));
        places.forEach(place -> first.add(new Request(Command.READ, place, cluster)));
        return first;
    }

    private List<String> tryOut(Damage damage, List<Request> requests) throws Exception {
        Qcow2Image image = images.get(damage.image);
        byte[] before = image.damaged(damage.field, damage.value);
        Path damaged = Files.write(directory.resolve("damaged"), before);
        Path our = Files.write(directory.resolve("ours"), before);
        Path qemu = Files.write(directory.resolve("qemus"), before);
        CompletableFuture<Integer> found =
                CompletableFuture.supplyAsync(() -> corruptions(damaged), workers);
        CompletableFuture<Outcome> its =
                CompletableFuture.supplyAsync(() -> use(qemus, qemu, requests), workers);
        Outcome we = use(ours, our, requests);
        CompletableFuture<Integer> left =
                CompletableFuture.supplyAsync(() -> corruptions(our), workers);
        List<String> wrong = compare(we, its.get());
        byte[] after = start(our);
        List<String> harm = image.harm(before, after);
        harm.removeAll(image.harm(before, start(qemu)));
        wrong.addAll(harm);
        boolean fatal = we.events().stream().anyMatch(event -> event.fatal());
        if (fatal && !damage.image.equals("old") && (after[CORRUPT_BYTE] & CORRUPT_BIT) == 0) {
            wrong.add("not marked as corrupt");
        }
        // Where QEMU noticed and we did not, there must be nothing to notice.
        boolean excused = its.get().events().isEmpty() || !we.events().isEmpty();
        if (left.get() > found.get() && (!excused || left.get() > corruptions(qemu))) {
            wrong.add("corruptions: " + found.get() + " before, " + left.get() + " after");
        }
        String what = "\n%s, was 0x%x, %s".formatted(damage, image.value(damage.field), requests);
        return wrong.isEmpty() ? List.of() : List.of(what + "\n  " + String.join("\n  ", wrong));
    }

    private static Outcome use(ImageServer server, Path image, List<Request> requests) {
        String file = "'file': {'driver': 'file', 'filename': '" + image + "'}";
        return server.use("{'driver': 'qcow2', 'node-name': 'n', " + file + "}", requests);
    }

    /** What {@code qemu-img check} counts; none where it cannot even begin. */
    private static int corruptions(Path image) {
        try {
            Process check =
                    new ProcessBuilder("qemu-img", "check", "--output=json", image.toString())
                            .redirectError(ProcessBuilder.Redirect.DISCARD)
                            .start();
            byte[] report = check.getInputStream().readAllBytes();
            Matcher m = CORRUPTIONS.matcher(new String(report, StandardCharsets.UTF_8));
            return m.find() ? Integer.parseInt(m.group(1)) : 0;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static List<String> compare(Outcome we, Outcome qemu) {
        List<String> wrong = new ArrayList<>();
        if (we.trouble() != null) {
            wrong.add("trouble: " + we.trouble());
        } else if (qemu.trouble() == null) {
            if (we.refusal() == null && !told(we.events(), qemu.events())) {
                wrong.add("told: " + we.events() + "; QEMU: " + qemu.events());
            }
            if (we.events().isEmpty() && qemu.events().isEmpty()) {
                int i = unlike(we.answers(), qemu.answers());
                if (i >= 0) {
                    wrong.add("request " + i + " read other data than QEMU");
                }
            }
        }
        return wrong;
    }

    /**
     * Whether we told what QEMU told. What is wrong with an entry is told in the same words; of the
     * writes that QEMU prevented, a driver that is more careful with entries may have made none.
     */
    private static boolean told(
            List<BlockImageCorruptedEvent> we, List<BlockImageCorruptedEvent> qemu) {
        return qemu.stream()
                .allMatch(event -> event.msg().startsWith("Preventing") || we.contains(event));
    }

    /** The first request that read other data, as long as both did the same until then, or -1. */
    private static int unlike(List<NbdClient.Answer> we, List<NbdClient.Answer> qemu) {
        for (int i = 0; i < Math.min(we.size(), qemu.size()); i++) {
            if ((we.get(i).error() == 0) != (qemu.get(i).error() == 0)) {
                return -1;
            }
            if (!Arrays.equals(we.get(i).data(), qemu.get(i).data())) {
                return i;
            }
        }
        return -1;
    }

    /** The part of an image where its metadata was; what lies behind it may be terabytes of holes. */
    private static byte[] start(Path image) throws IOException {
        try (InputStream in = Files.newInputStream(image)) {
            return in.readNBytes(4 << 20);
        }
    }
}
