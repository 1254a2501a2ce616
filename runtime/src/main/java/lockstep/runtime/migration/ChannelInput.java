package lockstep.runtime.migration;

import lockstep.runtime.loop.MachineLock;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;

/**
 * The reading side of a channel as the stream that the section reader wants. Sections are loaded under the
 * machine lock; it is given back while a read blocks, so that a peer that stalls stalls nobody else.
 */
final class ChannelInput extends InputStream {
    private final MigrationChannel channel;
    private final MachineLock lock;

    ChannelInput(MigrationChannel channel, MachineLock lock) {
        this.channel = channel;
        this.lock = lock;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        boolean held = lock.held();
        if (held) {
            lock.release();
        }
        try {
            return channel.read(ByteBuffer.wrap(target, offset, length));
        } finally {
            if (held) {
                lock.acquire();
            }
        }
    }
}
