package lockstep.runtime.migration;

import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * Writes the {@code ram} section: which pages the peer still lacks, and their content. Used by the
 * migration thread; takes the machine lock itself where the dirty log wants it.
 *
 * <p>The guest may write to a page while it is copied. The log was collected before, so such a page is
 * dirty again and goes once more.
 */
final class RamSource {
    /** The section's name. */
    static final String NAME = "ram";

    /** The section's version. */
    static final int VERSION = 4;

    private static final int PAGE = RamBlock.PAGE;
    private static final MemorySegment ZERO_PAGE = MemorySegment.ofArray(new byte[PAGE]);
    private static final TraceEvent SYNC_START = Trace.event("migration_bitmap_sync_start");
    private static final TraceEvent SYNC_END = Trace.event("migration_bitmap_sync_end");

    private final MachineLock lock;
    private final DirtyLog log;
    private final List<RamBlock> blocks;
    private final byte[][] names;
    private final long[][] dirty;
    private final RamStats stats;
    private final boolean detectZeroPages;
    private long dirtyPages;
    private int scanBlock;
    private int scanWord;
    private @Nullable RamBlock current;
    private long syncTime;
    private long newlyDirty;

    /** For the blocks that exist now. Caller holds the machine lock. */
    RamSource(
            MachineLock lock,
            DirtyLog log,
            List<RamBlock> blocks,
            RamStats stats,
            boolean detectZeroPages) {
        this.lock = lock;
        this.detectZeroPages = detectZeroPages;
        this.log = log;
        this.blocks = List.copyOf(blocks);
        this.stats = stats;
        this.names = new byte[blocks.size()][];
        this.dirty = new long[blocks.size()][];
        for (int i = 0; i < blocks.size(); i++) {
            names[i] = blocks.get(i).name().getBytes(StandardCharsets.ISO_8859_1);
            dirty[i] = new long[words(blocks.get(i))];
        }
    }

    private static int words(RamBlock block) {
        return Math.toIntExact((block.maxLength() / PAGE + 63) / 64);
    }

    /** Starts the dirty log and marks every page as lacking at the peer. */
    void start() {
        lock.run(
                () -> {
                    log.start();
                    long total = 0;
                    for (int i = 0; i < dirty.length; i++) {
                        RamBlock block = blocks.get(i);
                        Arrays.fill(dirty[i], 0);
                        long pages = block.usedLength() / PAGE;
                        int full = (int) (pages / 64);
                        Arrays.fill(dirty[i], 0, full, -1L);
                        if (pages % 64 != 0) {
                            dirty[i][full] = (1L << pages % 64) - 1;
                        }
                        dirtyPages += pages;
                        total += block.usedLength();
                    }
                    stats.totalBytes = total;
                });
        syncTime = System.nanoTime();
        remaining();
    }

    /** Ends the dirty log. */
    void stop() {
        lock.run(
                () -> {
                    if (log.recording()) {
                        log.stop();
                    }
                });
    }

    /** Collects what the guest wrote since the last call. */
    void sync() {
        SYNC_START.log();
        lock.run(
                () -> {
                    for (int i = 0; i < dirty.length; i++) {
                        long fresh = log.collect(blocks.get(i), dirty[i]);
                        dirtyPages += fresh;
                        newlyDirty += fresh;
                    }
                });
        stats.syncs++;
        SYNC_END.log("dirty_pages %d", dirtyPages);
        long now = System.nanoTime();
        // As in QEMU, a rate over less than a second would say nothing.
        if (now - syncTime > 1_000_000_000L) {
            stats.dirtyPagesRate = newlyDirty * 1_000_000_000L / (now - syncTime);
            newlyDirty = 0;
            syncTime = now;
        }
        remaining();
    }

    /** Pages that the peer lacks. */
    long pendingPages() {
        return dirtyPages;
    }

    /** Bytes that the peer lacks. */
    long pending() {
        return dirtyPages * PAGE;
    }

    /** The payload of the START section: the blocks and their lengths. */
    void writeBlockList(StreamOutput out) throws IOException {
        long total = 0;
        for (RamBlock block : blocks) {
            total += block.usedLength();
        }
        out.u64(total | RamFlags.MEM_SIZE);
        for (int i = 0; i < names.length; i++) {
            out.name(names[i]);
            out.u64(blocks.get(i).usedLength());
        }
        out.u64(RamFlags.EOS);
    }

    /**
     * Writes pages until none is dirty, the clock reaches {@code deadline} or the stream {@code limit},
     * then the end of the payload.
     *
     * @param deadline of System.nanoTime
     * @param limit stream position
     */
    void writePages(StreamOutput out, long deadline, long limit) throws IOException {
        long normal = 0;
        long zero = 0;
        int sinceClock = 0;
        boolean more = dirtyPages > 0;
        while (more) {
            long[] bits = dirty[scanBlock];
            long word = bits[scanWord];
            if (word == 0) {
                advance();
                continue;
            }
            int bit = Long.numberOfTrailingZeros(word);
            bits[scanWord] = word & word - 1;
            dirtyPages--;
            RamBlock block = blocks.get(scanBlock);
            long offset = ((long) scanWord * 64 + bit) * PAGE;
            if (offset < block.usedLength()) {
                if (writePage(out, block, offset)) {
                    zero++;
                } else {
                    normal++;
                }
            }
            more = dirtyPages > 0 && out.position() < limit;
            if (more && ++sinceClock == 64) {
                sinceClock = 0;
                more = System.nanoTime() - deadline < 0;
            }
        }
        out.u64(RamFlags.EOS);
        stats.normalPages += normal;
        stats.zeroPages += zero;
        remaining();
    }

    /** Writes every dirty page, then the end of the payload. */
    void writeAllPages(StreamOutput out) throws IOException {
        writePages(out, System.nanoTime() + Long.MAX_VALUE / 2, Long.MAX_VALUE);
    }

    private void advance() {
        if (++scanWord == dirty[scanBlock].length) {
            scanWord = 0;
            scanBlock = (scanBlock + 1) % dirty.length;
        }
    }

    private boolean writePage(StreamOutput out, RamBlock block, long offset) throws IOException {
        MemorySegment memory = block.memory();
        boolean zero = detectZeroPages && isZero(memory, offset);
        long word = offset | (zero ? RamFlags.ZERO : RamFlags.PAGE);
        if (block == current) {
            out.u64(word | RamFlags.CONTINUE);
        } else {
            out.u64(word);
            out.name(names[scanBlock]);
            current = block;
        }
        if (zero) {
            out.u8(0);
        } else {
            out.memory(memory, offset, PAGE);
        }
        return zero;
    }

    /** Whether the page at {@code offset} holds nothing but zeros. */
    static boolean isZero(MemorySegment memory, long offset) {
        return memory.get(ValueLayout.JAVA_LONG_UNALIGNED, offset) == 0
                && MemorySegment.mismatch(memory, offset, offset + PAGE, ZERO_PAGE, 0, PAGE) < 0;
    }

    private void remaining() {
        stats.remainingBytes = dirtyPages * PAGE;
    }
}
