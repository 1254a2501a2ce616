package lockstep.runtime.memory;

import java.util.OptionalLong;

/**
 * A vCPU's virtual addresses, translated as the processor does (Intel SDM volume 3, chapter 5), but
 * without regard to access rights and without setting accessed bits: for debuggers.
 *
 * @param memory where the tables are
 * @param cr0 tells whether there is paging
 * @param cr3 the first table
 * @param cr4 tells which kind
 * @param efer tells whether the processor is in long mode
 */
public record PageTables(AddressSpace memory, long cr0, long cr3, long cr4, long efer) {
    /** Bytes of the smallest page. */
    public static final int PAGE = 4096;

    private static final long PAGING = 1L << 31;
    private static final long PSE = 1 << 4;
    private static final long PAE = 1 << 5;
    private static final long LA57 = 1 << 12;
    private static final long LONG_MODE_ACTIVE = 1 << 10;
    private static final long PRESENT = 1;
    private static final long RIGHTS = 7; // present, writable, for users
    private static final int MOST_ENTRIES = 1 << 22;
    private static final long LARGE = 1 << 7;
    private static final long FRAME = 0x000f_ffff_ffff_f000L;
    private static final long HIGH_FRAME = 0x1f_e000; // bits 32 to 39 of a 4 MiB page's address

    /** Whether virtual addresses differ from physical ones. */
    public boolean enabled() {
        return (cr0 & PAGING) != 0;
    }

    /** The physical address of a virtual one, or empty where no page is present. */
    public OptionalLong translate(long virtual) {
        if (!enabled()) {
            return OptionalLong.of(virtual & (FRAME | PAGE - 1));
        }
        if ((cr4 & PAE) == 0) {
            return twoLevels(virtual & 0xffff_ffffL);
        }
        if ((efer & LONG_MODE_ACTIVE) == 0) {
            return walk(cr3 & 0xffff_ffe0L, virtual & 0xffff_ffffL, 2);
        }
        int levels = levels();
        long sign = virtual >> (3 + 9 * levels + 8);
        return sign == 0 || sign == -1
                ? walk(cr3 & FRAME, virtual, levels - 1)
                : OptionalLong.empty();
    }

    /** Tables of 8-byte entries, 9 bits of the address each; level 0 holds the pages. */
    private OptionalLong walk(long table, long virtual, int top) {
        long base = table;
        for (int level = top; ; level--) {
            int shift = 12 + 9 * level;
            long at = base + (virtual >>> shift & 511) * 8;
            long entry = entry(at, 8);
            if ((entry & PRESENT) == 0) {
                return OptionalLong.empty();
            }
            // The four first entries of 32-bit PAE are never pages.
            boolean large = (entry & LARGE) != 0 && (level == 1 || level == 2 && top > 2);
            if (level == 0 || large) {
                long inside = (1L << shift) - 1;
                return OptionalLong.of(entry & FRAME & ~inside | virtual & inside);
            }
            base = entry & FRAME;
        }
    }

    private OptionalLong twoLevels(long virtual) {
        long directory = entry((cr3 & 0xffff_f000L) + (virtual >>> 22) * 4, 4);
        if ((directory & PRESENT) == 0) {
            return OptionalLong.empty();
        }
        if ((directory & LARGE) != 0 && (cr4 & PSE) != 0) {
            long high = (directory & HIGH_FRAME) << 32 - 13;
            return OptionalLong.of(high | directory & 0xffc0_0000L | virtual & 0x3f_ffff);
        }
        long entry = entry((directory & 0xffff_f000L) + (virtual >>> 12 & 1023) * 4, 4);
        return (entry & PRESENT) == 0
                ? OptionalLong.empty()
                : OptionalLong.of(entry & 0xffff_f000L | virtual & 0xfff);
    }

    /**
     * A page that is present.
     *
     * @param address where it begins, without the sign that {@link #canonical} gives it
     * @param size bytes
     * @param entry what describes it; of a small page without bit 7, which means something else there
     * @param rights the bits of the entry and of those above it that say who may do what
     */
    public record Page(long address, long size, long entry, long rights) {
        /** Where the page begins in physical memory. */
        public long physical() {
            return entry & FRAME & -size;
        }
    }

    /** Takes pages in the order of their addresses; false when it has enough. */
    public interface Visitor {
        /** One page. */
        boolean page(Page page);
    }

    /**
     * Shows all pages that are present.
     *
     * @return false when there are more: the visitor had enough, or tables that lead to one another would
     *     take too long
     */
    public boolean visit(Visitor visitor) {
        Walk walk = new Walk(visitor);
        if ((cr4 & PAE) == 0) {
            return walk.table(cr3 & 0xffff_f000L, 0, 1, RIGHTS);
        }
        if ((efer & LONG_MODE_ACTIVE) == 0) {
            return walk.table(cr3 & 0xffff_ffe0L, 0, 2, RIGHTS);
        }
        return walk.table(cr3 & FRAME, 0, levels() - 1, RIGHTS);
    }

    private int levels() {
        return (cr4 & LA57) != 0 ? 5 : 4;
    }

    /** An address of long mode with its sign in all high bits; others have none. */
    public long canonical(long address) {
        long sign = 1L << 9 * levels() + 11;
        return (address & sign) != 0 ? address | -sign : address;
    }

    private final class Walk {
        private final Visitor visitor;
        private int entriesLeft = MOST_ENTRIES;

        Walk(Visitor visitor) {
            this.visitor = visitor;
        }

        /** Goes through a table; level 0 holds small pages. False to stop. */
        boolean table(long table, long address, int level, long rights) {
            boolean wide = (cr4 & PAE) != 0;
            boolean longMode = wide && (efer & LONG_MODE_ACTIVE) != 0;
            int bits = wide ? 9 : 10;
            int shift = 12 + bits * level;
            int count = wide && !longMode && level == 2 ? 4 : 1 << bits;
            for (int i = 0; i < count; i++) {
                if (entriesLeft-- == 0) {
                    return false;
                }
                long entry = wide ? entry(table + i * 8L, 8) : entry(table + i * 4L, 4);
                if ((entry & PRESENT) == 0) {
                    continue;
                }
                long at = address + ((long) i << shift);
                // The four first entries of 32-bit PAE have no rights of their own.
                long allowed = wide && !longMode && level == 2 ? rights : rights & entry;
                boolean large = isLarge(entry, level, wide, longMode);
                boolean more =
                        level == 0 || large
                                ? visitor.page(
                                        new Page(
                                                at,
                                                1L << shift,
                                                large ? entry : entry & ~LARGE,
                                                allowed))
                                : table(entry & FRAME, at, level - 1, allowed);
                if (!more) {
                    return false;
                }
            }
            return true;
        }

        private boolean isLarge(long entry, int level, boolean wide, boolean longMode) {
            return (entry & LARGE) != 0
                    && (wide
                            ? level == 1 || level == 2 && longMode
                            : level == 1 && (cr4 & PSE) != 0);
        }
    }

    /** An entry; one that no memory holds is not present. */
    private long entry(long address, int size) {
        return memory.mapped(address, size) ? memory.read(address, size) : 0;
    }
}
