package lockstep.block.node;

import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.qmp.JsonObject;

/**
 * How a node was opened.
 *
 * @param options the driver's significant options without children, in the types they were given
 *     with
 * @param discardUnmap discard=unmap: discards reach the driver
 * @param cacheDirect cache.direct
 * @param cacheNoFlush cache.no-flush
 * @param detectZeroes whether written zeroes become zero requests, and whether these unmap
 * @param backingOverridden the backing node was given by the user and not by the image's header
 */
public record NodeInfo(
        JsonObject options,
        boolean discardUnmap,
        boolean cacheDirect,
        boolean cacheNoFlush,
        BlockdevDetectZeroesOptions detectZeroes,
        boolean backingOverridden) {
    /** Likewise with another cache mode. */
    public NodeInfo cached(boolean direct, boolean noFlush) {
        return new NodeInfo(
                options, discardUnmap, direct, noFlush, detectZeroes, backingOverridden);
    }

    /** Likewise with other ways to treat discards and zeroes. */
    public NodeInfo sparing(boolean unmap, BlockdevDetectZeroesOptions zeroes) {
        return new NodeInfo(options, unmap, cacheDirect, cacheNoFlush, zeroes, backingOverridden);
    }

    /** Likewise, with or without what the image's header says below it. */
    public NodeInfo over(boolean anotherBacking) {
        return new NodeInfo(
                options, discardUnmap, cacheDirect, cacheNoFlush, detectZeroes, anotherBacking);
    }

    /** That of a node which no user asked for. */
    public static final NodeInfo EMPTY =
            new NodeInfo(
                    new JsonObject(), true, false, false, BlockdevDetectZeroesOptions.OFF, false);
}
