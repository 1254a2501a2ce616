package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.BitSet;

/**
 * Which granules of a disk were written, or are still to be copied. A node marks the bitmaps that follow it ({@link
 * BlockNode#follow}) when a change is over, before its user hears of it. Those with a name are seen by clients. Any
 * thread, where nothing else is said.
 */
public final class DirtyBitmap {
    private final @Nullable String name;
    private final long granule;
    private final Runnable marked;
    private volatile boolean recording = true;
    private volatile boolean busy;
    private volatile boolean persistent;
    private volatile boolean readOnly;
    private volatile boolean inconsistent;
    private volatile boolean leaving;

    // Guarded by the first of them.
    private final BitSet dirty = new BitSet();
    private @Nullable BitSet anew;
    private long size;

    /** Without a name and anything marked; {@code granule} is a number of bytes, a power of two. */
    public DirtyBitmap(long granule) {
        this(granule, () -> {});
    }

    /** Likewise; {@code marked} runs after each change, on the thread that made it. */
    public DirtyBitmap(long granule, Runnable marked) {
        this(null, granule, 0, marked);
    }

    /** One that clients know by a name, of a disk with that many bytes. */
    public DirtyBitmap(String name, long granule, long size) {
        this(name, granule, size, () -> {});
    }

    private DirtyBitmap(@Nullable String name, long granule, long size, Runnable marked) {
        this.name = name;
        this.granule = granule;
        this.size = size;
        this.marked = marked;
    }

    /** Whether a disk of that length has few enough granules. */
    public static boolean canHold(long length, long granule) {
        return length / granule < Integer.MAX_VALUE;
    }

    /** Errors when a disk of that length has too many granules. */
    public static void checkHolds(long length, long granule) throws BlockException {
        if (!canHold(length, granule)) {
            throw new BlockException(Errno.EFBIG, "Disk too large for granules of " + granule);
        }
    }

    /** What clients know it by; null for one that only this program uses. */
    public @Nullable String name() {
        return name;
    }

    /** Bytes of a granule. */
    public long granule() {
        return granule;
    }

    /** Whether changes of the node are marked. */
    public boolean recording() {
        return recording;
    }

    /** Has changes of the node marked, or not. */
    public void record(boolean on) {
        recording = on;
    }

    /** Whether this program relies on it, so that clients must leave it alone. Machine lock held. */
    public boolean busy() {
        return busy;
    }

    /** This program relies on it, or does so no longer. Machine lock held. */
    public void use(boolean now) {
        busy = now;
    }

    /** Whether the image that is below the node keeps it. */
    public boolean persistent() {
        return persistent;
    }

    /** The image keeps it, or does so no longer. Machine lock held. */
    public void persist(boolean now) {
        persistent = now;
    }

    /** Whether it stays as it is because the image that keeps it cannot be written. */
    public boolean readOnly() {
        return readOnly;
    }

    /** The image that keeps it can be written or not. Machine lock held. */
    public void setReadOnly(boolean now) {
        readOnly = now;
    }

    /** Whether it moves to another process, so that the image does not keep it when this one leaves that. */
    public boolean leaving() {
        return leaving;
    }

    /** It moves to another process, or stays after all. Machine lock held. */
    public void setLeaving(boolean now) {
        leaving = now;
    }

    /** Whether it does not tell what changed, and is there only to be removed. */
    public boolean inconsistent() {
        return inconsistent;
    }

    /** It does not tell what changed, or lost track. */
    public void setInconsistent() {
        inconsistent = true;
        recording = false;
    }

    /** Errors when clients cannot use it as it is; {@code change} when it is to be another afterwards. */
    public void checkUsable(boolean change) throws BlockException {
        checkFree();
        if (change) {
            checkChangeable();
        }
        if (inconsistent) {
            throw new BlockException(
                    Errno.EINVAL,
                    "Bitmap '" + name + "' is inconsistent and cannot be used",
                    "Try block-dirty-bitmap-remove to delete this bitmap from disk");
        }
    }

    /** Errors when it cannot be removed. */
    public void checkRemovable() throws BlockException {
        checkFree();
        checkChangeable();
    }

    private void checkFree() throws BlockException {
        if (busy) {
            throw new BlockException(
                    Errno.EBUSY,
                    "Bitmap '"
                            + name
                            + "' is currently in use by another operation and cannot be used");
        }
    }

    private void checkChangeable() throws BlockException {
        if (readOnly) {
            throw new BlockException(
                    Errno.EPERM, "Bitmap '" + name + "' is readonly and cannot be modified");
        }
    }

    /** Bytes of the disk, as far as they are known here. */
    public long size() {
        synchronized (dirty) {
            return size;
        }
    }

    /** The disk has another length. What it got is not marked, as with QEMU, but for those that the program uses. */
    void resized(long length) {
        long old;
        synchronized (dirty) {
            old = size;
            size = length;
            if (length < old) {
                dirty.clear((int) ((length + granule - 1) / granule), Integer.MAX_VALUE);
            }
        }
        if (busy && length > old) {
            mark(old, length - old);
        }
    }

    /**
     * Marks the granules of a range. One that clients know and that this program does not use loses track where there are
     * too many; the others' nodes do not get so long.
     */
    public void mark(long offset, long length) {
        if (length > 0 && !canHold(offset + length, granule)) {
            setInconsistent();
        } else if (length > 0) {
            synchronized (dirty) {
                size = Math.max(size, offset + length);
                int from = (int) (offset / granule);
                int to = (int) ((offset + length - 1) / granule) + 1;
                dirty.set(from, to);
                if (anew != null) {
                    anew.set(from, to);
                }
            }
            marked.run();
        }
    }

    /** Marks all that another one of the same disk has marked. */
    public void merge(DirtyBitmap other) {
        BitSet marks = other.marks();
        if (other.granule == granule) {
            synchronized (dirty) {
                size = Math.max(size, other.size());
                dirty.or(marks);
            }
            marked.run();
            return;
        }
        long end = other.size();
        for (int from = marks.nextSetBit(0); from >= 0; ) {
            int to = marks.nextClearBit(from);
            long offset = from * other.granule;
            mark(offset, Math.min(end, to * other.granule) - offset);
            from = marks.nextSetBit(to);
        }
    }

    /** Has the marks of another one of the same granule in place of its own, in one step. */
    public void become(DirtyBitmap other) {
        BitSet marks = other.marks();
        synchronized (dirty) {
            dirty.clear();
            dirty.or(marks);
        }
    }

    /** Begins to tell marks that come from those that are there. */
    public void startAnew() {
        synchronized (dirty) {
            anew = new BitSet();
        }
    }

    /** Takes away the marks that did not come after the last {@link #startAnew}. */
    public void dropOlder() {
        synchronized (dirty) {
            if (anew != null) {
                dirty.and(anew);
                anew = null;
            }
        }
    }

    /** Tells no longer which marks came later; all stay. */
    public void keepOlder() {
        synchronized (dirty) {
            anew = null;
        }
    }

    /** The same marks in one without a name, that nothing follows. */
    public DirtyBitmap copy() {
        DirtyBitmap copy = new DirtyBitmap(granule);
        copy.merge(this);
        return copy;
    }

    private BitSet marks() {
        synchronized (dirty) {
            return (BitSet) dirty.clone();
        }
    }

    /** The first marked granule that has bytes of a range, -1 when there is none. */
    public int first(long offset, long length) {
        if (length == 0) {
            return -1;
        }
        synchronized (dirty) {
            int next = dirty.nextSetBit((int) (offset / granule));
            return next <= (offset + length - 1) / granule ? next : -1;
        }
    }

    /** Takes a granule's mark away. */
    public void clear(int index) {
        synchronized (dirty) {
            dirty.clear(index);
        }
    }

    /** Takes all marks away. */
    public void clear() {
        synchronized (dirty) {
            dirty.clear();
        }
    }

    /** Takes the mark of the next granule from {@code start} on, or from the beginning; -1 when there is none. */
    public int take(int start) {
        synchronized (dirty) {
            int next = dirty.nextSetBit(start);
            if (next < 0) {
                next = dirty.nextSetBit(0);
            }
            if (next >= 0) {
                dirty.clear(next);
            }
            return next;
        }
    }

    /** Number of marked granules. */
    public long count() {
        synchronized (dirty) {
            return dirty.cardinality();
        }
    }

    /** Number of marked ones among so many granules from one on. */
    public int count(int first, int granules) {
        synchronized (dirty) {
            return dirty.get(first, (int) Math.min(Integer.MAX_VALUE, (long) first + granules))
                    .cardinality();
        }
    }

    /** Number of marked bytes of the disk; its last granule may be a part of one. */
    public long bytes() {
        synchronized (dirty) {
            long all = dirty.cardinality() * granule;
            long behind = dirty.length() * granule - size;
            return behind > 0 && behind < granule ? all - behind : all;
        }
    }

    /**
     * How many bytes from an offset on are marked like its first one, at most {@code most}; a negative number when that is
     * not marked.
     */
    public long run(long offset, long most) {
        int first = (int) (offset / granule);
        synchronized (dirty) {
            boolean set = dirty.get(first);
            int next = set ? dirty.nextClearBit(first) : dirty.nextSetBit(first);
            long bytes = next < 0 ? most : Math.min(most, next * granule - offset);
            return set ? bytes : -bytes;
        }
    }

    /** Marks granules as bits say, the lowest first, from a granule on; those behind the disk's end do not count. */
    public void addBits(int first, byte[] bits) {
        synchronized (dirty) {
            int end = (int) ((size + granule - 1) / granule);
            BitSet more = BitSet.valueOf(bits);
            for (int at = more.nextSetBit(0); at >= 0 && first + at < end; ) {
                int to = more.nextClearBit(at);
                dirty.set(first + at, Math.min(end, first + to));
                at = more.nextSetBit(to);
            }
        }
    }

    /** What is marked of so many granules from one on, as bits, the lowest first. */
    public byte[] bits(int first, int count) {
        byte[] bits = new byte[(count + Byte.SIZE - 1) / Byte.SIZE];
        synchronized (dirty) {
            byte[] set =
                    dirty.get(first, (int) Math.min(Integer.MAX_VALUE, (long) first + count))
                            .toByteArray();
            System.arraycopy(set, 0, bits, 0, set.length);
        }
        return bits;
    }

    /** The hash that QEMU computes: of the bits, the first the lowest, in little-endian words of 64, at least one. */
    public byte[] sha256() throws BlockException {
        ByteBuffer words;
        synchronized (dirty) {
            long granules = (size + granule - 1) / granule;
            long bytes = Math.max(1, (granules + Long.SIZE - 1) / Long.SIZE) * Long.BYTES;
            words = ByteBuffer.allocate((int) bytes).order(ByteOrder.LITTLE_ENDIAN);
            words.asLongBuffer().put(dirty.toLongArray());
        }
        try {
            return MessageDigest.getInstance("SHA-256").digest(words.array());
        } catch (NoSuchAlgorithmException e) {
            throw new BlockException(Errno.ENOTSUP, "this Java has no SHA-256", e);
        }
    }
}
