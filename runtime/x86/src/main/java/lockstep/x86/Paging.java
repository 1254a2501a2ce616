package lockstep.x86;

import static lockstep.x86.PhysicalMemory.HOST;
import static lockstep.x86.PhysicalMemory.OFFSET;

import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * From linear to physical addresses (Intel SDM volume 3, chapter 5), and the accesses that the translations kept by
 * {@link Cpu} don't serve: the first to a page, those that cross two, and those to devices.
 */
final class Paging {
    private static final int PRESENT = 1;
    private static final int WRITABLE = 2;
    private static final int USER = 4;
    private static final int ACCESSED = 0x20;
    private static final int DIRTY = 0x40;
    private static final int LARGE = 0x80;
    private static final long NX = 1L << 63;
    private static final long FRAME = 0x000ffffffffff000L;

    // Bits of a page fault's error code.
    private static final int ERROR_PRESENT = 1;
    private static final int ERROR_WRITE = 2;
    private static final int ERROR_USER = 4;
    private static final int ERROR_RESERVED = 8;
    private static final int ERROR_FETCH = 16;

    static final int READ = 0;
    static final int WRITE = 1;
    static final int FETCH = 2;

    private final Cpu cpu;

    /** Entries of the four page directories in PAE mode, loaded with CR3. */
    final long[] pdptrs = new long[4];

    /** Set by {@link #translate}: whether the page may be written without another look. */
    private boolean writable;

    Paging(Cpu cpu) {
        this.cpu = cpu;
    }

    /** Whether an address has the form that 64-bit mode wants. */
    static boolean canonical(long la) {
        return la << 16 >> 16 == la;
    }

    /**
     * The physical address of a linear one, or a page fault.
     *
     * @param access {@link #READ}, {@link #WRITE} or {@link #FETCH}
     */
    long translate(long la, int access, boolean user) {
        if ((cpu.cr0 & Cpu.PG) == 0) {
            writable = true;
            return la & 0xffffffffL;
        }
        long at = walk(la, access, user);
        if (at < 0) {
            throw pageFault(la, (int) ~at);
        }
        return at;
    }

    private GuestFault pageFault(long la, int error) {
        cpu.cr2 = cpu.longMode() ? la : la & 0xffffffffL;
        return cpu.fault(GuestFault.PF, error);
    }

    /** The physical address, or the complement of the error code. */
    private long walk(long la, int access, boolean user) {
        boolean wide = (cpu.cr4 & Cpu.PAE) != 0;
        boolean nx = (cpu.efer & Cpu.NXE) != 0;
        int error =
                (access == WRITE ? ERROR_WRITE : 0)
                        | (user ? ERROR_USER : 0)
                        | (access == FETCH && (nx || (cpu.cr4 & Cpu.SMEP) != 0) ? ERROR_FETCH : 0);
        int size = wide ? 8 : 4;
        long table;
        int level;
        if (cpu.longMode()) {
            table = cpu.cr3 & FRAME;
            level = 3;
        } else if (wide) {
            long entry = pdptrs[(int) (la >>> 30) & 3];
            if ((entry & PRESENT) == 0) {
                return ~(long) error;
            }
            table = entry & FRAME;
            level = 1;
        } else {
            table = cpu.cr3 & 0xfffff000L;
            level = 1;
        }
        int bits = wide ? 9 : 10;
        long rights = WRITABLE | USER;
        boolean noExecute = false;
        PhysicalMemory memory = cpu.memory;
        while (true) {
            int shift = 12 + level * bits;
            long at = table + ((la >>> shift & (1 << bits) - 1) * size);
            long entry = memory.read(at, size);
            if ((entry & PRESENT) == 0) {
                return ~(long) error;
            }
            boolean large =
                    level > 0
                            && (entry & LARGE) != 0
                            && (level < 3)
                            && (wide || (cpu.cr4 & Cpu.PSE) != 0);
            if (reserved(entry, level, large, wide, nx)) {
                return ~(long) (error | ERROR_PRESENT | ERROR_RESERVED);
            }
            rights &= entry;
            noExecute |= wide && nx && entry < 0;
            if (level > 0 && !large) {
                if ((entry & ACCESSED) == 0 && !memory.mark(at, size, entry, ACCESSED)) {
                    return walk(la, access, user);
                }
                table = wide ? entry & FRAME : entry & 0xfffff000L;
                level--;
                continue;
            }
            boolean mayWrite =
                    (rights & WRITABLE) != 0 || !user && (cpu.cr0 & Cpu.WP) == 0;
            boolean forbidden =
                    user && (rights & USER) == 0
                            || access == WRITE && !mayWrite
                            || access == FETCH
                                    && (noExecute
                                            || !user
                                                    && (rights & USER) != 0
                                                    && (cpu.cr4 & Cpu.SMEP) != 0);
            if (forbidden) {
                return ~(long) (error | ERROR_PRESENT);
            }
            int wanted = access == WRITE ? ACCESSED | DIRTY : ACCESSED;
            if ((entry & wanted) != wanted && !memory.mark(at, size, entry, wanted)) {
                return walk(la, access, user);
            }
            writable = mayWrite && ((entry & DIRTY) != 0 || access == WRITE);
            long inPage = la & (1L << shift) - 1;
            if (wide) {
                return (entry & FRAME & -(1L << shift)) | inPage;
            }
            long frame = entry & 0xfffff000L & -(1L << shift);
            if (large) {
                frame |= (entry >>> 13 & 0xff) << 32; // PSE-36
            }
            return frame | inPage;
        }
    }

    private boolean reserved(long entry, int level, boolean large, boolean wide, boolean nx) {
        if (!wide) {
            return false;
        }
        long mask = FRAME & -(1L << cpu.cpuid.physicalBits());
        if (!nx) {
            mask |= NX;
        }
        if (level == 3) {
            mask |= LARGE;
        } else if (large) {
            mask |= (1L << 12 + 9 * level) - 1 & ~0x1fffL;
        }
        return (entry & mask) != 0;
    }

    /** Loads the four entries that CR3 points to; false if one of them is wrong. */
    boolean loadDirectories(long cr3) {
        long[] loaded = new long[4];
        for (int i = 0; i < 4; i++) {
            loaded[i] = cpu.memory.read((cr3 & 0xffffffe0L) + i * 8, 8);
            long reserved = FRAME & -(1L << cpu.cpuid.physicalBits()) | 0x1e6L | NX;
            if ((loaded[i] & PRESENT) != 0 && (loaded[i] & reserved) != 0) {
                return false;
            }
        }
        System.arraycopy(loaded, 0, pdptrs, 0, 4);
        return true;
    }

    // ---- accesses

    private void check(long la) {
        if (cpu.longMode() && !canonical(la)) {
            throw cpu.gp(0);
        }
    }

    private long wrap(long la) {
        return cpu.longMode() ? la : la & 0xffffffffL;
    }

    long readSlow(long la, int size, boolean user) {
        check(la);
        int left = (int) (PhysicalMemory.PAGE - (la & OFFSET));
        if (left < size) {
            check(la + size - 1);
            long low = readPart(la, left, user);
            return low | readPart(wrap(la + left), size - left, user) << left * 8;
        }
        return readPart(la, size, user);
    }

    /** Within a page, of any size up to 8. */
    private long readPart(long la, int size, boolean user) {
        long pa = translate(la, READ, user);
        PhysicalMemory.Area a = cpu.memory.find(pa);
        if (a == null) {
            return readDevice(pa, size);
        }
        long host = a.host + (pa - a.start);
        if (cpu.breakpoints.onData && cpu.breakpoints.watches(la)) {
            cpu.breakpoints.accessed(la, size, false);
        } else {
            cpu.remember(la, host & ~OFFSET, true, writable && mayCache(a, pa), false, user);
        }
        long value = 0;
        switch (size) {
            case 1, 2, 4, 8 -> value = PhysicalMemory.load(host, size);
            default -> {
                for (int i = 0; i < size; i++) {
                    value |= PhysicalMemory.load(host + i, 1) << i * 8;
                }
            }
        }
        VarHandle.acquireFence();
        return value;
    }

    long fetchSlow(long la, boolean user) {
        check(la);
        long pa = translate(la, FETCH, user);
        PhysicalMemory.Area a = cpu.memory.find(pa);
        if (a == null) {
            return 0;
        }
        long host = a.host + (pa - a.start);
        cpu.remember(la, host & ~OFFSET, false, false, true, user);
        return host;
    }

    /** Code that lies in no memory, byte by byte. */
    int fetchDevice(long la, boolean user) {
        return (int) cpu.bus.readMemory(translate(la, FETCH, user), 1);
    }

    /** Whether writes to a page need no notice: it has no decoded code, and is in the log already if there is one. */
    private static boolean mayCache(PhysicalMemory.Area a, long pa) {
        if (a.readOnly || a.hasCode(pa)) {
            return false;
        }
        long[] log = a.written;
        int page = (int) (pa - a.start >>> PhysicalMemory.PAGE_SHIFT);
        return log == null || (log[page >>> 6] & 1L << page) != 0;
    }

    private long readDevice(long pa, int size) {
        if (Integer.bitCount(size) == 1) {
            return cpu.bus.readMemory(pa, size);
        }
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= cpu.bus.readMemory(pa + i, 1) << i * 8;
        }
        return value;
    }

    void writeSlow(long la, int size, long v, boolean user) {
        check(la);
        int left = (int) (PhysicalMemory.PAGE - (la & OFFSET));
        if (left < size) {
            check(la + size - 1);
            // Nothing is written before both pages are known to take it.
            translate(la, WRITE, user);
            translate(wrap(la + left), WRITE, user);
            writePart(la, left, v, user);
            writePart(wrap(la + left), size - left, v >>> left * 8, user);
        } else {
            writePart(la, size, v, user);
        }
    }

    private void writePart(long la, int size, long v, boolean user) {
        long pa = translate(la, WRITE, user);
        PhysicalMemory.Area a = cpu.memory.find(pa);
        if (a == null || a.readOnly) {
            if (Integer.bitCount(size) == 1) {
                cpu.bus.writeMemory(pa, size, size == 8 ? v : v & (1L << size * 8) - 1);
            } else {
                for (int i = 0; i < size; i++) {
                    cpu.bus.writeMemory(pa + i, 1, v >>> i * 8 & 0xff);
                }
            }
            return;
        }
        long host = a.host + (pa - a.start);
        VarHandle.releaseFence();
        switch (size) {
            case 1 -> HOST.set(ValueLayout.JAVA_BYTE, host, (byte) v);
            case 2 -> HOST.set(ValueLayout.JAVA_SHORT_UNALIGNED, host, (short) v);
            case 4 -> HOST.set(ValueLayout.JAVA_INT_UNALIGNED, host, (int) v);
            case 8 -> HOST.set(ValueLayout.JAVA_LONG_UNALIGNED, host, v);
            default -> {
                for (int i = 0; i < size; i++) {
                    HOST.set(ValueLayout.JAVA_BYTE, host + i, (byte) (v >>> i * 8));
                }
            }
        }
        cpu.memory.wrote(a, pa);
        if (cpu.breakpoints.onData && cpu.breakpoints.watches(la)) {
            cpu.breakpoints.accessed(la, size, true);
        } else {
            cpu.remember(la, host & ~OFFSET, true, mayCache(a, pa), false, user);
        }
    }

    /** What {@link Cpu#hostForChange} does where the page is not known yet. */
    long changeSlow(long la, boolean user) {
        check(la);
        long pa = translate(la, WRITE, user);
        PhysicalMemory.Area a = cpu.memory.find(pa);
        if (a == null || a.readOnly || cpu.breakpoints.onData) {
            return 0;
        }
        long host = a.host + (pa - a.start);
        cpu.memory.wrote(a, pa);
        cpu.remember(la, host & ~OFFSET, true, mayCache(a, pa), false, user);
        return host;
    }

    /** Whether what may be written is memory, and no device, at both ends. */
    boolean inMemory(long la, int size, boolean user) {
        return isMemory(translate(la, WRITE, user))
                && isMemory(translate(wrap(la + size - 1), WRITE, user));
    }

    private boolean isMemory(long pa) {
        PhysicalMemory.Area a = cpu.memory.find(pa);
        return a != null && !a.readOnly;
    }

    void checkWrite(long la, int size, boolean user) {
        check(la);
        translate(la, WRITE, user);
        long last = la + size - 1;
        if ((last & ~OFFSET) != (la & ~OFFSET)) {
            check(last);
            translate(wrap(last), WRITE, user);
        }
    }
}
