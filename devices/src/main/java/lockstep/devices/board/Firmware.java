package lockstep.devices.board;

import lockstep.runtime.spi.DeviceException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Finds firmware images: in the directories of {@code -L} first, then where distributions put them. */
public final class Firmware {
    private static final List<String> USUAL =
            List.of(
                    "/usr/share/seabios",
                    "/usr/share/qemu",
                    "/usr/lib/ipxe/qemu",
                    "/usr/share/ipxe/qemu",
                    "/usr/share/ipxe",
                    "/usr/share/vgabios");

    /** Larger files are no firmware of a PC. */
    private static final long LIMIT = 16 << 20;

    private final List<String> directories = new ArrayList<>();

    /** Looks into {@code first}, then into the usual places. */
    public Firmware(List<String> first) {
        directories.addAll(first);
        directories.addAll(USUAL);
    }

    /**
     * Reads an image: a file of that name in one of the directories, or at that path.
     *
     * @throws DeviceException {@code failed to find romfile "x"}, or when it cannot be read
     */
    public byte[] load(String name) throws DeviceException {
        Path found = find(name);
        if (found == null) {
            throw new DeviceException("failed to find romfile \"" + name + "\"");
        }
        try {
            if (Files.size(found) > LIMIT) {
                throw new DeviceException("romfile \"" + found + "\" is too large");
            }
            return Files.readAllBytes(found);
        } catch (IOException e) {
            throw new DeviceException("failed to read romfile \"" + found + "\"", e);
        }
    }

    private @org.jspecify.annotations.Nullable Path find(String name) {
        Path given;
        try {
            given = Path.of(name);
        } catch (InvalidPathException e) {
            return null; // No file has such a name.
        }
        if (Files.isRegularFile(given)) {
            return given;
        }
        if (given.isAbsolute()) {
            return null;
        }
        for (String d : directories) {
            Path p = Path.of(d, name);
            if (Files.isRegularFile(p)) {
                return p;
            }
        }
        return null;
    }
}
