package lockstep.runtime.command;

import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.memory.GuestMemory;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Writes guest memory to a file, for pmemsave. Under the machine lock. */
final class MemoryFile {
    private static final int CHUNK = 1 << 20;

    private MemoryFile() {}

    static void write(GuestMemory memory, long address, long size, String filename)
            throws QmpException {
        if (size < 0) {
            throw new QmpException("Parameter 'size' expects a size below 2^63");
        }
        try (OutputStream out = Files.newOutputStream(Path.of(filename))) {
            byte[] chunk = new byte[(int) Math.min(size, CHUNK)];
            for (long done = 0; done < size; ) {
                int length = (int) Math.min(size - done, chunk.length);
                memory.read(address + done, chunk, 0, length);
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

    private static QmpException failure(String text, Exception cause) {
        return new QmpException(ErrorClass.GENERIC_ERROR, text, cause);
    }
}
