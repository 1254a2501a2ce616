package lockstep.conformance;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;

/** Writes an initial RAM disk: an archive in the format "newc" (Documentation/driver-api/early-userspace), packed. */
final class CpioArchive {
    private static final int DIRECTORY = 0040755;
    private static final int PROGRAM = 0100755;
    private static final int CONSOLE = 0020600;
    private static final int ALIGN = 4;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private int inode = 1;

    CpioArchive directory(String name) {
        return entry(name, DIRECTORY, 0, 0, new byte[0]);
    }

    CpioArchive program(String name, byte[] content) {
        return entry(name, PROGRAM, 0, 0, content);
    }

    /** The device that the kernel opens for the first process. */
    CpioArchive console() {
        return entry("dev/console", CONSOLE, 5, 1, new byte[0]);
    }

    /** Ends the archive and writes it. */
    void write(Path file) throws IOException {
        entry("TRAILER!!!", 0, 0, 0, new byte[0]);
        try (OutputStream packed = new GZIPOutputStream(Files.newOutputStream(file))) {
            out.writeTo(packed);
        }
    }

    private CpioArchive entry(String name, int mode, int major, int minor, byte[] content) {
        byte[] path = (name + "\0").getBytes(StandardCharsets.US_ASCII);
        int[] header = {
            inode++, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, path.length, 0
        };
        out.writeBytes("070701".getBytes(StandardCharsets.US_ASCII));
        for (int field : header) {
            out.writeBytes("%08x".formatted(field).getBytes(StandardCharsets.US_ASCII));
        }
        out.writeBytes(path);
        align();
        out.writeBytes(content);
        align();
        return this;
    }

    private void align() {
        while (out.size() % ALIGN != 0) {
            out.write(0);
        }
    }
}
