package lockstep.runtime.command;

import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.PhysicalMemory;
import lockstep.runtime.memory.PageTables;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Writes guest memory to a file, for memsave and pmemsave. Under the machine lock. */
final class MemoryFile {
    private static final int CHUNK = 1 << 20;

    /** A longer range whose end is no memory is a mistake that would fill a disk. */
    private static final long LONGEST_HOLE = 1L << 30;

    private MemoryFile() {}

    /**
     * Writes a range.
     *
     * @param tables what translates the addresses, or null when they are physical
     * @throws QmpException when the file cannot be written, or memory cannot be read: virtual memory
     *     without a page, or a large range that ends where no memory is
     */
    static void write(
            PhysicalMemory guest,
            @Nullable PageTables tables,
            long address,
            long size,
            String filename)
            throws QmpException {
        boolean outside =
                size < 0
                        || tables == null
                                && size > LONGEST_HOLE
                                && !guest.memory().mapped(address + size - 1, 1);
        try (OutputStream out = Files.newOutputStream(regular(filename))) {
            byte[] chunk = new byte[outside ? 0 : (int) Math.min(size, CHUNK)];
            for (long done = 0; done < size || outside; ) {
                int length = (int) Math.min(size - done, chunk.length);
                if (outside
                        || tables != null
                                && !MemoryCommands.read(
                                        guest, tables, address + done, chunk, length)) {
                    throw new QmpException(
                            "Invalid addr 0x%016x/size %d specified".formatted(address, size));
                }
                if (tables == null) {
                    guest.dma().read(address + done, chunk, 0, length);
                }
                out.write(chunk, 0, length);
                done += length;
            }
        } catch (NoSuchFileException e) {
            throw failure("Could not open '" + filename + "': No such file or directory", e);
        } catch (InvalidPathException e) {
            throw failure("Could not open '" + filename + "': Invalid argument", e);
        } catch (IOException e) {
            throw failure("writing memory to '" + filename + "' failed", e);
        }
    }

    /** A terminal or FIFO that nobody reads would hold up the whole machine. */
    private static Path regular(String filename) throws QmpException {
        Path path = Path.of(filename);
        if (Files.exists(path) && !Files.isRegularFile(path) && !Files.isDirectory(path)) {
            throw new QmpException("Could not open '" + filename + "': Not a regular file");
        }
        return path;
    }

    private static QmpException failure(String text, Exception cause) {
        return new QmpException(ErrorClass.GENERIC_ERROR, text, cause);
    }
}
