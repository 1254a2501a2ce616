package lockstep.x86;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
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

    /** Changes 16 bytes of the host's memory in one step, as CMPXCHG16B does; the Java platform has nothing for it. */
    @FunctionalInterface
    public interface PairExchange {
        /**
         * Stores two words if two others are there.
         *
         * @param host aligned address in the host
         * @return whether the words were there
         */
        boolean exchange(long host, long low, long high, long newLow, long newHigh);
    }

    /** Is told of pages with code. */
    interface CodeListener {
        /** The page at this address of the host's has code from now on: writes to it must be told. */
        void codeAppeared(long hostPage);

        /** Whether no write can come any more that is not told. Asked again and again, by whom the code is for. */
        boolean tellsWrites();

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

    /** Null where the host has none: then all processors stand still for it. */
    final @Nullable PairExchange pairs;

    /** Nothing in it yet. */
    public PhysicalMemory(@Nullable PairExchange pairs) {
        this.pairs = pairs;
    }

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

    /**
     * Notes that code of a page is about to be decoded: writes to it are told from now on. Comes back when every
     * processor that runs has passed the instruction that it was at: its write might still come, and not be told.
     */
    void markCode(Area a, long address) {
        int page = (int) (address - a.start >>> PAGE_SHIFT);
        synchronized (this) {
            a.code[page >>> 6] |= 1L << page;
        }
        CodeListener[] all = listeners;
        for (CodeListener l : all) {
            l.codeAppeared(a.host + ((long) page << PAGE_SHIFT));
        }
        for (int spins = 0; !tellWrites(all); spins++) {
            if (spins < MOST_SPINS) {
                Thread.onSpinWait();
            } else {
                Thread.yield(); // to one that has no processor of the host's
            }
        }
    }

    private static final int MOST_SPINS = 1000;

    private static boolean tellWrites(CodeListener[] all) {
        boolean yes = true;
        for (CodeListener l : all) {
            yes &= l.tellsWrites(); // each is asked: one of them is the caller's own, which others may wait for
        }
        return yes;
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
            // Who finds the bit cleared may rely on that everybody has been told.
            synchronized (this) {
                for (CodeListener l : listeners) {
                    l.codeChanged(a.host + ((long) page << PAGE_SHIFT));
                }
                a.code[page >>> 6] &= ~bit;
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
        return load(a.host + (address - a.start), size);
    }

    /**
     * Sets bits of an entry of 4 or 8 bytes, as the processor does with accessed and dirty bits; false if it is no
     * longer what it was.
     */
    boolean mark(long address, int size, long entry, int bits) {
        Area a = find(address);
        if (a != null && !a.readOnly) {
            if (!exchange(a.host + (address - a.start), size, entry, entry | bits)) {
                return false;
            }
            wrote(a, address);
        }
        return true;
    }

    // ---- the host's memory

    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

    /** The 1, 2, 4 or 8 bytes at an address of the host's, zero-extended. */
    static long load(long host, int size) {
        return switch (size) {
            case 1 -> HOST.get(ValueLayout.JAVA_BYTE, host) & 0xffL;
            case 2 -> HOST.get(ValueLayout.JAVA_SHORT_UNALIGNED, host) & 0xffffL;
            case 4 -> HOST.get(ValueLayout.JAVA_INT_UNALIGNED, host) & 0xffffffffL;
            default -> HOST.get(ValueLayout.JAVA_LONG_UNALIGNED, host);
        };
    }

    /**
     * Replaces, in one step, what is at an address of the host's, if that is {@code old}; the bytes lie within eight
     * aligned ones. The platform changes words only: a part of one counts as changed when another part is.
     */
    static boolean exchange(long host, int size, long old, long now) {
        if (size == 8) {
            return LONG.compareAndSet(HOST, host, old, now);
        }
        if (size == 4 && (host & 3) == 0) {
            return INT.compareAndSet(HOST, host, (int) old, (int) now);
        }
        long word = host & ~7L;
        int shift = (int) (host & 7) * 8;
        long mask = (1L << size * 8) - 1;
        long there = (long) LONG.getVolatile(HOST, word);
        while ((there >>> shift & mask) == old) {
            long next = there & ~(mask << shift) | (now & mask) << shift;
            long found = (long) LONG.compareAndExchange(HOST, word, there, next);
            if (found == there) {
                return true;
            }
            there = found;
        }
        return false;
    }
}
