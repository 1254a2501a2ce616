package lockstep.block.qcow2;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdException;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/**
 * Clusters as Zstandard frames (RFC 8878). The library is native code of its own that is unpacked and loaded with the
 * first cluster; where that cannot be, only images with such clusters are no use.
 */
final class Zstandard {
    private Zstandard() {}

    /** The packed bytes as one frame, null when that would not be shorter. Any thread. */
    static byte @Nullable [] pack(byte[] plain) throws BlockException {
        try {
            byte[] packed = new byte[(int) Zstd.compressBound(plain.length)];
            long length =
                    Zstd.compressByteArray(
                            packed,
                            0,
                            packed.length,
                            plain,
                            0,
                            plain.length,
                            Zstd.defaultCompressionLevel());
            return length < plain.length ? Arrays.copyOf(packed, (int) length) : null;
        } catch (ZstdException e) {
            throw new BlockException(Errno.EIO, "qcow2: a cluster cannot be compressed", e);
        } catch (LinkageError e) {
            throw missing(e);
        }
    }

    /**
     * Unpacks frames until a cluster is full; what follows is of no matter, for only the sector in which they end is
     * known. Takes no memory beyond that, whatever the frames ask for.
     */
    static void unpack(byte[] packed, byte[] plain) throws BlockException {
        try {
            int from = 0;
            int done = 0;
            while (done < plain.length) {
                if (from == packed.length) {
                    throw new BlockException(Errno.EIO, "qcow2: compressed cluster ends early");
                }
                long frame = Zstd.findFrameCompressedSize(packed, from, packed.length - from);
                if (frame <= 0 || frame > packed.length - from) { // codes of errors are negative
                    throw new BlockException(Errno.EIO, "qcow2: damaged compressed cluster");
                }
                int room = plain.length - done;
                done +=
                        (int)
                                Zstd.decompressByteArray(
                                        plain, done, room, packed, from, (int) frame);
                from += (int) frame;
            }
        } catch (ZstdException e) {
            throw new BlockException(Errno.EIO, "qcow2: damaged compressed cluster", e);
        } catch (LinkageError e) {
            throw missing(e);
        }
    }

    private static BlockException missing(LinkageError e) {
        return new BlockException(
                Errno.ENOTSUP,
                "qcow2: the library for zstd-compressed clusters cannot be loaded: "
                        + e.getMessage(),
                e);
    }
}
