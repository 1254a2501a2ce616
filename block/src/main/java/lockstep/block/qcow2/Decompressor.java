package lockstep.block.qcow2;

import lockstep.block.node.BlockException;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Reads compressed clusters; keeps the last one, because guests read clusters in pieces. Any
 * thread.
 */
final class Decompressor {
    private final int clusterBits;
    private final int compressionType;
    private volatile @Nullable Plain last;

    private record Plain(long entry, byte[] bytes) {}

    Decompressor(Qcow2Header header) {
        this.clusterBits = header.clusterBits();
        this.compressionType = header.compressionType();
    }

    private static int offsetBits(int clusterBits) {
        return 62 - (clusterBits - 8);
    }

    /** The host byte offset of a compressed cluster. */
    static long start(long entry, int clusterBits) {
        return entry & (1L << offsetBits(clusterBits)) - 1;
    }

    /** The most bytes it takes, up to the end of its last sector. */
    static long length(long entry, int clusterBits) {
        int shift = offsetBits(clusterBits);
        long sectors = (entry & (1L << 62) - 1) >>> shift;
        return (sectors + 1) * 512 - (start(entry, clusterBits) & 511);
    }

    /** The entry of a cluster that was packed into so many bytes. */
    static long entry(long start, long length, int clusterBits) {
        long sectors = (start + length - 1 >>> 9) - (start >>> 9);
        return Mapping.COMPRESSED | sectors << offsetBits(clusterBits) | start;
    }

    /** Fills {@code destination} from byte {@code inCluster} of a compressed cluster on. */
    void read(Guard file, long entry, long inCluster, Pieces destination) throws BlockException {
        Plain plain = last;
        if (plain == null || plain.entry != entry) {
            plain = new Plain(entry, inflate(file, entry));
            last = plain;
        }
        destination.copyFrom(MemorySegment.ofArray(plain.bytes).asSlice(inCluster));
    }

    private byte[] inflate(Guard file, long entry) throws BlockException {
        byte[] packed = new byte[(int) length(entry, clusterBits)];
        long start = start(entry, clusterBits);
        if (start >= file.length()) {
            throw new BlockException(
                    Errno.EIO, "qcow2: compressed cluster beyond the end of the image");
        }
        int other = file.overlap(0, start, packed.length);
        if (other != 0) {
            throw file.damaged(
                    "Compressed cluster offset "
                            + Guard.hex(start)
                            + " overlaps with "
                            + MetadataMap.name(other));
        }
        file.readUpTo(start, MemorySegment.ofArray(packed));
        byte[] plain = new byte[1 << clusterBits];
        if (compressionType == Qcow2Header.ZSTD) {
            Zstandard.unpack(packed, plain);
        } else {
            inflate(packed, plain);
        }
        return plain;
    }

    private static void inflate(byte[] packed, byte[] plain) throws BlockException {
        try (Inflater inflater = new Inflater(true)) {
            inflater.setInput(packed);
            int done = 0;
            while (done < plain.length) {
                int n = inflater.inflate(plain, done, plain.length - done);
                if (n == 0) {
                    throw new BlockException(Errno.EIO, "qcow2: compressed cluster ends early");
                }
                done += n;
            }
        } catch (DataFormatException e) {
            throw new BlockException(Errno.EIO, "qcow2: damaged compressed cluster", e);
        }
    }
}
