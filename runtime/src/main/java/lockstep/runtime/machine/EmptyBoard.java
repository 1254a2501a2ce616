package lockstep.runtime.machine;

import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.MemoryBackend;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** What the machine {@code none} has, and takes along when it migrates: RAM, if it was asked for. */
public final class EmptyBoard implements PhysicalMemory {
    /** As the migration stream calls it. */
    public static final String TYPE = "none";

    private final List<AnonymousRam> blocks;
    private final DirtyLog log;
    private final RegionMap addresses = RegionMap.memory(null);
    private final GuestMemory dma = new BusMemory(addresses);

    /** With an object as its RAM, or null. */
    public EmptyBoard(@Nullable MemoryBackend memory) {
        blocks =
                memory == null
                        ? List.of()
                        : List.of(new AnonymousRam(memory.blockName(), memory.mapping()));
        log = new BlockDirtyLog(() -> blocks, null);
        for (AnonymousRam ram : blocks) {
            addresses.mapRam(ram.name(), 0, ram.usedLength(), ram, 0, 0);
        }
    }

    @Override
    public AddressSpace memory() {
        return addresses;
    }

    @Override
    public GuestMemory dma() {
        return dma;
    }

    /** What is mapped, as {@code info mtree} shows it. */
    public String describe() {
        return addresses.describe().indent(2);
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
