package lockstep.runtime.process;

import static lockstep.linux.abi.LinuxAbi.F_WRLCK;
import static lockstep.linux.abi.LinuxAbi.O_CLOEXEC;
import static lockstep.linux.abi.LinuxAbi.O_CREAT;
import static lockstep.linux.abi.LinuxAbi.O_RDWR;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** A file with the process number, locked while the process lives. */
public final class PidFile {
    private static final int MODE = 0600;

    private @Nullable String path;
    private @Nullable Fd fd;

    /** Not written yet. */
    public PidFile() {}

    /**
     * Writes the file; nothing happens for null.
     *
     * @throws IOException with a sentence for the user
     */
    public void write(@Nullable String wanted) throws IOException {
        if (wanted == null) {
            return;
        }
        int opened = FileIo.tryOpen(wanted, O_RDWR() | O_CREAT() | O_CLOEXEC(), MODE);
        if (opened < 0) {
            throw new IOException("Could not create '" + wanted + "': " + Errno.text(-opened));
        }
        Fd file = new Fd(opened);
        if (FileIo.lock(opened, F_WRLCK(), 0, 0) < 0) {
            file.close();
            throw new IOException("Cannot lock pid file: Resource temporarily unavailable");
        }
        FileCalls.ftruncate(opened, 0);
        byte[] text = (ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.US_ASCII);
        FileIo.write(opened, text, 0, text.length);
        path = wanted;
        fd = file;
    }

    /** Removes the file. */
    public void remove() {
        String name = path;
        if (name != null) {
            FileIo.unlink(name);
            path = null;
        }
        if (fd != null) {
            fd.close();
        }
    }
}
