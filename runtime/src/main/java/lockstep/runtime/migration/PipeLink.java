package lockstep.runtime.migration;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/** A file, or the pipes of a command: one direction, or two that have nothing to do with each other. */
final class PipeLink implements MigrationChannel {
    private final String kind;
    private final @Nullable ReadableByteChannel in;
    private final @Nullable WritableByteChannel out;
    private final @Nullable Process command;

    PipeLink(
            String kind,
            @Nullable ReadableByteChannel in,
            @Nullable WritableByteChannel out,
            @Nullable Process command) {
        this.kind = kind;
        this.in = in;
        this.out = out;
        this.command = command;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        if (in == null) {
            throw new IOException("the migration channel cannot be read");
        }
        return in.read(target);
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        if (out == null) {
            throw new IOException("the migration channel cannot be written");
        }
        while (source.hasRemaining()) {
            out.write(source);
        }
    }

    @Override
    public void shutdown() {
        close();
        if (command != null) {
            command.destroy();
        }
    }

    @Override
    public String kind() {
        return kind;
    }

    @Override
    public void close() {
        try {
            if (out != null) {
                out.close();
            }
            if (in != null) {
                in.close();
            }
        } catch (IOException e) {
            // The writer has flushed and checked before; a reader has all it wants.
        }
        if (command != null) {
            // The command sees the end of its input and ends by itself; it must not outlive us as a
            // zombie that nobody waits for.
            var unused = command.onExit();
        }
    }
}
