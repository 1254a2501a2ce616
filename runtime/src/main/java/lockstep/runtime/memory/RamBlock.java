package lockstep.runtime.memory;

import java.lang.foreign.MemorySegment;

/**
 * One piece of guest RAM or ROM that migrates under its name ({@code pc.ram}, {@code pc.bios}, {@code
 * 0000:00:02.0/vga.vram}, ...). Backed by anonymous host memory that lives as long as the machine.
 */
public interface RamBlock {
    /** Bytes in a page, of dirty tracking and of the migration stream. */
    int PAGE = 4096;

    /** The name in the migration stream, at most 255 bytes. */
    String name();

    /** The memory, {@link #maxLength} bytes long. */
    MemorySegment memory();

    /** Bytes in use, a multiple of {@link #PAGE}. */
    long usedLength();

    /** The most {@link #resize} allows; equals {@link #usedLength} for a block of fixed size. */
    long maxLength();

    /** Changes the used length of a resizable block. Throws IllegalArgumentException beyond the maximum. */
    void resize(long usedLength);

    /** Says that the VMM itself changed {@code length} bytes at {@code offset}. Cheap when no log is kept. */
    void markDirty(long offset, long length);
}
