package lockstep.colo.checkpoint;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.migration.RamSink;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;
import lockstep.runtime.vmstate.StateException;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The secondary's copy of the primary's RAM as of the last checkpoint, and of the one that is coming in.
 * Guest RAM is not touched until a checkpoint is complete; then every page that either side changed is
 * taken from here. Used by the loading thread.
 */
final class RamCache implements AutoCloseable {
    private static final int PAGE = RamBlock.PAGE;

    /** From so many pages on more than one thread is worth its start. */
    private static final int MANY = 2048;

    /** Words of the bitmap that one thread takes at a time: 8 MiB of RAM. */
    private static final int SHARE = 32;

    private static final TraceEvent FLUSH_BEGIN = Trace.event("colo_flush_ram_cache_begin");
    private static final TraceEvent FLUSH_END = Trace.event("colo_flush_ram_cache_end");

    private static final class Copy {
        final RamBlock block;
        final Mapping mapping;
        final MemorySegment memory;
        final long[] marked;

        Copy(RamBlock block) throws LinuxException {
            this.block = block;
            mapping =
                    Mapping.anonymous(
                            block.maxLength(),
                            "cannot set up the COLO cache of '" + block.name() + "'");
            memory = mapping.memory();
            marked = new long[Math.toIntExact((block.maxLength() / PAGE + 63) / 64)];
        }
    }

    private final Map<RamBlock, Copy> copies = new IdentityHashMap<>();
    private final List<Copy> inOrder = new ArrayList<>();
    private Copy last;

    /** Room for all of these blocks; it is taken from the host as it is filled. */
    RamCache(List<RamBlock> blocks) throws StateException {
        try {
            for (RamBlock block : blocks) {
                Copy copy = new Copy(block);
                copies.put(block, copy);
                inOrder.add(copy);
            }
        } catch (LinuxException e) {
            close();
            throw new StateException("colo: cannot allocate the RAM cache: " + e.getMessage(), e);
        }
        if (inOrder.isEmpty()) {
            throw new StateException("colo: the machine has no RAM");
        }
        last = inOrder.getFirst();
    }

    private Copy copy(RamBlock block) {
        Copy copy = last;
        if (copy.block == block) {
            return copy;
        }
        Copy found = copies.get(block);
        if (found == null) {
            throw new IllegalStateException("no cache for RAM block " + block.name());
        }
        last = found;
        return found;
    }

    /** For the first pass: pages go to guest RAM, and are copied here. */
    RamSink mirroring() {
        return new RamSink() {
            @Override
            public MemorySegment memory(RamBlock block) {
                return block.memory();
            }

            @Override
            public void written(RamBlock block, long offset) {
                MemorySegment to = copy(block).memory;
                MemorySegment from = block.memory();
                // A page that is the same already is mostly one of zeros that nobody touched.
                if (MemorySegment.mismatch(from, offset, offset + PAGE, to, offset, offset + PAGE)
                        >= 0) {
                    MemorySegment.copy(from, offset, to, offset, PAGE);
                }
            }
        };
    }

    /** For checkpoints: pages go here only, and are marked. */
    RamSink caching() {
        return new RamSink() {
            @Override
            public MemorySegment memory(RamBlock block) {
                return copy(block).memory;
            }

            @Override
            public void written(RamBlock block, long offset) {
                long page = offset / PAGE;
                copy(block).marked[(int) (page >>> 6)] |= 1L << (page & 63);
            }
        };
    }

    /**
     * Begins the session: guest RAM and cache are equal, the log has just been started. Walks the way of
     * a flush once with next to no pages, so that the first real one, with a stopped guest, does not pay
     * for what a first time costs. Under the machine lock.
     */
    void begin(DirtyLog log) {
        for (Copy copy : inOrder) {
            log.collect(copy.block, copy.marked);
            Arrays.fill(copy.marked, 0);
            copy.marked[0] = 1;
            flushInShares(copy);
        }
    }

    /**
     * Makes guest RAM equal to the cache: pages that came since the last flush and pages that the guest
     * here changed. Under the machine lock, the guest stopped.
     */
    void flush(DirtyLog log) {
        for (Copy copy : inOrder) {
            log.collect(copy.block, copy.marked);
        }
        long pages = 0;
        for (Copy copy : inOrder) {
            for (long word : copy.marked) {
                pages += Long.bitCount(word);
            }
        }
        FLUSH_BEGIN.log("dirty_pages %d", pages);
        for (Copy copy : inOrder) {
            if (pages < MANY) {
                flush(copy, 0, copy.marked.length);
            } else {
                flushInShares(copy);
            }
        }
        FLUSH_END.log();
    }

    /** Spreads the copying over the host's processors. */
    private static void flushInShares(Copy copy) {
        int words = copy.marked.length;
        IntStream.range(0, (words + SHARE - 1) / SHARE)
                .parallel()
                .forEach(i -> flush(copy, i * SHARE, Math.min(words, (i + 1) * SHARE)));
    }

    /** Copies runs of marked pages at once, of those words of the bitmap. */
    private static void flush(Copy copy, int from, int to) {
        MemorySegment target = copy.block.memory();
        long limit = copy.block.usedLength();
        long[] marked = copy.marked;
        long runStart = -1;
        long runEnd = -1;
        for (int w = from; w < to; w++) {
            long word = marked[w];
            if (word == 0) {
                continue;
            }
            marked[w] = 0;
            while (word != 0) {
                int first = Long.numberOfTrailingZeros(word);
                int length = Long.numberOfTrailingZeros(~(word >>> first));
                long start = ((long) w * 64 + first) * PAGE;
                if (start == runEnd) {
                    runEnd += (long) length * PAGE;
                } else {
                    copyRun(copy, target, runStart, runEnd, limit);
                    runStart = start;
                    runEnd = start + (long) length * PAGE;
                }
                word = first + length == 64 ? 0 : word & -1L << first + length;
            }
        }
        copyRun(copy, target, runStart, runEnd, limit);
    }

    private static void copyRun(Copy copy, MemorySegment target, long start, long end, long limit) {
        long stop = Math.min(end, limit);
        if (start >= 0 && stop > start) {
            MemorySegment.copy(copy.memory, start, target, start, stop - start);
        }
    }

    /** Gives the memory back. */
    @Override
    public void close() {
        for (Copy copy : inOrder) {
            copy.mapping.close();
        }
        inOrder.clear();
        copies.clear();
    }
}
