package lockstep.runtime.memory;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.Supplier;

/** The record of changed pages of all blocks: the accelerator's log and the VMM's own writes together. */
public final class BlockDirtyLog implements DirtyLog {
    private final Supplier<List<AnonymousRam>> blocks;
    private final @Nullable MemoryAccelerator accelerator;
    private boolean recording;

    /** Over the blocks that {@code blocks} gives at any time. */
    public BlockDirtyLog(
            Supplier<List<AnonymousRam>> blocks, @Nullable MemoryAccelerator accelerator) {
        this.blocks = blocks;
        this.accelerator = accelerator;
    }

    @Override
    public void start() {
        if (recording && accelerator != null) {
            accelerator.logWrites(false);
        }
        blocks.get().forEach(AnonymousRam::startDirty);
        recording = true;
        if (accelerator != null) {
            accelerator.logWrites(true);
        }
    }

    @Override
    public void stop() {
        if (!recording) {
            return;
        }
        recording = false;
        if (accelerator != null) {
            accelerator.logWrites(false);
        }
        blocks.get().forEach(AnonymousRam::stopDirty);
    }

    @Override
    public boolean recording() {
        return recording;
    }

    @Override
    public long collect(RamBlock block, long[] bitmap) {
        if (!recording || !(block instanceof AnonymousRam ram)) {
            return 0;
        }
        if (accelerator != null) {
            accelerator.syncLog(ram);
        }
        return ram.drainDirty(bitmap);
    }

    /** A block made while recording: all of its changes count from here on. */
    public void added(AnonymousRam block) {
        if (recording) {
            block.startDirty();
        }
    }
}
