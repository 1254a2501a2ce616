package lockstep.block.qcow2;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.BitSet;

/**
 * How many references to each cluster an image's tables really hold. Refcounts that are lower than
 * that would make two things share a cluster; so what is referred to is neither allocated nor
 * freed, whatever its refcount says, and what is referred to twice is copied before it is changed,
 * whatever its entry says.
 *
 * <p>The tables of a large image are many, and no write shall wait until all were read: each step
 * reads some. Until the last one was, new clusters come from behind the end of the file, where
 * nothing can be; after that, holes are used. A table of the active disk is counted before it is
 * changed for the first time, and every change is counted too.
 *
 * <p>Memory is bounded as well: what lies behind the first few terabytes of a file is guarded
 * against writes onto metadata alone. Asked with the image's lock held, changed with it held
 * exclusively.
 */
final class Census {
    private static final int PAGE_BITS = 16;
    private static final int PAGES_MAX = 1024;
    static final int TOO_MANY = 255;
    private static final int PIECE = 4096;

    /** A table outside the active disk, whose entries are counted a piece at a time. */
    private static final class Source {
        final long offset;
        final int entries;
        final boolean pointsToTables;
        final MemorySegment piece = Arena.ofAuto().allocate(PIECE * 8L);
        int at;

        Source(long offset, int entries, boolean pointsToTables) {
            this.offset = offset;
            this.entries = entries;
            this.pointsToTables = pointsToTables;
        }
    }

    private final Guard file;
    private final Mapping map;
    private final TableCache tables;
    private final int clusterBits;
    private final long fileEnd;
    private final MemorySegment scratch;
    private final long[] numbers = new long[PAGES_MAX];
    private final MemorySegment[] pages = new MemorySegment[PAGES_MAX];
    private int pageCount;
    private final BitSet counted = new BitSet();
    private final ArrayDeque<Source> sources = new ArrayDeque<>();
    private int next;

    /** A census that knows what lies at the places that the header names, and no table yet. */
    Census(Guard file, Qcow2Header header, Mapping map, TableCache tables) throws BlockException {
        this.file = file;
        this.map = map;
        this.tables = tables;
        this.clusterBits = header.clusterBits();
        this.fileEnd = (file.length() - 1 >>> clusterBits) + 1;
        this.scratch = Arena.ofAuto().allocate(header.clusterSize());
        add(0, 1);
        add(map.l1Offset(), map.l1().length * 8L);
        add(map.refcounts().tableOffset(), map.refcounts().blocks().length * 8L);
        for (long block : map.refcounts().blocks()) {
            if (block != 0) {
                add(block, 1);
            }
        }
        add(header.snapshotsOffset(), map.snapshots().length());
        for (SnapshotTable.L1 l1 : map.snapshots().tables()) {
            if (l1.offset() > 0) {
                add(l1.offset(), l1.bytes());
                sources.add(new Source(l1.offset(), l1.entries(), true));
            }
        }
        add(header.luksOffset(), header.luksBytes());
        add(header.bitmapDirectoryOffset(), header.bitmapDirectoryBytes());
        for (BitmapDirectory.Entry bitmap : map.bitmaps().entries()) {
            BitmapDirectory.Table table = bitmap.table();
            add(table.offset(), table.bytes());
            sources.add(new Source(table.offset(), table.entries(), false));
        }
    }

    /** The first cluster behind the end that the file had. */
    long fileEnd() {
        return fileEnd;
    }

    /** Whether every table was counted. */
    boolean complete() {
        return next >= map.l1().length && sources.isEmpty();
    }

    /** Counts until about that many bytes were read, or all. */
    void proceed(long bytes) {
        long left = bytes;
        while (left > 0 && next < map.l1().length) {
            left -= count(next++);
        }
        while (left > 0 && !sources.isEmpty()) {
            left -= count(sources.getFirst());
        }
    }

    /** Counts what an active table points to, once; returns about how many bytes were read. */
    long count(int index) {
        if (counted.get(index)) {
            return 8;
        }
        counted.set(index);
        return 8 + countTable(map.l1()[index]);
    }

    private long count(Source source) {
        if (source.at == source.entries) {
            sources.removeFirst();
            return 8;
        }
        int at = source.at++;
        if (at % PIECE == 0) {
            source.piece.fill((byte) 0);
            readUpTo(source.offset + at * 8L, source.piece);
        }
        long entry = source.piece.get(Qcow2Header.BE64, at % PIECE * 8L);
        if (source.pointsToTables) {
            return 8 + countTable(entry);
        }
        addCluster(entry);
        return 8;
    }

    /** What cannot be read refers to nothing: there it is not written to either. */
    private void readUpTo(long offset, MemorySegment target) {
        try {
            file.readUpTo(offset, target);
        } catch (BlockException e) {
            unreadable(e);
        }
    }

    private static void unreadable(BlockException e) {
        System.getLogger("lockstep.block")
                .log(System.Logger.Level.DEBUG, "a table cannot be counted", e);
    }

    private long countTable(long l1Entry) {
        long offset = l1Entry & Mapping.OFFSET_MASK;
        if (offset == 0 || (offset & scratch.byteSize() - 1) != 0) {
            return 0;
        }
        add(offset, 1);
        MemorySegment table;
        try {
            table = tables.peek(offset, scratch);
        } catch (BlockException e) {
            unreadable(e);
            return scratch.byteSize();
        }
        for (long at = 0; at < table.byteSize(); at += 8) {
            long entry = table.get(Qcow2Header.BE64, at);
            if (Mapping.isCompressed(entry)) {
                add(
                        Decompressor.start(entry, clusterBits),
                        Decompressor.length(entry, clusterBits));
            } else {
                addCluster(entry);
            }
        }
        return table.byteSize();
    }

    /** An entry that is no cluster's is never followed. */
    private void addCluster(long entry) {
        long offset = entry & Mapping.OFFSET_MASK;
        if (offset != 0 && (offset & scratch.byteSize() - 1) == 0) {
            add(offset, 1);
        }
    }

    private void add(long offset, long length) {
        if (length <= 0) {
            return;
        }
        long end = offset + length - 1 >>> clusterBits;
        for (long cluster = offset >>> clusterBits; cluster <= end; cluster++) {
            put(cluster, Math.min(TOO_MANY, at(cluster) + 1));
        }
    }

    private @Nullable MemorySegment page(long cluster, boolean make) {
        long number = cluster >>> PAGE_BITS;
        int at = Arrays.binarySearch(numbers, 0, pageCount, number);
        if (at >= 0) {
            return pages[at];
        }
        if (!make || pageCount == PAGES_MAX) {
            return null;
        }
        int to = -at - 1;
        System.arraycopy(numbers, to, numbers, to + 1, pageCount - to);
        System.arraycopy(pages, to, pages, to + 1, pageCount - to);
        numbers[to] = number;
        pages[to] = Arena.ofAuto().allocate(1 << PAGE_BITS);
        pageCount++;
        return pages[to];
    }

    private int at(long cluster) {
        MemorySegment page = page(cluster, false);
        return page == null
                ? 0
                : page.get(ValueLayout.JAVA_BYTE, cluster & (1 << PAGE_BITS) - 1) & 0xff;
    }

    private void put(long cluster, int count) {
        MemorySegment page = page(cluster, count != 0);
        if (page != null) {
            page.set(ValueLayout.JAVA_BYTE, cluster & (1 << PAGE_BITS) - 1, (byte) count);
        }
    }

    /** How many references there are at least. */
    int references(long cluster) {
        int count = at(cluster);
        return count == TOO_MANY ? 0 : count;
    }

    /** A cluster was taken, or taken back. */
    void set(long cluster, int references) {
        put(cluster, references);
    }

    /** A reference went away. */
    void drop(long cluster) {
        int count = references(cluster);
        if (count > 0) {
            put(cluster, count - 1);
        }
    }
}
