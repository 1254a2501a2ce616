package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.qcow2.Snapshot;
import lockstep.block.qcow2.SnapshotText;
import lockstep.runtime.linux.Errno;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.time.Instant;
import java.util.List;

/** {@code snapshot}: snapshots inside an image. */
final class SnapshotCommand {
    private final Session session;

    SnapshotCommand(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(line, "l a= c= d= q U|--force-share --object= --image-opts f=");
        String action = null;
        for (Options.Option option : options.given()) {
            if (option.name().length() == 1 && "lacd".contains(option.name())) {
                if (action != null) {
                    throw ToolException.usage("Cannot mix '-l', '-a', '-c', '-d'");
                }
                action = option.name();
            }
        }
        String filename = options.onlyFile();
        if (action == null) {
            return 0;
        }
        Images.Way way = Images.Way.reading(options).withoutBacking();
        try (Image image =
                session.images().open(filename, action.equals("l") ? way : way.writing())) {
            Qcow2Node qcow2 = image.qcow2();
            String name = options.get(action);
            if (action.equals("l")) {
                list(qcow2);
            } else {
                change(action, String.valueOf(name), qcow2);
            }
        }
        return 0;
    }

    private void list(@Nullable Qcow2Node image) {
        List<Snapshot> snapshots = image == null ? List.of() : image.snapshots();
        if (!snapshots.isEmpty()) {
            StringBuilder out = new StringBuilder("Snapshot list:\n" + SnapshotText.HEAD);
            snapshots.forEach(snapshot -> out.append(SnapshotText.line(snapshot)));
            session.console().print(out.toString());
        }
    }

    private static void change(String action, String name, @Nullable Qcow2Node image)
            throws ToolException {
        try {
            if (image == null) {
                throw new BlockException(Errno.ENOTSUP);
            }
            switch (action) {
                case "c" -> {
                    Instant now = Instant.now();
                    image.createSnapshot(
                            name, now.getEpochSecond(), now.getNano() / 1000 * 1000, 0, 0, 0);
                }
                case "a" -> image.applySnapshot(name);
                default -> image.deleteSnapshot(name);
            }
        } catch (BlockException e) {
            String what =
                    switch (action) {
                        case "c" -> "create";
                        case "a" -> "apply";
                        default -> "delete";
                    };
            String reason =
                    switch (action) {
                        case "c" -> "-" + e.errno() + " (" + e.getMessage() + ")";
                        case "a" ->
                                e.errno() == Errno.ENOENT
                                        ? "Failed to load snapshot: " + Errno.text(Errno.ENOENT)
                                        : String.valueOf(e.getMessage());
                        default ->
                                e.errno() == Errno.ENOENT
                                        ? "snapshot not found"
                                        : String.valueOf(e.getMessage());
                    };
            throw new ToolException("Could not " + what + " snapshot '" + name + "': " + reason);
        }
    }
}
