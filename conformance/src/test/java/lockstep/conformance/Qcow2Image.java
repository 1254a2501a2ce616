package lockstep.conformance;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * The structure of an undamaged qcow2 image: which bytes are metadata, and which field each of them
 * belongs to. Written from the format alone, so that it cannot share a mistake with the driver. It
 * trusts the image, as nothing but {@code qemu-img} has written it yet.
 */
final class Qcow2Image {
    /** What a field or a range of an image belongs to. */
    enum Kind {
        HEADER,
        EXTENSION,
        REFCOUNT_TABLE,
        REFCOUNT,
        L1,
        L2,
        SNAPSHOT,
        INACTIVE_L1,
        INACTIVE_L2,
        BITMAP_DIRECTORY,
        BITMAP_TABLE
    }

    /**
     * A number in the image.
     *
     * @param bytes its size; for a refcount of less than a byte 1
     * @param bit the lowest of its bits, and {@code bits} how many; 0 bits mean whole bytes
     * @param guest the guest's address that it maps, -1 when none
     */
    record Field(Kind kind, String name, int offset, int bytes, int bit, int bits, long guest) {
        @Override
        public String toString() {
            return kind + "/" + name;
        }
    }

    /** A part of the image that holds metadata, in whole clusters. */
    record Range(Kind kind, int start, int end) {}

    static final long COPIED = 1L << 63;
    static final long COMPRESSED = 1L << 62;

    /** Guest data that no table holds by chance. */
    static final byte[] PATTERN = pattern();

    private static final long OFFSET = 0x00fffffffffffe00L;
    private static final long BITMAPS = 0x23852875;

    private final ByteBuffer bytes;
    private final int cluster;
    private final long size;
    private final List<Field> fields = new ArrayList<>();
    private final Set<Range> ranges = new LinkedHashSet<>();
    private final TreeSet<Long> data = new TreeSet<>();

    Qcow2Image(Path path) {
        try {
            bytes = ByteBuffer.wrap(Files.readAllBytes(path));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        cluster = 1 << bytes.getInt(20);
        size = bytes.getLong(24);
        header();
        refcounts();
        mapping(int64(40), bytes.getInt(36), true);
        snapshots();
    }

    private static byte[] pattern() {
        byte[] text = new byte[16];
        for (int i = 0; i < text.length; i++) {
            text[i] = (byte) (0xa1 + i);
        }
        return text;
    }

    private int int64(int at) {
        return Math.toIntExact(bytes.getLong(at));
    }

    private boolean isNew() {
        return bytes.getInt(4) == 3;
    }

    private void field(Kind kind, String name, int offset, int length) {
        fields.add(new Field(kind, name, offset, length, 0, 0, -1));
    }

    private void range(Kind kind, int start, int length) {
        ranges.add(new Range(kind, start, start + length + cluster - 1 & -cluster));
    }

    private void header() {
        range(Kind.HEADER, 0, cluster);
        String[] words = {
            "magic 0 4",
            "version 4 4",
            "backing-offset 8 8",
            "backing-size 16 4",
            "cluster-bits 20 4",
            "size 24 8",
            "crypt 32 4",
            "l1-size 36 4",
            "l1-offset 40 8",
            "refcount-table 48 8",
            "refcount-table-clusters 56 4",
            "snapshots 60 4",
            "snapshots-offset 64 8",
            "incompatible 72 8",
            "compatible 80 8",
            "autoclear 88 8",
            "refcount-order 96 4",
            "header-length 100 4",
            "compression 104 1",
            "padding 105 1"
        };
        for (String word : words) {
            String[] part = word.split(" ");
            int offset = Integer.parseInt(part[1]);
            if (isNew() || offset < 72) {
                field(Kind.HEADER, part[0], offset, Integer.parseInt(part[2]));
            }
        }
        int at = isNew() ? bytes.getInt(100) : 72;
        int end = int64(8) != 0 ? int64(8) : cluster;
        for (int i = 0; at + 8 <= end; i++) {
            int type = bytes.getInt(at);
            field(Kind.EXTENSION, i + "-type", at, 4);
            field(Kind.EXTENSION, i + "-length", at + 4, 4);
            if (type == 0) {
                break;
            }
            if (type == BITMAPS) {
                field(Kind.EXTENSION, "bitmaps", at + 8, 4);
                field(Kind.EXTENSION, "bitmaps-reserved", at + 12, 4);
                field(Kind.EXTENSION, "bitmaps-size", at + 16, 8);
                field(Kind.EXTENSION, "bitmaps-offset", at + 24, 8);
                bitmaps(bytes.getInt(at + 8), int64(at + 16), int64(at + 24));
            }
            at += 8 + (bytes.getInt(at + 4) + 7 & ~7);
        }
    }

    private void bitmaps(int count, int length, int directory) {
        range(Kind.BITMAP_DIRECTORY, directory, length);
        int at = directory;
        for (int i = 0; i < count; i++) {
            field(Kind.BITMAP_DIRECTORY, i + "-table", at, 8);
            field(Kind.BITMAP_DIRECTORY, i + "-table-size", at + 8, 4);
            field(Kind.BITMAP_DIRECTORY, i + "-flags", at + 12, 4);
            field(Kind.BITMAP_DIRECTORY, i + "-type", at + 16, 1);
            field(Kind.BITMAP_DIRECTORY, i + "-granularity", at + 17, 1);
            field(Kind.BITMAP_DIRECTORY, i + "-name-length", at + 18, 2);
            field(Kind.BITMAP_DIRECTORY, i + "-extra-length", at + 20, 4);
            int entries = bytes.getInt(at + 8);
            range(Kind.BITMAP_TABLE, int64(at), entries * 8);
            for (int k = 0; k < entries; k++) {
                field(Kind.BITMAP_TABLE, i + "." + k, int64(at) + 8 * k, 8);
            }
            at = at + 24 + bytes.getInt(at + 20) + bytes.getShort(at + 18) + 7 & ~7;
        }
    }

    private void refcounts() {
        int bits = isNew() ? 1 << bytes.getInt(96) : 16;
        int table = int64(48);
        int entries = bytes.getInt(56) * cluster / 8;
        range(Kind.REFCOUNT_TABLE, table, entries * 8);
        int perBlock = cluster * 8 / bits;
        int last = Math.ceilDiv(bytes.capacity(), cluster) + 3;
        int spare = 0;
        for (int i = 0; i < entries && spare < 2; i++) {
            int block = int64(table + 8 * i);
            spare += block == 0 ? 1 : 0;
            field(Kind.REFCOUNT_TABLE, "" + i, table + 8 * i, 8);
            for (int k = 0; block != 0 && k < perBlock && i * perBlock + k <= last; k++) {
                int at = k * bits;
                fields.add(
                        new Field(
                                Kind.REFCOUNT,
                                "" + (i * perBlock + k),
                                block + at / 8,
                                Math.max(1, bits / 8),
                                at % 8,
                                bits < 8 ? bits : 0,
                                -1));
            }
            if (block != 0) {
                range(Kind.REFCOUNT, block, cluster);
            }
        }
    }

    private void mapping(int table, int entries, boolean active) {
        Kind first = active ? Kind.L1 : Kind.INACTIVE_L1;
        Kind second = active ? Kind.L2 : Kind.INACTIVE_L2;
        range(first, table, entries * 8);
        int spare = 0;
        for (int i = 0; i < entries; i++) {
            int at = table + 8 * i;
            int l2 = (int) (bytes.getLong(at) & OFFSET);
            spare += l2 == 0 ? 1 : 0;
            long guest = i * (cluster / 8L) * cluster;
            if (l2 != 0 || spare < 3) {
                fields.add(new Field(first, "" + i, at, 8, 0, 0, guest));
            }
            if (l2 == 0 || ranges.stream().anyMatch(r -> r.start == l2)) {
                continue;
            }
            range(second, l2, cluster);
            int unused = 0;
            for (int k = 0; k < cluster / 8; k++) {
                boolean mapped = bytes.getLong(l2 + 8 * k) != 0;
                long address = guest + (long) k * cluster;
                unused += mapped ? 0 : 1;
                if (mapped && active) {
                    data.add(address);
                }
                if (mapped || unused < 3) {
                    fields.add(new Field(second, i + "." + k, l2 + 8 * k, 8, 0, 0, address));
                }
            }
        }
    }

    private void snapshots() {
        int table = int64(64);
        int at = table;
        for (int i = 0; i < bytes.getInt(60); i++) {
            field(Kind.SNAPSHOT, i + "-l1-offset", at, 8);
            field(Kind.SNAPSHOT, i + "-l1-size", at + 8, 4);
            field(Kind.SNAPSHOT, i + "-id-length", at + 12, 2);
            field(Kind.SNAPSHOT, i + "-name-length", at + 14, 2);
            field(Kind.SNAPSHOT, i + "-vm-state", at + 32, 4);
            field(Kind.SNAPSHOT, i + "-extra-length", at + 36, 4);
            field(Kind.SNAPSHOT, i + "-disk-size", at + 48, 8);
            mapping(int64(at), bytes.getInt(at + 8), false);
            int names = bytes.getShort(at + 12) + bytes.getShort(at + 14);
            at = at + 40 + bytes.getInt(at + 36) + names + 7 & ~7;
        }
        if (at != table) {
            range(Kind.SNAPSHOT, table, at - table);
        }
    }

    /** Bytes of a cluster. */
    int cluster() {
        return cluster;
    }

    /** The size of the guest's disk in bytes. */
    long size() {
        return size;
    }

    /** The guest's addresses whose clusters hold something. */
    TreeSet<Long> data() {
        return data;
    }

    List<Field> fields() {
        return fields;
    }

    Field field(String name) {
        return fields.stream().filter(f -> f.toString().equals(name)).findFirst().orElseThrow();
    }

    /** The first range of that kind. */
    Range range(Kind kind) {
        return ranges.stream().filter(r -> r.kind == kind).findFirst().orElseThrow();
    }

    long value(Field field) {
        return read(bytes, field);
    }

    private static long read(ByteBuffer from, Field field) {
        int at = field.offset;
        return switch (field.bytes) {
            case 1 -> {
                int whole = Byte.toUnsignedInt(from.get(at));
                yield field.bits == 0 ? whole : whole >> field.bit & (1 << field.bits) - 1;
            }
            case 2 -> Short.toUnsignedInt(from.getShort(at));
            case 4 -> Integer.toUnsignedLong(from.getInt(at));
            default -> from.getLong(at);
        };
    }

    /** The image with another value in one of its fields. */
    byte[] damaged(Field field, long value) {
        ByteBuffer copy = ByteBuffer.wrap(bytes.array().clone());
        int at = field.offset;
        switch (field.bytes) {
            case 1 -> {
                int mask = (field.bits == 0 ? 0xff : (1 << field.bits) - 1) << field.bit;
                copy.put(at, (byte) (copy.get(at) & ~mask | value << field.bit & mask));
            }
            case 2 -> copy.putShort(at, (short) value);
            case 4 -> copy.putInt(at, (int) value);
            default -> copy.putLong(at, value);
        }
        return copy.array();
    }

    /** The values that could do harm in a field, without the one that it has. */
    List<Long> values(Field field) {
        int width = field.bits != 0 ? field.bits : field.bytes * 8;
        long mask = -1L >>> 64 - width;
        long v = value(field);
        TreeSet<Long> all = new TreeSet<>(List.of(0L, 1L, 2L, v + 1, v - 1, mask, mask >>> 1));
        all.add((mask >>> 1) + 1);
        if (field.kind != Kind.REFCOUNT) {
            all.addAll(List.of(v ^ 1, v + 8, v << 1, v ^ 0x80, v ^ 0x100));
        }
        if (field.bytes == 4) {
            all.addAll(List.of(7L, 8L, 9L, 16L, 21L, 22L, 104L, 112L, 120L, 1023L, 1024L));
            all.addAll(List.of(0x10000L, 0x10001L, 1L << 20, 1L << 22, 1L << 29, mask >>> 2));
        }
        if (field.bytes == 8 && field.kind != Kind.REFCOUNT) {
            all.addAll(offsets(field, v));
        }
        List<Long> values = new ArrayList<>();
        for (long value : all) {
            if ((value & mask) != v && !values.contains(value & mask)) {
                values.add(value & mask);
            }
        }
        return values;
    }

    private Set<Long> offsets(Field field, long v) {
        long end = bytes.capacity() + cluster - 1L & -cluster;
        Set<Long> all = new TreeSet<>(List.of(v + cluster, v - cluster, v + 512, v + 9));
        all.addAll(List.of(v ^ COPIED, v ^ COMPRESSED, v ^ COPIED ^ COMPRESSED));
        all.addAll(List.of(v | 1L << 57, v | 1L << 3, v ^ 1 | COPIED));
        if (field.offset + 16 <= bytes.capacity()) {
            all.add(bytes.getLong(field.offset + 8));
        }
        List<Long> targets = new ArrayList<>(List.of(end, end + cluster, end - cluster));
        targets.addAll(List.of(end + 1000L * cluster, 1L << 40, 1L << 48, 1L << 55));
        targets.addAll(List.of((1L << 56) - 512, (1L << 56) - cluster));
        targets.add((long) field.offset & -cluster);
        for (Range range : ranges) {
            targets.addAll(List.of((long) range.start, range.end - (long) cluster));
            all.addAll(List.of(range.start + 512 | COPIED, range.start + 8L));
            all.addAll(List.of(range.start | COMPRESSED, range.start | COMPRESSED | 3L << 54));
            all.add(range.start | 1 | COPIED);
        }
        for (long target : targets) {
            all.addAll(List.of(target, target | COPIED));
        }
        return all;
    }

    /** Whether a first-level table still names this second-level table; one that was copied is free for data. */
    private boolean isNamed(Range table, byte[] after) {
        ByteBuffer image = ByteBuffer.wrap(after);
        int active = (int) image.getLong(40);
        List<Range> firsts = new ArrayList<>(ranges);
        firsts.add(new Range(Kind.L1, active, active + 8 * image.getInt(36)));
        return firsts.stream()
                .filter(r -> r.kind == Kind.L1 || r.kind == Kind.INACTIVE_L1)
                .flatMapToInt(r -> IntStream.iterate(r.start, at -> at < r.end, at -> at + 8))
                .anyMatch(at -> (image.getLong(at) & OFFSET) == table.start);
    }

    /**
     * What was written onto metadata that no writer of guest data may have changed, one line for each
     * range; empty when all is whole. Tables whose entries change in normal work may not hold guest
     * data, nor lose an entry; feature bits may change. QEMU's default set of checks does not watch
     * over inactive L2 tables and bitmap tables, so neither does this.
     */
    List<String> harm(byte[] before, byte[] after) {
        List<String> found = new ArrayList<>();
        for (Range range : ranges) {
            byte[] was = Arrays.copyOfRange(before, range.start, range.end);
            byte[] is = Arrays.copyOfRange(after, range.start, range.end);
            if (range.kind == Kind.HEADER && isNew()) {
                Arrays.fill(was, 72, 96, (byte) 0);
                Arrays.fill(is, 72, 96, (byte) 0);
            }
            boolean whole =
                    switch (range.kind) {
                        case REFCOUNT -> holdsNoData(was, is);
                        case L2 -> holdsNoData(was, is) || !isNamed(range, after);
                        case REFCOUNT_TABLE, L1 -> holdsNoData(was, is) && keepsEntries(was, is);
                        case INACTIVE_L2, BITMAP_TABLE -> true;
                        default -> Arrays.equals(was, is);
                    };
            if (!whole) {
                found.add(range.kind + " at " + range.start + " was written onto");
            }
        }
        return found;
    }

    private static boolean holdsNoData(byte[] was, byte[] is) {
        long data = ByteBuffer.wrap(PATTERN).getLong();
        for (int i = 0; i + 8 <= is.length; i += 8) {
            if (ByteBuffer.wrap(is).getLong(i) == data && ByteBuffer.wrap(was).getLong(i) != data) {
                return false;
            }
        }
        return true;
    }

    private static boolean keepsEntries(byte[] was, byte[] is) {
        for (int i = 0; i + 8 <= is.length; i += 8) {
            if (ByteBuffer.wrap(is).getLong(i) == 0 && ByteBuffer.wrap(was).getLong(i) != 0) {
                return false;
            }
        }
        return true;
    }
}
