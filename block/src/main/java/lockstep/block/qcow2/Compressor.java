package lockstep.block.qcow2;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.zip.Deflater;

/** Packs clusters as an image's compression type has them: a bare deflate stream, or a Zstandard frame. */
final class Compressor {
    private final int type;

    /** Packs for an image of that compression type. */
    Compressor(int type) {
        this.type = type;
    }

    /** The packed cluster, null when that would not be shorter. Any thread. */
    byte @Nullable [] pack(MemorySegment cluster) throws BlockException {
        byte[] plain = cluster.toArray(ValueLayout.JAVA_BYTE);
        return type == Qcow2Header.ZSTD ? Zstandard.pack(plain) : deflate(plain);
    }

    private static byte @Nullable [] deflate(byte[] plain) {
        byte[] packed = new byte[plain.length - 1];
        try (Deflater deflater = new Deflater(Deflater.DEFAULT_COMPRESSION, true)) {
            deflater.setInput(plain);
            deflater.finish();
            int length = 0;
            while (!deflater.finished() && length < packed.length) {
                length += deflater.deflate(packed, length, packed.length - length);
            }
            return deflater.finished() ? Arrays.copyOf(packed, length) : null;
        }
    }
}
