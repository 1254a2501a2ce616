package lockstep.block;

import lockstep.block.node.BlockException;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * The block room's service for devices and for COLO; found through the machine's context. Machine
 * lock held.
 */
public interface BlockLayer {
    /** The backends. */
    Backends backends();

    /**
     * The backend for a device's {@code drive} property: a drive's id, or a node name, for which a
     * backend without name is made.
     *
     * @throws BlockException when neither exists or the drive is taken
     */
    BlockBackend forDevice(String drive) throws BlockException;

    /** Drives with an interface, in the order of the command line. */
    List<DriveInfo> drives();

    /** The drive at a place, null when there is none; marks it as used by a device. */
    @Nullable DriveInfo claim(String type, int bus, int unit);

    /** Drives that no device claimed, of types that need a device. */
    List<DriveInfo> unclaimed();
}
