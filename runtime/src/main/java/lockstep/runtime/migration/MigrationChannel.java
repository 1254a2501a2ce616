package lockstep.runtime.migration;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The byte stream that a migration travels on. One thread reads, one writes; {@link #shutdown} and {@link
 * #close} may come from any thread and end blocked calls of both.
 */
public interface MigrationChannel extends AutoCloseable {
    /**
     * Reads at least one byte, blocking.
     *
     * @return bytes read, or -1 at the end
     */
    int read(ByteBuffer target) throws IOException;

    /** Writes everything in {@code source}, blocking. */
    void write(ByteBuffer source) throws IOException;

    /** Ends both directions: blocked and later calls fail or meet the end. Safe to repeat. */
    void shutdown();

    /** What a failed read or write is said to concern: {@code socket}, {@code file}, {@code command}. */
    String kind();

    /** Lets go of the channel. Safe to repeat. */
    @Override
    void close();
}
