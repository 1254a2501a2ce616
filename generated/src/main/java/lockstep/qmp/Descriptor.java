package lockstep.qmp;

import lockstep.qmp.linux.LinuxDescriptors;

import java.io.IOException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A file descriptor of this process, to be passed to a server with a command such as {@code getfd} or
 * {@code add-fd}. The server gets a copy; this one may be closed when the command is answered. Linux
 * only.
 */
public final class Descriptor implements AutoCloseable {
    private final int number;
    private final boolean owned;
    private final AtomicBoolean closed = new AtomicBoolean();

    private Descriptor(int number, boolean owned) {
        this.number = number;
        this.owned = owned;
    }

    /**
     * A descriptor that somebody else opened and will close, such as an inherited one.
     *
     * @throws IllegalArgumentException when the number is negative
     */
    public static Descriptor of(int number) {
        if (number < 0) {
            throw new IllegalArgumentException(number + " is not a file descriptor.");
        }
        return new Descriptor(number, false);
    }

    /**
     * Opens a file; {@link #close} closes it.
     *
     * @param options of {@link StandardOpenOption}: READ, WRITE, APPEND, CREATE, CREATE_NEW,
     *     TRUNCATE_EXISTING; to read when none is given
     * @throws IOException when it cannot be opened
     * @throws UnsupportedOperationException on systems other than Linux
     */
    public static Descriptor open(Path path, OpenOption... options) throws IOException {
        return new Descriptor(LinuxDescriptors.open(path, Set.of(options)), true);
    }

    /** The number. */
    public int number() {
        return number;
    }

    @Override
    public void close() {
        if (owned && closed.compareAndSet(false, true)) {
            LinuxDescriptors.close(number);
        }
    }
}
