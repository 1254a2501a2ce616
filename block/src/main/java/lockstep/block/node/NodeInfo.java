package lockstep.block.node;

import org.jspecify.annotations.Nullable;

import java.util.Map;

/**
 * What queries show of how a node was opened.
 *
 * @param filename the node's own file name, "" when it has none
 * @param options the driver's significant options without children, in the types they were given with
 * @param discardUnmap discard=unmap
 * @param cacheDirect cache.direct
 * @param cacheNoFlush cache.no-flush
 * @param detectZeroes off, on or unmap
 * @param backingFile the backing file name of the image's header
 */
public record NodeInfo(
        String filename,
        Map<String, Object> options,
        boolean discardUnmap,
        boolean cacheDirect,
        boolean cacheNoFlush,
        String detectZeroes,
        @Nullable String backingFile) {
    static final NodeInfo EMPTY = new NodeInfo("", Map.of(), true, false, false, "off", null);
}
