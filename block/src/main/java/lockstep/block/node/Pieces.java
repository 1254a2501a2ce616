package lockstep.block.node;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * The memory of a request: what is read into, or written from, one piece after the other. It may be a guest's, which can
 * change it at any time: whoever decides by its content acts on a copy.
 */
public final class Pieces {
    /** No memory. */
    public static final Pieces NONE = of(MemorySegment.NULL);

    private final List<MemorySegment> segments;
    private final long byteSize;

    private Pieces(List<MemorySegment> segments, long byteSize) {
        this.segments = segments;
        this.byteSize = byteSize;
    }

    /** Memory in one piece. */
    public static Pieces of(MemorySegment whole) {
        return new Pieces(List.of(whole), whole.byteSize());
    }

    /** Memory in several pieces, of any length each. */
    public static Pieces of(List<MemorySegment> segments) {
        long size = 0;
        for (MemorySegment segment : segments) {
            size = Math.addExact(size, segment.byteSize());
        }
        return new Pieces(List.copyOf(segments), size);
    }

    /** The pieces. */
    public List<MemorySegment> segments() {
        return segments;
    }

    /** Bytes of all pieces together. */
    public long byteSize() {
        return byteSize;
    }

    /** What is left behind {@code offset}. */
    public Pieces slice(long offset) {
        return slice(offset, byteSize - offset);
    }

    /** A part of the memory. */
    public Pieces slice(long offset, long length) {
        Objects.checkFromIndexSize(offset, length, byteSize);
        if (length == byteSize) {
            return this;
        }
        if (segments.size() == 1) {
            return of(segments.getFirst().asSlice(offset, length));
        }
        List<MemorySegment> part = new ArrayList<>();
        long skip = offset;
        long left = length;
        for (int i = 0; left > 0; i++) {
            MemorySegment segment = segments.get(i);
            long run = Math.min(segment.byteSize() - skip, left);
            if (run > 0) {
                part.add(segment.asSlice(skip, run));
                left -= run;
            }
            skip = Math.max(0, skip - segment.byteSize());
        }
        return new Pieces(part, length);
    }

    /** Whether each piece is native memory whose address and length are aligned to a power of two. */
    public boolean aligned(int alignment) {
        for (int i = 0; i < segments.size(); i++) {
            MemorySegment segment = segments.get(i);
            if (!segment.isNative()
                    || ((segment.address() | segment.byteSize()) & alignment - 1) != 0) {
                return false;
            }
        }
        return true;
    }

    /** Fills all of it with zeroes. */
    public void zero() {
        for (MemorySegment segment : segments) {
            segment.fill((byte) 0);
        }
    }

    /** Whether all of it is zeroes. */
    public boolean isZero() {
        for (MemorySegment segment : segments) {
            if (!Zeroes.isZero(segment)) {
                return false;
            }
        }
        return true;
    }

    /** Fills all of it with the start of {@code source}. */
    public void copyFrom(MemorySegment source) {
        long at = 0;
        for (MemorySegment segment : segments) {
            MemorySegment.copy(source, at, segment, 0, segment.byteSize());
            at += segment.byteSize();
        }
    }

    /** Copies all of it to the start of {@code target}. */
    public void copyTo(MemorySegment target) {
        long at = 0;
        for (MemorySegment segment : segments) {
            MemorySegment.copy(segment, 0, target, at, segment.byteSize());
            at += segment.byteSize();
        }
    }
}
