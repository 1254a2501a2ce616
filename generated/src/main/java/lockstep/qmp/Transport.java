package lockstep.qmp;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;

/** A stream of bytes to a server. One thread reads, one writes; any thread closes. */
interface Transport extends Closeable {
    /** Connects. Blocks until done; fails when it is closed meanwhile. */
    void connect() throws IOException;

    /** What the server writes; ends when the connection does. */
    InputStream input() throws IOException;

    /**
     * Writes all of the bytes.
     *
     * @param descriptors what goes along with the first byte
     * @throws UnsupportedOperationException when descriptors cannot go along
     */
    void write(byte[] bytes, int length, List<Descriptor> descriptors) throws IOException;

    /** Whether descriptors can go along. */
    default boolean passesDescriptors() {
        return false;
    }

    /** Ends the connection; the reader gets the end of the stream or an error. */
    @Override
    void close();
}
