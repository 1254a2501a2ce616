package lockstep.runtime.migration;

import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads the payloads of {@code ram} sections. The block that a page without a name belongs to is kept
 * across sections, so one loader serves a whole session. Used by the loading thread.
 */
final class RamLoader {
    private static final int PAGE = RamBlock.PAGE;

    private final Map<String, RamBlock> blocks = new LinkedHashMap<>();
    private final byte[] page = new byte[PAGE];
    private RamSink sink = RamSink.GUEST;
    private @Nullable RamBlock current;
    private @Nullable MemorySegment target;

    /** For the blocks of this machine. */
    RamLoader(List<RamBlock> blocks) {
        for (RamBlock block : blocks) {
            this.blocks.put(block.name(), block);
        }
    }

    /** Sends pages elsewhere from now on. */
    void sink(RamSink newSink) {
        sink = newSink;
        current = null;
        target = null;
    }

    /** Sends pages elsewhere from now on and stays inside the current block. */
    void replaceSink(RamSink newSink) throws StateException {
        sink = newSink;
        if (current != null) {
            target = newSink.memory(current);
        }
    }

    /**
     * Reads one payload up to its end mark.
     *
     * @param lengths whether it may change the blocks' lengths
     */
    void load(StateInput in, boolean lengths) throws IOException {
        while (true) {
            long word = in.u64();
            int flags = (int) word & RamFlags.MASK;
            long offset = word & ~(long) RamFlags.MASK;
            switch (flags & ~RamFlags.CONTINUE) {
                case RamFlags.EOS -> {
                    return;
                }
                case RamFlags.MEM_SIZE -> {
                    if (!lengths) {
                        throw invalid("The RAM blocks' lengths come where only pages can");
                    }
                    blockList(in, offset);
                }
                case RamFlags.ZERO -> zero(in, select(in, flags, offset), offset);
                case RamFlags.PAGE -> {
                    RamBlock block = select(in, flags, offset);
                    in.memory(memory(), offset, PAGE);
                    sink.written(block, offset);
                }
                case RamFlags.XBZRLE -> delta(in, select(in, flags, offset), offset);
                case RamFlags.COMPRESSED ->
                        throw invalid(
                                "compressed pages are not supported; switch the sender's"
                                        + " capability compress off");
                case RamFlags.MULTIFD_FLUSH ->
                        throw invalid("multifd is not supported; switch the capability off");
                default ->
                        throw invalid(
                                "Unknown combination of migration flags: 0x%x"
                                        .formatted(flags & ~RamFlags.CONTINUE));
            }
        }
    }

    private void blockList(StateInput in, long total) throws IOException {
        long left = total;
        List<RamBlock> listed = new ArrayList<>();
        while (left > 0) {
            String name = in.name();
            long length = in.u64();
            RamBlock block = blocks.get(name);
            if (block == null) {
                throw invalid("Unknown ramblock \"" + name + "\", cannot accept migration");
            }
            if (length != block.usedLength()) {
                resize(block, length);
            }
            if (Long.compareUnsigned(length, left) > 0 || length == 0) {
                throw invalid("The RAM blocks' lengths do not sum up to their total");
            }
            left -= length;
            listed.add(block);
        }
        sink.lengthsKnown(listed);
    }

    private static void resize(RamBlock block, long length) throws LoadException {
        if (block.maxLength() == block.usedLength() || length % PAGE != 0) {
            throw invalid(
                    "Size mismatch: %s: 0x%x != 0x%x: Invalid argument"
                            .formatted(block.name(), length, block.usedLength()));
        }
        if (Long.compareUnsigned(length, block.maxLength()) > 0) {
            throw invalid(
                    "Size too large: %s: 0x%x > 0x%x: Invalid argument"
                            .formatted(block.name(), length, block.maxLength()));
        }
        block.resize(length);
    }

    private RamBlock select(StateInput in, int flags, long offset) throws IOException {
        RamBlock block = current;
        if ((flags & RamFlags.CONTINUE) == 0) {
            String name = in.name();
            block = blocks.get(name);
            if (block == null) {
                throw invalid("Can't find block " + name);
            }
            current = block;
            target = sink.memory(block);
        } else if (block == null) {
            throw invalid("Ack, bad migration stream!");
        }
        if (Long.compareUnsigned(offset, block.usedLength()) >= 0) {
            throw invalid("Illegal RAM offset %x".formatted(offset));
        }
        return block;
    }

    private MemorySegment memory() {
        MemorySegment m = target;
        if (m == null) {
            throw new IllegalStateException("no block selected");
        }
        return m;
    }

    private void zero(StateInput in, RamBlock block, long offset) throws IOException {
        int value = in.u8();
        if (value != 0) {
            throw invalid("Found a zero page with value " + value);
        }
        MemorySegment m = memory();
        // A page that was never touched costs nothing as long as nobody writes to it.
        if (!RamSource.isZero(m, offset)) {
            m.asSlice(offset, PAGE).fill((byte) 0);
        }
        sink.written(block, offset);
    }

    private void delta(StateInput in, RamBlock block, long offset) throws IOException {
        int encoding = in.u8();
        int length = in.u16();
        if (encoding != 1) {
            throw invalid("Failed to load XBZRLE page - wrong compression!");
        }
        if (length > PAGE) {
            throw invalid("Failed to load XBZRLE page - len overflow!");
        }
        byte[] delta = new byte[length];
        in.bytes(delta);
        MemorySegment m = memory();
        MemorySegment.copy(m, ValueLayout.JAVA_BYTE, offset, page, 0, PAGE);
        if (!decode(delta, page)) {
            throw invalid("Failed to decompress XBZRLE page at %x".formatted(offset));
        }
        MemorySegment.copy(page, 0, m, ValueLayout.JAVA_BYTE, offset, PAGE);
        sink.written(block, offset);
    }

    /** Applies a difference: runs to keep and runs to replace, lengths in LEB128 of at most 2 bytes. */
    static boolean decode(byte[] delta, byte[] page) {
        int at = 0;
        int to = 0;
        boolean first = true;
        while (at < delta.length) {
            long keep = length(delta, at);
            if (keep < 0 || (!first && keep >> 8 == 0)) {
                return false;
            }
            first = false;
            at += (int) (keep & 0xff);
            to += (int) (keep >> 8);
            if (to > page.length || at >= delta.length) {
                return false;
            }
            long literal = length(delta, at);
            int n = (int) (literal >> 8);
            if (literal < 0 || n == 0) {
                return false;
            }
            at += (int) (literal & 0xff);
            if (n > delta.length - at || n > page.length - to) {
                return false;
            }
            System.arraycopy(delta, at, page, to, n);
            at += n;
            to += n;
        }
        return true;
    }

    /** A length in the upper bits, its encoded size in the low byte; -1 if there is none. */
    private static long length(byte[] delta, int at) {
        int low = delta[at] & 0xff;
        if (low < 0x80) {
            return (long) low << 8 | 1;
        }
        if (at + 1 >= delta.length || delta[at + 1] < 0) {
            return -1;
        }
        return (long) (low & 0x7f | delta[at + 1] << 7) << 8 | 2;
    }

    private static LoadException invalid(String note) {
        // The caller names section and error number; what went wrong in detail is a line of its
        // own.
        return new LoadException(
                LoadException.Kind.INVALID,
                "Failed to load vmstate version_id: 4, ret: -22",
                List.of(note));
    }
}
