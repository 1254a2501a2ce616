package lockstep.runtime.memory;

import java.lang.foreign.MemorySegment;

/**
 * Guest RAM that a device's back end reads or fills by itself.
 *
 * @param block where it is
 * @param offset in the block
 * @param length bytes, at least 1
 */
public record RamPiece(RamBlock block, long offset, long length) {
    /** The bytes. A guest may change them at any time. */
    public MemorySegment memory() {
        return block.memory().asSlice(offset, length);
    }

    /** Says that it was filled, wholly or in part: after that, and before anybody hears of it. Any thread. */
    public void filled() {
        block.markDirty(offset, length);
    }

    /** Whether another piece begins where this one ends. */
    public boolean goesOnWith(RamPiece next) {
        return block == next.block && offset + length == next.offset;
    }

    /** Both as one. */
    public RamPiece with(RamPiece next) {
        return new RamPiece(block, offset, length + next.length);
    }
}
