package lockstep.x86;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * The blocks that a processor has decoded: by page of the host's memory, and, for the short way, by linear address. The
 * number of instructions kept is bounded; when it is reached, everything is forgotten.
 */
final class CodeCache {
    private static final int JUMPS = 8192;
    private static final int BUCKETS = 64;
    private static final int PAGES = 4096;
    private static final int MOST_INSTRUCTIONS = 1 << 20;
    private static final int MOST_IN_BLOCK = 48;

    /** A page with code, in a chain of those whose numbers have the same low bits. */
    private static final class Page {
        final long number;
        @Nullable Page next;
        final @Nullable Block[] buckets = new Block[BUCKETS];

        Page(long number, @Nullable Page next) {
            this.number = number;
            this.next = next;
        }

        void kill() {
            for (Block first : buckets) {
                for (Block b = first; b != null; b = b.next) {
                    b.dead = true;
                }
            }
        }
    }

    private final Cpu cpu;
    private final Decoder decoder;
    private final @Nullable Page[] pages = new Page[PAGES];
    private int instructions;

    private final long[] jumpAddress = new long[JUMPS];
    private final int[] jumpGeneration = new int[JUMPS];
    private final @Nullable Block[] jump = new Block[JUMPS];

    CodeCache(Cpu cpu) {
        this.cpu = cpu;
        decoder = new Decoder(cpu);
    }

    /** The block at a linear address; faults as a fetch does. */
    Block find(long la, int mode) {
        int slot = (int) (la ^ la >>> 13) & JUMPS - 1;
        Block b = jump[slot];
        if (b != null
                && jumpAddress[slot] == la
                && jumpGeneration[slot] == cpu.generation
                && b.mode == mode
                && !b.dead) {
            return b;
        }
        b = load(la, mode);
        jump[slot] = b;
        jumpAddress[slot] = la;
        jumpGeneration[slot] = cpu.generation;
        return b;
    }

    private Block load(long la, int mode) {
        long host = cpu.fetchHost(la);
        int offset = (int) (la & PhysicalMemory.OFFSET);
        if (host == 0) {
            Block b = decoder.decode(la, 0, mode, 1);
            b.dead = true; // what a device says is not kept
            return b;
        }
        long number = host >>> PhysicalMemory.PAGE_SHIFT;
        Page page = page(number);
        if (page != null) {
            for (Block b = page.buckets[bucket(offset)]; b != null; b = b.next) {
                if (b.offset == offset && b.mode == mode) {
                    return b;
                }
            }
        }
        if (instructions > MOST_INSTRUCTIONS) {
            forgetAll();
            page = null;
        }
        if (page == null) {
            // Marked before it is decoded: a change in between would not be told.
            int chain = (int) number & PAGES - 1;
            page = new Page(number, pages[chain]);
            pages[chain] = page;
            long pa = cpu.paging.translate(la, Paging.FETCH, cpu.cpl == 3);
            PhysicalMemory.Area a = cpu.memory.find(pa);
            if (a != null) {
                cpu.memory.markCode(a, pa);
            }
        }
        Block b = decoder.decode(la, host, mode, (mode & Decoder.SINGLE) != 0 ? 1 : MOST_IN_BLOCK);
        if (offset + b.length > PhysicalMemory.PAGE) {
            // The second page may be another one next time.
            b.dead = true;
            return b;
        }
        instructions += b.ops.length;
        b.hostPage = number;
        b.next = page.buckets[bucket(offset)];
        page.buckets[bucket(offset)] = b;
        return b;
    }

    // ---- translation

    private static final int HOT = 2000;
    private static final int MOST_BLOCKS = 32;
    private static final int MOST_OPERATIONS = 100;

    /** Counts a run of a block by the interpreter; one that runs often is translated, together with what is near it. */
    void ran(Block b) {
        if (++b.runs != HOT) {
            return;
        }
        // Not by its linear address: what it did may have changed what is there, or who may fetch it.
        Page page = page(b.hostPage);
        if (b.dead || b.translated || page == null || (b.mode & Decoder.SINGLE) != 0) {
            return;
        }
        List<Block> all = around(b, HOT / 8);
        if (!Translator.shared().offer(all)) {
            b.runs = HOT / 2;
            return;
        }
        for (int i = 0; i < all.size(); i++) {
            all.get(i).translated = TracePlan.isEntry(all, i);
        }
    }

    /** A block and those of its page that belong to it, forth and back along the ways, ran so often, and are in no trace. */
    List<Block> around(Block first, int runs) {
        Page page = Objects.requireNonNull(page(first.hostPage));
        List<Block> all = new ArrayList<>();
        all.add(first);
        int operations = first.ops.length;
        for (int i = 0; i < all.size() && all.size() < MOST_BLOCKS; i++) {
            Block at = all.get(i);
            for (Block chain : page.buckets) {
                for (Block b = chain; b != null && all.size() < MOST_BLOCKS; b = b.next) {
                    if (b.mode == first.mode
                            && !b.translated
                            && b.runs >= runs
                            && (at.leadsTo(b) || b.leadsTo(at))
                            && operations + b.ops.length <= MOST_OPERATIONS
                            && !all.contains(b)) {
                        all.add(b);
                        operations += b.ops.length;
                    }
                }
            }
        }
        return all;
    }

    private static int bucket(int offset) {
        return (offset ^ offset >> 6) & BUCKETS - 1;
    }

    private @Nullable Page page(long number) {
        Page p = pages[(int) number & PAGES - 1];
        while (p != null && p.number != number) {
            p = p.next;
        }
        return p;
    }

    /** Forgets the blocks of a page; whether there were any. */
    boolean forget(long hostPage) {
        Page gone = page(hostPage >>> PhysicalMemory.PAGE_SHIFT);
        if (gone == null) {
            return false;
        }
        gone.kill();
        int chain = (int) gone.number & PAGES - 1;
        Page p = pages[chain];
        if (p == gone) {
            pages[chain] = gone.next;
        } else {
            while (p != null && p.next != gone) {
                p = p.next;
            }
            if (p != null) {
                p.next = gone.next;
            }
        }
        return true;
    }

    /** Forgets everything. */
    void forgetAll() {
        for (Page first : pages) {
            for (Page p = first; p != null; p = p.next) {
                p.kill();
            }
        }
        Arrays.fill(pages, null);
        Arrays.fill(jump, null);
        instructions = 0;
    }

    /** A byte of the host's memory. */
    static int peek(long host) {
        return PhysicalMemory.HOST.get(ValueLayout.JAVA_BYTE, host) & 0xff;
    }
}
