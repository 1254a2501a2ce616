package lockstep.tools.shell;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.OptionText;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/** A snapshot inside an image, as users name it: its id or name, or {@code snapshot.id=} or {@code snapshot.name=}. */
public final class InternalSnapshot {
    private InternalSnapshot() {}

    /** Shows a snapshot in place of the image's disk; null shows the disk. */
    public static void show(BlockNode image, @Nullable String snapshot) throws ToolException {
        if (snapshot == null) {
            return;
        }
        String name = snapshot;
        if (snapshot.startsWith("snapshot.")) {
            OptionText text = OptionText.parse(snapshot, null);
            String byName = text.get("snapshot.name");
            name = byName != null ? byName : String.valueOf(text.get("snapshot.id"));
        }
        try {
            if (!(image instanceof Qcow2Node qcow2)) {
                throw new BlockException(
                        Errno.ENOTSUP, "Block format '" + image.driver() + "' has no snapshots");
            }
            qcow2.show(name);
        } catch (BlockException e) {
            throw ToolException.of("Failed to load snapshot: ", e);
        }
    }
}
