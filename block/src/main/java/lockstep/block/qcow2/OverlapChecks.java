package lockstep.block.qcow2;

import lockstep.api.Qcow2OverlapCheckFlags;
import lockstep.api.Qcow2OverlapCheckMode;
import lockstep.api.Qcow2OverlapChecks;

import org.jspecify.annotations.Nullable;

/**
 * Which parts of an image's metadata are protected from writes of anything else.
 *
 * @param parts the bits of {@link MetadataMap}
 */
public record OverlapChecks(int parts) {
    private static final int CONSTANT =
            MetadataMap.HEADER
                    | MetadataMap.ACTIVE_L1
                    | MetadataMap.REFCOUNT_TABLE
                    | MetadataMap.SNAPSHOT_TABLE
                    | MetadataMap.BITMAP_DIRECTORY;
    private static final int CACHED =
            CONSTANT | MetadataMap.ACTIVE_L2 | MetadataMap.REFCOUNT_BLOCK | MetadataMap.INACTIVE_L1;

    /** What is protected when nobody says otherwise. */
    public static final OverlapChecks DEFAULT = new OverlapChecks(CACHED);

    /** What an option asks for. */
    public static OverlapChecks of(@Nullable Qcow2OverlapChecks option) {
        return switch (option) {
            case null -> DEFAULT;
            case Qcow2OverlapChecks.Unrecognized u -> throw new AssertionError(u);
            case Qcow2OverlapChecks.Mode mode -> new OverlapChecks(template(mode.value()));
            case Qcow2OverlapChecks.Flags flags -> of(flags.value());
        };
    }

    private static OverlapChecks of(Qcow2OverlapCheckFlags flags) {
        int parts = template(flags.template());
        parts = with(parts, MetadataMap.HEADER, flags.mainHeader());
        parts = with(parts, MetadataMap.ACTIVE_L1, flags.activeL1());
        parts = with(parts, MetadataMap.ACTIVE_L2, flags.activeL2());
        parts = with(parts, MetadataMap.REFCOUNT_TABLE, flags.refcountTable());
        parts = with(parts, MetadataMap.REFCOUNT_BLOCK, flags.refcountBlock());
        parts = with(parts, MetadataMap.SNAPSHOT_TABLE, flags.snapshotTable());
        parts = with(parts, MetadataMap.INACTIVE_L1, flags.inactiveL1());
        parts = with(parts, MetadataMap.INACTIVE_L2, flags.inactiveL2());
        parts = with(parts, MetadataMap.BITMAP_DIRECTORY, flags.bitmapDirectory());
        return new OverlapChecks(parts);
    }

    private static int with(int parts, int part, @Nullable Boolean wanted) {
        return wanted == null ? parts : wanted ? parts | part : parts & ~part;
    }

    private static int template(@Nullable Qcow2OverlapCheckMode mode) {
        return switch (mode) {
            case null -> CACHED;
            case NONE -> 0;
            case CONSTANT -> CONSTANT;
            case CACHED -> CACHED;
            case ALL -> MetadataMap.ALL;
            case UNRECOGNIZED -> throw new AssertionError(mode);
        };
    }
}
