package lockstep.devices.ide;

import lockstep.block.Completion;
import lockstep.block.node.Pieces;
import lockstep.runtime.memory.RamPiece;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Moves data between a medium and the regions of the bus master, by the back end's own hand where they are RAM, else by
 * the drive's buffer, which is as large as the longest transfer.
 */
final class DmaTransfer {
    /** What follows a read. */
    @FunctionalInterface
    interface Read {
        /** {@code all}: the regions took it all. */
        void done(int errno, boolean all);
    }

    private final Channel channel;

    DmaTransfer(Channel channel) {
        this.channel = channel;
    }

    private static Pieces memory(List<RamPiece> pieces) {
        return Pieces.of(pieces.stream().map(RamPiece::memory).toList());
    }

    /** Reads from a byte offset of the medium, as a {@linkplain Channel#begin request} of this kind. */
    void read(Drive d, int kind, long offset, long length, Read then) {
        List<RamPiece> pieces = channel.master.ram(length, true);
        if (pieces.isEmpty()) {
            MemorySegment part = d.buffer.asSlice(0, length);
            Channel.Done copy =
                    errno -> then.done(errno, errno == 0 && channel.master.toGuest(part));
            d.disk().read(offset, part, channel.begin(kind, copy));
            return;
        }
        Completion done = channel.begin(kind, errno -> then.done(errno, errno == 0));
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
    boolean write(Drive d, int kind, long offset, long length, Channel.Done then) {
        List<RamPiece> pieces = channel.master.ram(length, false);
        Pieces source;
        if (pieces.isEmpty()) {
            MemorySegment part = d.buffer.asSlice(0, length);
            if (!channel.master.fromGuest(part)) {
                return false;
            }
            source = Pieces.of(part);
        } else {
            source = memory(pieces);
        }
        d.disk().write(offset, source, channel.begin(kind, then));
        return true;
    }
}
