package lockstep.tools.img;

import lockstep.tools.shell.ToolException;

import java.util.List;

/** What formats there are, and which of them images can be made in. */
final class Formats {
    private static final List<String> DRIVERS =
            List.of(
                    "blkdebug",
                    "file",
                    "host_device",
                    "luks",
                    "nbd",
                    "null-aio",
                    "null-co",
                    "qcow2",
                    "quorum",
                    "raw",
                    "replication",
                    "throttle");

    /** Formats that qemu-img knows and this program does not. */
    private static final List<String> FOREIGN =
            List.of("parallels", "qcow", "qed", "vdi", "vhdx", "vmdk", "vpc");

    private Formats() {}

    static boolean known(String format) {
        return DRIVERS.contains(format);
    }

    /** Errors with the prefix when images of that format cannot be made. */
    static void checkTarget(String prefix, String format) throws ToolException {
        if (FOREIGN.contains(format)) {
            throw new ToolException(prefix + "Images of format '" + format + "' are not supported");
        }
        if (!known(format)) {
            throw new ToolException(prefix + "Unknown file format '" + format + "'");
        }
        if (!List.of("raw", "qcow2", "luks").contains(format)) {
            throw new ToolException(
                    prefix + "Format driver '" + format + "' does not support image creation");
        }
    }
}
