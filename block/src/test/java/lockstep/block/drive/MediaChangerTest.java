package lockstep.block.drive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.Tray;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.quorum.QuorumEvents;
import lockstep.runtime.linux.Errno;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Map;

/** Trays and media; the sentences are those of QEMU 7.2. */
class MediaChangerTest {
    @TempDir Path dir;
    private final StringBuilder events = new StringBuilder();
    private final BlockManager manager =
            new BlockManager(
                    new BlockHost() {
                        @Override
                        public void post(Runnable task) {
                            task.run();
                        }

                        @Override
                        public void trayMoved(BlockBackend backend, boolean open) {
                            events.append(backend.device()).append(open ? " open " : " closed ");
                        }
                    },
                    QuorumEvents.NONE,
                    () -> false,
                    warning -> {},
                    export -> {});
    private final MediaChanger media = manager.media();
    private final FakeTray tray = new FakeTray();
    private BlockBackend cd;
    private String first;
    private String second;

    private static final class FakeTray implements Tray {
        boolean open;
        boolean locked;
        boolean asked;

        @Override
        public boolean open() {
            return open;
        }

        @Override
        public boolean locked() {
            return locked;
        }

        @Override
        public void move(boolean moved) {
            open = moved;
        }

        @Override
        public void requestEject(boolean force) {
            asked = true;
            locked &= !force;
        }
    }

    private String image(String name) throws Exception {
        Path path = dir.resolve(name);
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(1 << 20);
        }
        return path.toString();
    }

    @BeforeEach
    void drives() throws Exception {
        first = image("first.iso");
        second = image("second.iso");
        cd =
                manager.addDrive(
                                "if=none,id=d0,media=cdrom,format=raw,file=" + first,
                                Map.of(),
                                "ide")
                        .backend();
        cd.attachDevice("cd", true, true);
        cd.setTray(tray);
        manager.addDrive("if=none,id=d1,format=raw,file=" + image("disk"), Map.of(), "ide")
                .backend()
                .attachDevice("hd", false, false);
    }

    @AfterEach
    void close() {
        manager.close();
    }

    private String medium() {
        BlockNode root = cd.root();
        assertNotNull(root);
        return root.name();
    }

    private interface Refused {
        void run() throws BlockException;
    }

    private static void refused(String message, Refused action) {
        assertEquals(message, assertThrows(BlockException.class, action::run).getMessage());
    }

    @Test
    void aDriveIsNamedInOneWay() {
        String one = "Need exactly one of 'device' and 'id'";
        refused(one, () -> media.eject(null, null, false));
        refused(one, () -> media.eject("d0", "cd", false));
        BlockException e =
                assertThrows(BlockException.class, () -> media.closeTray(null, "nosuch"));
        assertEquals("Device 'nosuch' not found", e.getMessage());
        assertEquals(Errno.ENODEV, e.errno());
        refused("Device 'cd' not found", () -> media.eject("cd", null, false));
    }

    @Test
    void whatStaysInItsDriveIsNotRemovable() {
        refused("Device 'hd' is not removable", () -> media.eject(null, "hd", true));
        refused("Device 'd1' is not removable", () -> media.openTray("d1", null, true));
        refused("Device 'hd' is not removable", () -> media.closeTray(null, "hd"));
        refused("Device 'hd' is not removable", () -> media.remove("hd"));
        refused(
                "Device 'hd' is not removable",
                () -> media.change(null, "hd", second, "raw", false, MediaChanger.Mode.RETAIN));
    }

    @Test
    void mediaGoThroughAnOpenTray() throws Exception {
        refused("Tray of device 'cd' is not open", () -> media.remove("cd"));
        media.openTray(null, "cd", false);
        media.openTray(null, "/machine/peripheral/cd", false);
        assertEquals("cd open ", events.toString());
        String node = medium();
        refused("Node '" + node + "' is already in use", () -> media.insert("cd", node));
        refused("Node 'nosuch' not found", () -> media.insert("cd", "nosuch"));
        media.remove("cd");
        assertNull(cd.root());
        media.remove("cd");
        manager.nodes()
                .addFromText(
                        "driver=raw,node-name=n,read-only=on,file.driver=file,file.filename="
                                + second);
        media.insert("cd", "n");
        assertEquals("n", medium());
        media.closeTray(null, "cd");
        media.closeTray(null, "cd");
        assertEquals("cd open cd closed ", events.toString());
    }

    @Test
    void anImageReplacesTheMedium() throws Exception {
        refused(
                "Could not open '" + first + "x': No such file or directory",
                () ->
                        media.change(
                                "d0", null, first + "x", "raw", false, MediaChanger.Mode.RETAIN));
        assertEquals("", events.toString(), "nothing moved for a missing image");
        media.change("d0", null, second, "raw", false, MediaChanger.Mode.RETAIN);
        assertTrue(cd.readOnly());
        media.change("d0", null, first, null, false, MediaChanger.Mode.READ_WRITE);
        assertFalse(cd.readOnly());
        assertEquals("cd open cd closed cd open cd closed ", events.toString());
    }

    @Test
    void aLockedTrayAsksTheGuest() throws Exception {
        tray.locked = true;
        media.openTray(null, "cd", false);
        assertTrue(tray.asked);
        assertFalse(tray.open);
        String locked =
                "Device 'cd' is locked and force was not specified,"
                        + " wait for tray to open and try again";
        refused(locked, () -> media.eject(null, "cd", false));
        refused(
                locked,
                () -> media.change(null, "cd", second, "raw", false, MediaChanger.Mode.RETAIN));
        assertNotNull(cd.root());
        media.eject(null, "cd", true);
        assertTrue(tray.open);
        assertFalse(tray.locked);
        assertNull(cd.root());
        assertEquals("cd open ", events.toString());
    }
}
