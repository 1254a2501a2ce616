package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * Changes what stands behind the fields of an image's header: the extensions and the name of the backing file. All else in
 * the cluster stays as it is. One write.
 */
final class HeaderCluster {
    private static final int V3_LENGTH_AT = 100;
    private static final int NAME_MAX = 1023;
    private static final int BITMAPS_LENGTH = 24;

    private final Guard file;
    private final MemorySegment old;
    private final MemorySegment made;
    private final int start;
    private final long oldName;
    private long to;

    private HeaderCluster(Guard file, Qcow2Header header) throws BlockException {
        this.file = file;
        int size = (int) header.clusterSize();
        old = MemorySegment.ofArray(new byte[size]);
        file.readUpTo(0, old);
        made = MemorySegment.ofArray(new byte[size]);
        start =
                header.version() >= 3
                        ? old.get(Qcow2Header.BE32, V3_LENGTH_AT)
                        : Qcow2Header.V2_LENGTH;
        MemorySegment.copy(old, 0, made, 0, start);
        oldName = old.get(Qcow2Header.BE64, 8);
        to = start;
    }

    /** Says what is below the image; null for nothing. */
    static void nameBacking(
            Guard file, Qcow2Header header, @Nullable String name, @Nullable String format)
            throws BlockException {
        HeaderCluster cluster = new HeaderCluster(file, header);
        if (name != null && format != null) {
            byte[] text = format.getBytes(StandardCharsets.US_ASCII);
            cluster.put(Qcow2Header.EXT_BACKING_FORMAT, MemorySegment.ofArray(text));
        }
        cluster.putOthers(Qcow2Header.EXT_BACKING_FORMAT);
        cluster.finish(name == null ? new byte[0] : name.getBytes(StandardCharsets.UTF_8));
    }

    /** Says where the list of bitmaps is, which is up to date; without bitmaps there is none. */
    static void nameBitmaps(Guard file, Qcow2Header header, int count, long offset, long length)
            throws BlockException {
        HeaderCluster cluster = new HeaderCluster(file, header);
        cluster.putOthers(Qcow2Header.EXT_BITMAPS);
        if (count > 0) {
            MemorySegment data = MemorySegment.ofArray(new byte[BITMAPS_LENGTH]);
            data.set(Qcow2Header.BE32, 0, count);
            data.set(Qcow2Header.BE64, 8, length);
            data.set(Qcow2Header.BE64, 16, offset);
            cluster.put(Qcow2Header.EXT_BITMAPS, data);
        }
        if (header.version() >= 3) {
            // Nothing else that a program must keep up to date is kept up to date here.
            cluster.made.set(
                    Qcow2Header.BE64,
                    Qcow2Header.AUTOCLEAR_AT,
                    count > 0 ? Qcow2Header.BITMAPS : 0);
        }
        int nameLength = cluster.oldName == 0 ? 0 : cluster.old.get(Qcow2Header.BE32, 16);
        cluster.finish(
                cluster.old.asSlice(cluster.oldName, nameLength).toArray(ValueLayout.JAVA_BYTE));
    }

    private void putOthers(int than) throws BlockException {
        long end = oldName == 0 ? old.byteSize() : oldName;
        for (long from = start; from + 8 <= end; ) {
            int type = old.get(Qcow2Header.BE32, from);
            if (type == Qcow2Header.EXT_END) {
                break;
            }
            long length = Integer.toUnsignedLong(old.get(Qcow2Header.BE32, from + 4));
            if (type != than) {
                put(type, old.asSlice(from + 8, length));
            }
            from += 8 + (length + 7 & ~7L);
        }
    }

    private void put(int type, MemorySegment data) throws BlockException {
        long end = to + 8 + (data.byteSize() + 7 & ~7L);
        if (end + 8 > made.byteSize()) {
            throw new BlockException(Errno.ENOSPC);
        }
        made.set(Qcow2Header.BE32, to, type);
        made.set(Qcow2Header.BE32, to + 4, (int) data.byteSize());
        MemorySegment.copy(data, 0, made, to + 8, data.byteSize());
        to = end;
    }

    private void finish(byte[] backingName) throws BlockException {
        to += 8; // the mark of the end is zeroes
        boolean named = backingName.length > 0;
        if (backingName.length > NAME_MAX || to + backingName.length > made.byteSize()) {
            throw new BlockException(Errno.ENOSPC);
        }
        MemorySegment.copy(MemorySegment.ofArray(backingName), 0, made, to, backingName.length);
        made.set(Qcow2Header.BE64, 8, named ? to : 0);
        made.set(Qcow2Header.BE32, 16, backingName.length);
        file.write(MetadataMap.HEADER, 0, made);
    }
}
