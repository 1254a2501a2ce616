package lockstep.runtime.machine;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;

import java.util.List;

/** What the machine {@code none} has, and takes along when it migrates: RAM, if it was asked for. */
public final class EmptyBoard {
    /** As the migration stream calls it. */
    public static final String TYPE = "none";

    private final List<AnonymousRam> blocks;
    private final DirtyLog log;

    /** With so many bytes of RAM, whole pages; 0 for none. */
    public EmptyBoard(long ramSize) throws LinuxException {
        blocks = ramSize == 0 ? List.of() : List.of(new AnonymousRam("ram", ramSize, ramSize));
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
