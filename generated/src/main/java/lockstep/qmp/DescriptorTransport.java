package lockstep.qmp;

import lockstep.qmp.linux.LinuxDescriptors;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** A UNIX socket of the system's, which takes descriptors along. */
final class DescriptorTransport implements Transport {
    private static final int BUFFER = 64 * 1024;

    private final Path path;
    private final int fd;
    // Calls hold it shared, so that the number is not another file's when they use it.
    private final ReentrantReadWriteLock inUse = new ReentrantReadWriteLock();
    private boolean closed;

    DescriptorTransport(Path path) throws IOException {
        this.path = path;
        this.fd = LinuxDescriptors.socket();
    }

    private interface SocketCall {
        int run() throws IOException;
    }

    private int use(SocketCall call) throws IOException {
        inUse.readLock().lock();
        try {
            if (closed) {
                throw new IOException("the connection is closed");
            }
            return call.run();
        } finally {
            inUse.readLock().unlock();
        }
    }

    @Override
    public void connect() throws IOException {
        use(
                () -> {
                    LinuxDescriptors.connect(fd, path);
                    return 0;
                });
    }

    @Override
    public InputStream input() {
        MemorySegment buffer = Arena.ofAuto().allocate(BUFFER);
        return new InputStream() {
            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
            }

            @Override
            public int read(byte[] target, int offset, int length) throws IOException {
                MemorySegment wanted = buffer.asSlice(0, Math.min(length, BUFFER));
                int count = use(() -> LinuxDescriptors.receive(fd, wanted));
                MemorySegment.copy(
                        buffer, ValueLayout.JAVA_BYTE, 0, target, offset, Math.max(count, 0));
                return count == 0 ? -1 : count;
            }
        };
    }

    @Override
    public void write(byte[] bytes, int length, List<Descriptor> descriptors) throws IOException {
        int[] numbers = descriptors.stream().mapToInt(Descriptor::number).toArray();
        use(
                () -> {
                    LinuxDescriptors.send(fd, bytes, length, numbers);
                    return length;
                });
    }

    @Override
    public boolean passesDescriptors() {
        return true;
    }

    @Override
    public void close() {
        inUse.readLock().lock();
        try {
            if (closed) {
                return;
            }
            // Whoever is in a call comes out of it and lets go of the lock.
            LinuxDescriptors.shutdown(fd);
        } finally {
            inUse.readLock().unlock();
        }
        inUse.writeLock().lock();
        try {
            if (!closed) {
                closed = true;
                LinuxDescriptors.close(fd);
            }
        } finally {
            inUse.writeLock().unlock();
        }
    }
}
