package lockstep.x86;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Guest RAM and ROM by physical address, which pages of it hold code that processors have decoded, and which were
 * written since the log began. One object serves all processors of a machine; its map changes only while none of them
 * runs.
 */
public final class PhysicalMemory {
    /** The host's memory: addresses in it are those that {@link Piece#host} gives, checked page by page here. */
    @SuppressWarnings("restricted")
    static final MemorySegment HOST = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    static final int PAGE_SHIFT = 12;
    static final long PAGE = 1L << PAGE_SHIFT;
    static final long OFFSET = PAGE - 1;

    /**
     * A piece of memory.
     *
     * @param address guest physical address, page aligned
     * @param memory as many bytes as the guest sees, page aligned in the host; must outlive the map
     * @param readOnly whether writes are the bus's affair
     */
    public record Piece(long address, MemorySegment memory, boolean readOnly) {}

    /** Is told of pages with code. */
    interface CodeListener {
        /** The page at this address of the host's has code from now on: writes to it must be told. */
        void codeAppeared(long hostPage);

        /** The page at this address of the host's changed; called on any thread. */
        void codeChanged(long hostPage);
    }

    /** A piece with what is noted of its pages. */
    static final class Area {
        final long start;
        final long end;
        final long host;
        final boolean readOnly;

        /** A bit per page that has decoded code. */
        final long[] code;

        /** A bit per page that was written; null while no log is kept. */
        volatile long @Nullable [] written;

        Area(Piece p) {
            start = p.address;
            end = p.address + p.memory.byteSize();
            host = p.memory.address();
            readOnly = p.readOnly;
            code = new long[(int) ((end - start >>> PAGE_SHIFT) + 63 >>> 6)];
        }

        boolean hasCode(long address) {
            int page = (int) (address - start >>> PAGE_SHIFT);
            return (code[page >>> 6] & 1L << page) != 0;
        }
    }

    private volatile Area[] areas = {};
    private volatile CodeListener[] listeners = {};
    private boolean logging;

    /** Nothing in it yet. */
    public PhysicalMemory() {}

    synchronized void listen(CodeListener listener) {
        CodeListener[] all = Arrays.copyOf(listeners, listeners.length + 1);
        all[listeners.length] = listener;
        listeners = all;
    }

    /**
     * Replaces the map; the pieces do not overlap. What was logged for pieces that stay is kept. The caller flushes the
     * processors' translations.
     */
    public synchronized void map(List<Piece> pieces) {
        Area[] old = areas;
        Area[] made = new Area[pieces.size()];
        for (int i = 0; i < made.length; i++) {
            Piece p = pieces.get(i);
            Area same = null;
            for (Area a : old) {
                if (a.start == p.address
                        && a.host == p.memory.address()
                        && a.end - a.start == p.memory.byteSize()
                        && a.readOnly == p.readOnly) {
                    same = a;
                }
            }
            Area area = same != null ? same : new Area(p);
            if (logging && area.written == null) {
                area.written = new long[area.code.length];
            }
            made[i] = area;
        }
        Arrays.sort(made, (a, b) -> Long.compareUnsigned(a.start, b.start));
        areas = made;
    }

    /** Begins or ends the log of written pages; processors must flush their translations when it begins. */
    public synchronized void log(boolean on) {
        logging = on;
        for (Area a : areas) {
            a.written = on ? new long[a.code.length] : null;
        }
    }

    /**
     * Gives the log of the piece at a physical address and empties it: bit {@code n} is its page {@code n}; null where
     * there is no such piece, or no log. Processors must stand still, and flush their translations before they go on.
     */
    public synchronized long @Nullable [] takeLog(long address) {
        Area a = find(address);
        long[] log = a == null ? null : a.written;
        if (a != null && log != null) {
            a.written = new long[log.length];
        }
        return log;
    }

    /** The area with an address, or null. */
    @Nullable Area find(long address) {
        Area[] all = areas;
        int low = 0;
        int high = all.length - 1;
        while (low <= high) {
            int mid = low + high >>> 1;
            Area a = all[mid];
            if (Long.compareUnsigned(address, a.start) < 0) {
                high = mid - 1;
            } else if (Long.compareUnsigned(address, a.end) >= 0) {
                low = mid + 1;
            } else {
                return a;
            }
        }
        return null;
    }

    /** Notes that code of a page is about to be decoded: writes to it are told from now on. */
    void markCode(Area a, long address) {
        int page = (int) (address - a.start >>> PAGE_SHIFT);
        synchronized (this) {
            a.code[page >>> 6] |= 1L << page;
        }
        for (CodeListener l : listeners) {
            l.codeAppeared(a.host + ((long) page << PAGE_SHIFT));
        }
    }

    /** Notes a write, by a processor that looked the page up or by anybody else. */
    void wrote(Area a, long address) {
        int page = (int) (address - a.start >>> PAGE_SHIFT);
        long bit = 1L << page;
        long[] log = a.written;
        if (log != null && (log[page >>> 6] & bit) == 0) {
            synchronized (this) {
                log[page >>> 6] |= bit;
            }
        }
        if ((a.code[page >>> 6] & bit) != 0) {
            synchronized (this) {
                a.code[page >>> 6] &= ~bit;
            }
            for (CodeListener l : listeners) {
                l.codeChanged(a.host + ((long) page << PAGE_SHIFT));
            }
        }
    }

    /** Tells that the machine itself wrote guest memory, as devices do. Cheap where no code is. Any thread. */
    public void wroteFromOutside(long address, long length) {
        for (long at = address & ~OFFSET; at - address < length; at += PAGE) {
            Area a = find(at);
            if (a != null && a.hasCode(at)) {
                wrote(a, at);
            }
        }
    }

    /** A page-table entry or the like, of 4 or 8 bytes; memory that is not there reads as ones. */
    long read(long address, int size) {
        Area a = find(address);
        if (a == null) {
            return size == 4 ? 0xffffffffL : -1;
        }
        long host = a.host + (address - a.start);
        return size == 4
                ? HOST.get(ValueLayout.JAVA_INT_UNALIGNED, host) & 0xffffffffL
                : HOST.get(ValueLayout.JAVA_LONG_UNALIGNED, host);
    }

    /** Sets bits of an entry, as the processor does with accessed and dirty bits. */
    void or(long address, int bits) {
        Area a = find(address);
        if (a != null && !a.readOnly) {
            long host = a.host + (address - a.start);
            HOST.set(
                    ValueLayout.JAVA_INT_UNALIGNED,
                    host,
                    HOST.get(ValueLayout.JAVA_INT_UNALIGNED, host) | bits);
            wrote(a, address);
        }
    }
}
