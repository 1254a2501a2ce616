package lockstep.block.qcow2;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.zip.Deflater;

/** Packs clusters as an image's compression type 0 has them: a bare deflate stream. */
final class Compressor {
    private Compressor() {}

    /** The packed cluster, null when that would not be shorter. Any thread. */
    static byte @Nullable [] pack(MemorySegment cluster) {
        byte[] packed = new byte[(int) cluster.byteSize() - 1];
        try (Deflater deflater = new Deflater(Deflater.DEFAULT_COMPRESSION, true)) {
            deflater.setInput(cluster.toArray(ValueLayout.JAVA_BYTE));
            deflater.finish();
            int length = 0;
            while (!deflater.finished() && length < packed.length) {
                length += deflater.deflate(packed, length, packed.length - length);
            }
            return deflater.finished() ? java.util.Arrays.copyOf(packed, length) : null;
        }
    }
}
