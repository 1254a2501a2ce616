package lockstep.block.qcow2;

import lockstep.block.luks.DiskCipher;
import lockstep.block.node.BlockException;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Pieces;

import org.jspecify.annotations.Nullable;

/** The guest's data in the image's file, as they are or encrypted. Any thread. */
final class GuestData {
    private static final int PIECE = 1 << 20;

    private final Guard guard;
    private final @Nullable DiskCipher cipher;
    private final boolean byGuestOffset;

    /**
     * Data.
     *
     * @param cipher null when nothing is encrypted
     */
    GuestData(Guard guard, Qcow2Header header, @Nullable DiskCipher cipher) {
        this.guard = guard;
        this.cipher = cipher;
        // LUKS counts sectors by where they are, the older format by where the guest sees them.
        byGuestOffset = header.encryption() == Qcow2Header.CRYPT_AES;
    }

    /** Whether only whole sectors can be read and written, and what was never written is no zeroes. */
    boolean encrypted() {
        return cipher != null;
    }

    /** Reads what a node has; beyond its end, and where there is none, are zeroes. */
    static void readUpTo(@Nullable ChildEdge node, long offset, Pieces destination)
            throws BlockException {
        long there = 0;
        if (node != null) {
            there = Math.max(0, Math.min(destination.byteSize(), node.length() - offset));
            if (there > 0) {
                node.read(offset, destination.slice(0, there));
            }
        }
        if (there < destination.byteSize()) {
            destination.slice(there).zero();
        }
    }

    /**
     * Reads.
     *
     * @param at the place in the file
     * @param guest the guest's offset
     */
    void read(long at, long guest, Pieces destination) throws BlockException {
        DiskCipher key = cipher;
        if (key == null) {
            readUpTo(guard.file(), at, destination);
            return;
        }
        long total = destination.byteSize();
        for (long done = 0; done < total; done += PIECE) {
            long piece = Math.min(PIECE, total - done);
            try (Buffers.Lease lease = Buffers.take(piece)) {
                readUpTo(guard.file(), at + done, Pieces.of(lease.segment()));
                key.decrypt((byGuestOffset ? guest : at) + done, lease.segment());
                destination.slice(done, piece).copyFrom(lease.segment());
            }
        }
    }

    /** Writes; likewise. */
    void write(long at, long guest, Pieces source) throws BlockException {
        DiskCipher key = cipher;
        if (key == null) {
            guard.write(0, at, source);
            return;
        }
        long total = source.byteSize();
        for (long done = 0; done < total; done += PIECE) {
            long piece = Math.min(PIECE, total - done);
            try (Buffers.Lease lease = Buffers.take(piece)) {
                source.slice(done, piece).copyTo(lease.segment());
                key.encrypt((byGuestOffset ? guest : at) + done, lease.segment());
                guard.write(0, at + done, lease.segment());
            }
        }
    }
}
