package lockstep.runtime.command;

import lockstep.runtime.memory.PageTables;
import lockstep.runtime.memory.PageTables.Page;

/** The texts of {@code info tlb} and {@code info mem}: what a vCPU has mapped where. */
final class PageListing {
    private static final int MOST_LINES = 1 << 15;
    private static final long WRITABLE = 2;
    private static final long USER = 4;

    /** Bits of an entry and their letters, in the order of print. */
    private static final int[] BITS = {63, 8, 7, 6, 5, 4, 3, 2, 1};

    private static final String LETTERS = "XGPDACTUW";

    private final PageTables tables;
    private final StringBuilder out;
    private int lines;

    // The range of info mem that is being put together.
    private long start;
    private long end;
    private long rights;

    private PageListing(PageTables tables, StringBuilder out) {
        this.tables = tables;
        this.out = out;
    }

    /** A line for each page. */
    static void pages(PageTables tables, StringBuilder out) {
        PageListing listing = new PageListing(tables, out);
        listing.list(listing::page);
    }

    /** A line for each range of equal rights. */
    static void ranges(PageTables tables, StringBuilder out) {
        PageListing listing = new PageListing(tables, out);
        listing.list(listing::extend);
    }

    private void list(PageTables.Visitor visitor) {
        if (!tables.enabled()) {
            out.append("PG disabled\n");
            return;
        }
        boolean whole = tables.visit(visitor);
        range();
        if (!whole) {
            out.append("there is more; no more than that is shown at once\n");
        }
    }

    private boolean page(Page page) {
        StringBuilder letters = new StringBuilder();
        for (int i = 0; i < BITS.length; i++) {
            letters.append((page.entry() >>> BITS[i] & 1) != 0 ? LETTERS.charAt(i) : '-');
        }
        out.append(
                "%016x: %016x %s\n"
                        .formatted(tables.canonical(page.address()), page.physical(), letters));
        return ++lines < MOST_LINES;
    }

    private boolean extend(Page page) {
        if (page.address() != end || page.rights() != rights) {
            range();
            start = page.address();
            rights = page.rights();
        }
        end = page.address() + page.size();
        return lines < MOST_LINES;
    }

    private void range() {
        if (rights != 0) {
            lines++;
            out.append(
                    "%016x-%016x %016x %cr%c\n"
                            .formatted(
                                    tables.canonical(start),
                                    tables.canonical(end),
                                    tables.canonical(end - start),
                                    (rights & USER) != 0 ? 'u' : '-',
                                    (rights & WRITABLE) != 0 ? 'w' : '-'));
        }
    }
}
