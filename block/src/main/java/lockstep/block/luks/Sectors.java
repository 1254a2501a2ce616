package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.block.node.Buffers;
import lockstep.block.node.Pieces;

/** Requests that are not whole sectors, on disks that are encrypted sector by sector. */
public final class Sectors {
    private static final int MASK = DiskCipher.SECTOR - 1;

    private Sectors() {}

    /** Reads or writes whole sectors. */
    public interface Access {
        void run(long offset, Pieces data) throws BlockException;
    }

    /** Whether a range begins or ends inside a sector. */
    public static boolean ragged(long offset, long length) {
        return ((offset | length) & MASK) != 0;
    }

    /** Reads by way of the sectors around. */
    public static void read(Access read, long offset, Pieces destination) throws BlockException {
        long first = offset & ~MASK;
        try (Buffers.Lease lease = Buffers.take(around(offset, destination))) {
            read.run(first, Pieces.of(lease.segment()));
            destination.copyFrom(lease.segment().asSlice(offset - first));
        }
    }

    /** Writes together with what the sectors around hold; nobody else may change them meanwhile. */
    public static void write(Access read, Access write, long offset, Pieces source)
            throws BlockException {
        long first = offset & ~MASK;
        try (Buffers.Lease lease = Buffers.take(around(offset, source))) {
            Pieces whole = Pieces.of(lease.segment());
            read.run(first, whole);
            source.copyTo(lease.segment().asSlice(offset - first));
            write.run(first, whole);
        }
    }

    private static long around(long offset, Pieces data) {
        long end = offset + data.byteSize() + MASK & ~MASK;
        return end - (offset & ~MASK);
    }
}
