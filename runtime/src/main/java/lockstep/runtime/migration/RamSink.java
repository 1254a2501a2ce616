package lockstep.runtime.migration;

import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.StateException;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** Where received pages go: guest RAM, or a cache that COLO keeps. Used by the loading thread. */
public interface RamSink {
    /** The memory that pages of {@code block} are written to, at least its used length long. */
    MemorySegment memory(RamBlock block) throws StateException;

    /** Called behind each write of one page at {@code offset}. */
    void written(RamBlock block, long offset);

    /** The blocks and lengths of the source are known and the blocks have these lengths. */
    default void lengthsKnown(List<RamBlock> blocks) throws StateException {}

    /** Straight into guest RAM. */
    RamSink GUEST =
            new RamSink() {
                @Override
                public MemorySegment memory(RamBlock block) {
                    return block.memory();
                }

                @Override
                public void written(RamBlock block, long offset) {}
            };
}
