package lockstep.runtime.spi;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Keeps the whole machine but its disks, and makes it again what was kept; published as a service by migration. The bytes
 * are those of a migration. Under the machine lock, the guest stopped.
 */
public interface MachineState {
    /** Where the bytes go. */
    interface Sink {
        /** Takes all of them. */
        void write(ByteBuffer bytes) throws IOException;
    }

    /** Where the bytes are from. */
    interface Source {
        /** Gives some; -1 when there are no more. */
        int read(ByteBuffer target) throws IOException;
    }

    /**
     * Says in which state the guest is, for the states that are kept from now on. Before it is stopped for them.
     *
     * @throws IOException with a sentence for the user, when something of the machine cannot be kept now
     */
    void prepare() throws IOException;

    /** Keeps the machine. */
    void save(Sink sink) throws IOException;

    /**
     * Makes the machine, which was reset, what was kept. When that fails it is neither.
     *
     * @throws IOException with a sentence for the user
     */
    void load(Source source) throws IOException;
}
