package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * The one door to an image's file. Each write says which part of the metadata it is, and goes
 * through only where nothing else lies; the first that does not is the last: the image is marked
 * corrupt, and nothing is written any more, not even when it is closed. Any thread.
 */
final class Guard {
    /** Hears of damage; any thread. */
    @FunctionalInterface
    interface Alarm {
        /**
         * Damage was found.
         *
         * @param offset of the damage in the file; negative when there is no such place
         * @param size bytes; negative when that is not known
         * @param fatal the image is not written any more
         */
        void corrupted(String message, long offset, long size, boolean fatal);
    }

    private final Supplier<ChildEdge> file;
    private volatile int checks;
    private final BooleanSupplier writable;
    private final Alarm alarm;
    private volatile @Nullable Qcow2Header header;
    private volatile MetadataMap metadata = new MetadataMap(16);
    private volatile boolean stopped;
    private boolean reported;
    private volatile boolean corrupt;

    /**
     * A guard.
     *
     * @param checks the parts that are protected
     * @param writable whether the image may be written, so that damage found can be fatal
     */
    Guard(Supplier<ChildEdge> file, int checks, BooleanSupplier writable, Alarm alarm) {
        this.file = file;
        this.checks = checks;
        this.writable = writable;
        this.alarm = alarm;
    }

    /** Starts to guard an image that was opened, or opened again, with nothing known but this. */
    void opened(Qcow2Header header) {
        this.header = header;
        metadata = new MetadataMap(header.clusterBits());
        corrupt |= header.has(Qcow2Header.CORRUPT);
    }

    MetadataMap metadata() {
        return metadata;
    }

    /** Whether the image is marked as corrupt. */
    boolean corrupt() {
        return corrupt;
    }

    /** Whether fatal damage was found. */
    boolean stopped() {
        return stopped;
    }

    /** Errors when fatal damage was found. */
    void checkUsable() throws BlockException {
        if (stopped) {
            throw new BlockException(Errno.ENOMEDIUM);
        }
    }

    ChildEdge file() {
        return file.get();
    }

    long length() throws BlockException {
        return file().length();
    }

    /** Reads what the file has; the rest of the buffer stays as it is. */
    void readUpTo(long offset, MemorySegment target) throws BlockException {
        Qcow2Header.readUpTo(file(), offset, target, length());
    }

    /**
     * Writes to the file.
     *
     * @param own the parts of the metadata that this is; 0 for the guest's data
     */
    void write(int own, long offset, MemorySegment source) throws BlockException {
        write(own, offset, Pieces.of(source));
    }

    /** Likewise, from memory in pieces. */
    void write(int own, long offset, Pieces source) throws BlockException {
        checkUsable();
        check(own, offset, source.byteSize());
        file().write(offset, source);
    }

    void flush() throws BlockException {
        checkUsable();
        file().flush();
    }

    void truncate(long length) throws BlockException {
        checkUsable();
        file().truncate(length);
    }

    /** Protects these parts from now on. */
    void protect(OverlapChecks wanted) {
        checks = wanted.parts();
    }

    /** Whether a part is protected. */
    boolean guards(int part) {
        return (checks & part) != 0;
    }

    /** The protected parts in a byte range, without those that may be there. */
    int overlap(int own, long offset, long size) {
        int guarded = checks & ~own;
        return guarded == 0 ? 0 : metadata.parts(offset, size) & guarded;
    }

    /** Errors when a write there would hit metadata other than its own. */
    void check(int own, long offset, long size) throws BlockException {
        int hit = overlap(own, offset, size);
        if (hit != 0) {
            throw overwrite(hit, offset, size);
        }
    }

    /** What is fatal in a write that would hit parts of the metadata. */
    BlockException overwrite(int hit, long offset, long size) {
        return fatal(
                "Preventing invalid write on metadata (overlaps with "
                        + MetadataMap.name(hit)
                        + ")",
                offset,
                size);
    }

    /** Damage after which the image cannot be written any more; where it is not, just damage. */
    BlockException fatal(String message) {
        return fatal(message, -1, -1);
    }

    private BlockException fatal(String message, long offset, long size) {
        report(message, offset, size, true);
        return new BlockException(Errno.EIO, "qcow2: " + message);
    }

    /** Damage that makes one request fail. */
    BlockException damaged(String message) {
        report(message);
        return new BlockException(Errno.EIO, "qcow2: " + message);
    }

    /** Damage that can be passed over. */
    void report(String message) {
        report(message, -1, -1, false);
    }

    private synchronized void report(String message, long offset, long size, boolean fatal) {
        boolean last = fatal && writable.getAsBoolean();
        if (reported && (!last || stopped)) {
            return;
        }
        reported = true;
        if (last) {
            mark();
        }
        alarm.corrupted(message, offset, size, last);
    }

    private void mark() {
        corrupt = true;
        stopped = true;
        Qcow2Header h = header;
        if (h == null || h.version() < 3) {
            return;
        }
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        field.set(Qcow2Header.BE64, 0, h.incompatible() | Qcow2Header.CORRUPT);
        try {
            file().write(Qcow2Header.INCOMPATIBLE_AT, field);
            file().flush();
        } catch (BlockException e) {
            System.getLogger("lockstep.block")
                    .log(System.Logger.Level.DEBUG, "the image stays unmarked", e);
        }
    }

    /** A number as the messages show it. */
    static String hex(long value) {
        return value == 0 ? "0" : "0x" + Long.toHexString(value);
    }
}
