package lockstep.block.drive;

import lockstep.block.BlockBackend;
import lockstep.block.Tray;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.open.NodeOpener;
import lockstep.block.open.NodeOpener.Inherited;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/**
 * What users do to trays and media. A drive is named either by its own name or by that of its device;
 * what cannot be found is {@link Errno#ENODEV}. Main loop, machine lock held.
 */
public final class MediaChanger {
    /** Whether the guest may write to a new medium. */
    public enum Mode {
        /** As it was with the medium before. */
        RETAIN,
        READ_ONLY,
        READ_WRITE
    }

    private final BlockManager manager;
    private final NodeOpener opener;

    MediaChanger(BlockManager manager, NodeOpener opener) {
        this.manager = manager;
        this.opener = opener;
    }

    /** One drive and the name by which the user knows it. */
    private record Named(BlockBackend backend, String name) {
        BlockException failure(String before, String after) {
            return bad(before + "evice '" + name + "'" + after);
        }

        /** Refuses a guest's device whose medium stays where it is. */
        void requireRemovable() throws BlockException {
            if (!backend.removable()) {
                throw failure("D", " is not removable");
            }
        }

        /** Refuses to reach through a closed tray. */
        void requireOpen() throws BlockException {
            requireRemovable();
            if (shut()) {
                throw failure("Tray of d", " is not open");
            }
        }

        boolean shut() {
            Tray tray = backend.tray();
            return tray != null && !tray.open();
        }
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    private Named find(@Nullable String drive, @Nullable String device) throws BlockException {
        if ((drive == null) == (device == null)) {
            throw bad("Need exactly one of 'device' and 'id'");
        }
        BlockGraph graph = manager.graph();
        if (drive != null) {
            return named(manager.backends().find(drive), drive);
        }
        String id = device.startsWith("/machine/peripheral/") ? device.substring(20) : device;
        for (BlockBackend backend : manager.backends()) {
            if (id.equals(backend.device())) {
                return named(backend, device);
            }
        }
        return named(null, device);
    }

    /** The drive that a command names in one of two ways. */
    public BlockBackend backend(@Nullable String drive, @Nullable String device)
            throws BlockException {
        return find(drive, device).backend();
    }

    private static Named named(@Nullable BlockBackend backend, String name) throws BlockException {
        if (backend == null) {
            throw new BlockException(Errno.ENODEV, "Device '" + name + "' not found");
        }
        return new Named(backend, name);
    }

    /** Opens the tray and takes the medium out. */
    public void eject(@Nullable String drive, @Nullable String device, boolean force)
            throws BlockException {
        Named named = find(drive, device);
        requireOpened(named, force);
        remove(named);
    }

    /** Opens the tray, or asks a guest that has locked it to do so. */
    public void openTray(@Nullable String drive, @Nullable String device, boolean force)
            throws BlockException {
        open(find(drive, device), force);
    }

    /** Closes the tray; a drive without one is left as it is. */
    public void closeTray(@Nullable String drive, @Nullable String device) throws BlockException {
        Named named = find(drive, device);
        named.requireRemovable();
        close(named.backend());
    }

    private static void close(BlockBackend backend) {
        Tray tray = backend.tray();
        if (tray != null && tray.open()) {
            tray.move(false);
            backend.trayMoved(false);
        }
    }

    /** Opens the tray if there is one; false when the guest has locked it and keeps it closed. */
    private static boolean open(Named named, boolean force) throws BlockException {
        named.requireRemovable();
        BlockBackend backend = named.backend();
        Tray tray = backend.tray();
        if (tray == null || tray.open()) {
            return true;
        }
        boolean locked = tray.locked();
        if (locked) {
            tray.requestEject(force);
        }
        if (locked && !force) {
            return false;
        }
        tray.move(true);
        backend.trayMoved(true);
        return true;
    }

    private static void requireOpened(Named named, boolean force) throws BlockException {
        if (!open(named, force)) {
            throw named.failure(
                    "D",
                    " is locked and force was not specified, wait for tray to open and try again");
        }
    }

    /** Takes the medium out of an open tray. */
    public void remove(String device) throws BlockException {
        remove(find(null, device));
    }

    private void remove(Named named) throws BlockException {
        named.requireOpen();
        BlockNode medium = named.backend().root();
        if (medium != null) {
            manager.release(named.backend(), medium);
        }
    }

    /** Lays a node into an open tray. */
    public void insert(String device, String node) throws BlockException {
        Named named = find(null, device);
        BlockNode medium = manager.graph().names().findNode(node);
        if (medium == null) {
            throw bad("Node '" + node + "' not found");
        }
        if (medium.parents().stream().anyMatch(e -> e.user() instanceof BlockBackend)) {
            throw bad("Node '" + node + "' is already in use");
        }
        insert(named, medium);
    }

    private static void insert(Named named, BlockNode medium) throws BlockException {
        BlockBackend backend = named.backend();
        if (!backend.removable()) {
            throw bad("Device is not removable");
        }
        if (named.shut()) {
            throw bad("Tray of the device is not open");
        }
        if (backend.device() != null && !backend.takesMedia()) {
            throw named.failure("D", " does not take media");
        }
        if (backend.present()) {
            throw bad("There already is a medium in the device");
        }
        backend.insert(medium);
    }

    /**
     * Exchanges the medium for an image.
     *
     * @param filename its name, as of a drive's {@code file}
     * @param format its format, or null to find it out
     */
    public void change(
            @Nullable String drive,
            @Nullable String device,
            String filename,
            @Nullable String format,
            boolean force,
            Mode mode)
            throws BlockException {
        Named named = find(drive, device);
        BlockNode before = named.backend().root();
        boolean readOnly =
                switch (mode) {
                    case READ_ONLY -> true;
                    case READ_WRITE -> false;
                    case RETAIN ->
                            before == null
                                    ? named.backend().readOnlyWhenEmpty()
                                    : before.readOnly();
                };
        JsonObject tree = new JsonObject();
        tree.put("read-only", new JsonString(readOnly ? "on" : "off"));
        if (format != null) {
            tree.put("driver", new JsonString(format));
        }
        DriveText.named(tree, filename);
        BlockNode medium = opener.openLegacy(tree, Inherited.DRIVE);
        try {
            requireOpened(named, force);
            remove(named);
            insert(named, medium);
            close(named.backend());
        } finally {
            manager.graph().release(medium);
        }
    }
}
