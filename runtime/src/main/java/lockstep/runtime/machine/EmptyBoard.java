package lockstep.runtime.machine;

import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.MemoryBackend;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** What the machine {@code none} has, and takes along when it migrates: RAM, if it was asked for. */
public final class EmptyBoard {
    /** As the migration stream calls it. */
    public static final String TYPE = "none";

    private final List<AnonymousRam> blocks;
    private final DirtyLog log;

    /** With an object as its RAM, or null. */
    public EmptyBoard(@Nullable MemoryBackend memory) {
        blocks =
                memory == null
                        ? List.of()
                        : List.of(new AnonymousRam(memory.blockName(), memory.mapping()));
        log = new BlockDirtyLog(() -> blocks, null);
    }

    /** All RAM. */
    public List<RamBlock> blocks() {
        return List.copyOf(blocks);
    }

    /** The record of changes; nobody makes any. */
    public DirtyLog dirtyLog() {
        return log;
    }
}
