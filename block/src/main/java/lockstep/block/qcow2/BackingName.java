package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/** Changes the name of the backing file in an image's header cluster; all else in it stays as it is. */
final class BackingName {
    private static final int V3_LENGTH_AT = 100;
    private static final int NAME_MAX = 1023;

    private BackingName() {}

    static void write(
            Guard file, Qcow2Header header, @Nullable String name, @Nullable String format)
            throws BlockException {
        int size = (int) header.clusterSize();
        MemorySegment old = MemorySegment.ofArray(new byte[size]);
        file.readUpTo(0, old);
        MemorySegment made = MemorySegment.ofArray(new byte[size]);
        int start =
                header.version() >= 3
                        ? old.get(Qcow2Header.BE32, V3_LENGTH_AT)
                        : Qcow2Header.V2_LENGTH;
        MemorySegment.copy(old, 0, made, 0, start);
        long oldName = old.get(Qcow2Header.BE64, 8);
        long end = oldName == 0 ? size : oldName;
        long to = start;
        if (name != null && format != null) {
            byte[] text = format.getBytes(StandardCharsets.US_ASCII);
            to = put(made, to, Qcow2Header.EXT_BACKING_FORMAT, MemorySegment.ofArray(text));
        }
        for (long from = start; from + 8 <= end; ) {
            int type = old.get(Qcow2Header.BE32, from);
            if (type == Qcow2Header.EXT_END) {
                break;
            }
            long length = Integer.toUnsignedLong(old.get(Qcow2Header.BE32, from + 4));
            if (type != Qcow2Header.EXT_BACKING_FORMAT) {
                to = put(made, to, type, old.asSlice(from + 8, length));
            }
            from += 8 + (length + 7 & ~7L);
        }
        to += 8; // the mark of the end is zeroes
        made.set(Qcow2Header.BE64, 8, 0);
        made.set(Qcow2Header.BE32, 16, 0);
        if (name != null) {
            byte[] text = name.getBytes(StandardCharsets.UTF_8);
            if (text.length > NAME_MAX || to + text.length > size) {
                throw new BlockException(Errno.ENOSPC);
            }
            MemorySegment.copy(MemorySegment.ofArray(text), 0, made, to, text.length);
            made.set(Qcow2Header.BE64, 8, to);
            made.set(Qcow2Header.BE32, 16, text.length);
        }
        file.write(MetadataMap.HEADER, 0, made);
    }

    private static long put(MemorySegment header, long at, int type, MemorySegment data)
            throws BlockException {
        long end = at + 8 + (data.byteSize() + 7 & ~7L);
        if (end + 8 > header.byteSize()) {
            throw new BlockException(Errno.ENOSPC);
        }
        header.set(Qcow2Header.BE32, at, type);
        header.set(Qcow2Header.BE32, at + 4, (int) data.byteSize());
        MemorySegment.copy(data, 0, header, at + 8, data.byteSize());
        return end;
    }
}
