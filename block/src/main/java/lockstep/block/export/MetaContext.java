package lockstep.block.export;

import lockstep.block.BlockBackend;
import lockstep.block.nbd.Nbd;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.DirtyBitmap;

import java.util.ArrayList;
import java.util.List;

/**
 * Something that clients can ask about an export's blocks.
 *
 * @param name what clients choose it by
 * @param id what replies call it
 */
record MetaContext(String name, int id, Look look) {
    private static final int ALLOCATION_ID = 0;
    private static final int DEPTH_ID = 1;
    private static final int BITMAPS_ID = 2;

    /** Groups that clients can have listed by a name of their own. */
    private static final List<String> GROUPS = List.of("base:", "qemu:", Nbd.DIRTY_BITMAP);

    /**
     * What is so of bytes in a row.
     *
     * @param length at least one byte, at most what was asked for
     */
    record Run(long length, int flags) {}

    /** Finds out about bytes within the export. Any thread. */
    interface Look {
        Run at(long offset, long length) throws BlockException;
    }

    /** All that clients can ask of an export. */
    static List<MetaContext> of(BlockBackend backend, boolean depth, List<DirtyBitmap> bitmaps) {
        List<MetaContext> all = new ArrayList<>();
        all.add(
                new MetaContext(
                        Nbd.BASE_ALLOCATION,
                        ALLOCATION_ID,
                        (offset, length) -> {
                            BlockStatus status = backend.statusBlocking(offset, length);
                            return new Run(
                                    status.length(),
                                    (status.data() ? 0 : Nbd.STATE_HOLE)
                                            | (status.zero() ? Nbd.STATE_ZERO : 0));
                        }));
        if (depth) {
            all.add(
                    new MetaContext(
                            Nbd.ALLOCATION_DEPTH,
                            DEPTH_ID,
                            (offset, length) -> {
                                BlockBackend.Depth found = backend.depthBlocking(offset, length);
                                return new Run(found.length(), found.layer());
                            }));
        }
        for (int i = 0; i < bitmaps.size(); i++) {
            DirtyBitmap bitmap = bitmaps.get(i);
            all.add(
                    new MetaContext(
                            Nbd.DIRTY_BITMAP + bitmap.name(),
                            BITMAPS_ID + i,
                            (offset, length) -> {
                                long run = bitmap.run(offset, length);
                                return new Run(Math.abs(run), run > 0 ? Nbd.STATE_DIRTY : 0);
                            }));
        }
        return all;
    }

    /** Whether a client means it; {@code list} when it does not choose yet. */
    boolean isMeant(String query, boolean list) {
        return query.equals(name) || list && GROUPS.contains(query) && name.startsWith(query);
    }
}
