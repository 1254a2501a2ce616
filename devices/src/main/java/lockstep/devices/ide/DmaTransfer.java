package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.BUFFER;

import lockstep.block.Completion;
import lockstep.block.node.Pieces;
import lockstep.runtime.memory.RamPiece;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Moves data between a medium and the regions of the bus master: all at once by the back end's own hand where they are
 * RAM, else as much as the drive's buffer holds.
 */
final class DmaTransfer {
    /** What follows one request. */
    @FunctionalInterface
    interface Moved {
        /** {@code bytes} are in their place; none after an error, or when the regions did not take them. */
        void done(int errno, long bytes);
    }

    private final Channel channel;

    DmaTransfer(Channel channel) {
        this.channel = channel;
    }

    private static Pieces memory(List<RamPiece> pieces) {
        return Pieces.of(pieces.stream().map(RamPiece::memory).toList());
    }

    /** Reads up to so many bytes from an offset of the medium, as a {@linkplain Channel#begin request} of this kind. */
    void read(Drive d, int kind, long offset, long length, Moved then) {
        List<RamPiece> pieces = channel.master.ram(length, true);
        if (pieces.isEmpty()) {
            MemorySegment part = d.buffer.asSlice(0, Math.min(length, BUFFER));
            Channel.Done copy =
                    errno -> {
                        boolean all = errno == 0 && channel.master.toGuest(part);
                        then.done(errno, all ? part.byteSize() : 0);
                    };
            d.disk().read(offset, part, channel.begin(kind, copy));
            return;
        }
        Completion done = channel.begin(kind, errno -> then.done(errno, errno == 0 ? length : 0));
        d.disk()
                .read(
                        offset,
                        memory(pieces),
                        errno -> {
                            pieces.forEach(RamPiece::filled);
                            done.complete(errno);
                        });
    }

    /** Writes likewise; false, and nothing is done, when the regions are too small. */
    boolean write(Drive d, int kind, long offset, long length, Moved then) {
        List<RamPiece> pieces = channel.master.ram(length, false);
        Pieces source;
        if (pieces.isEmpty()) {
            MemorySegment part = d.buffer.asSlice(0, Math.min(length, BUFFER));
            if (!channel.master.fromGuest(part)) {
                return false;
            }
            source = Pieces.of(part);
        } else {
            source = memory(pieces);
        }
        long bytes = source.byteSize();
        Channel.Done done = errno -> then.done(errno, errno == 0 ? bytes : 0);
        d.disk().write(offset, source, channel.begin(kind, done));
        return true;
    }
}
