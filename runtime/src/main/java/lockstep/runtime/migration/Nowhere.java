package lockstep.runtime.migration;

import java.io.IOException;
import java.nio.ByteBuffer;

/** The channel before there is one. */
final class Nowhere implements MigrationChannel {
    static final MigrationChannel CHANNEL = new Nowhere();

    private Nowhere() {}

    @Override
    public int read(ByteBuffer target) throws IOException {
        throw new IOException("there is no migration channel");
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        throw new IOException("there is no migration channel");
    }

    @Override
    public void shutdown() {}

    @Override
    public String kind() {
        return "channel";
    }

    @Override
    public void close() {}
}
