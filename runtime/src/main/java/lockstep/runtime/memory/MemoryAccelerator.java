package lockstep.runtime.memory;

import java.util.List;

/** The part of an accelerator that maps guest RAM and logs writes. Called under the machine lock. */
public interface MemoryAccelerator {
    /**
     * A piece of RAM as the guest is to see it.
     *
     * @param address guest physical address, page aligned
     * @param length bytes, whole pages
     * @param block the backing block
     * @param offset of the piece in the block, page aligned
     * @param readOnly whether guest writes leave the guest instead of changing the memory
     */
    record Piece(long address, long length, AnonymousRam block, long offset, boolean readOnly) {}

    /** Makes exactly these pieces visible. They do not overlap and are sorted by address. */
    void map(List<Piece> pieces);

    /** Starts or stops logging of guest writes to all pieces. */
    void logWrites(boolean on);

    /** Moves what was logged for pieces of {@code block} into {@link AnonymousRam#mergeDirty}. */
    void syncLog(AnonymousRam block);
}
