package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.*;

import java.lang.foreign.Arena;

/** A file whose content is memory: one without a name, or one of a file system. A mapping outlives it. */
public final class MemoryFile implements AutoCloseable {
    // fcntl(2): the length stays as it is, and so do the seals.
    private static final int F_ADD_SEALS = 1033;
    private static final int F_SEAL_ALL_BUT_WRITE = 1 | 2 | 4;

    // memfd_create(2): the binary logarithm of the page size stands in the upper bits of the flags.
    private static final int HUGE_SHIFT = 26;

    private final int fd;

    private MemoryFile(int fd) {
        this.fd = fd;
    }

    /**
     * A new file without a name.
     *
     * @param name for the kernel's lists
     * @param length bytes
     * @param huge whether it is of huge pages
     * @param pageSize bytes of a huge page, or 0 for what the host prefers
     * @param seal whether its length is fixed for everyone
     */
    public static MemoryFile memfd(
            String name, long length, boolean huge, long pageSize, boolean seal)
            throws LinuxException {
        int flags = MFD_CLOEXEC() | (seal ? MFD_ALLOW_SEALING() : 0);
        if (huge) {
            flags |= MFD_HUGETLB();
            if (pageSize != 0) {
                flags |= Long.numberOfTrailingZeros(pageSize) << HUGE_SHIFT;
            }
        }
        MemoryFile file;
        try (Arena arena = Arena.ofConfined()) {
            int fd = FileCalls.memfdCreate(arena.allocateFrom(name), flags);
            file =
                    new MemoryFile(
                            Errno.check(
                                    fd, "failed to create memfd with flags 0x%x".formatted(flags)));
        }
        try {
            Errno.check(
                    FileCalls.ftruncate(file.fd, length),
                    "failed to resize memfd to " + Long.toUnsignedString(length));
            if (seal) {
                Errno.check(
                        FileCalls.fcntl(file.fd, F_ADD_SEALS, F_SEAL_ALL_BUT_WRITE),
                        "failed to add seals to memfd");
            }
            return file;
        } catch (LinuxException e) {
            file.close();
            throw e;
        }
    }

    /** The file of that path, which is made if need be; in a directory, one without a name. */
    public static MemoryFile open(String path) throws LinuxException {
        String what = "can't open backing store " + path + " for guest RAM";
        int fd = FileIo.tryOpen(path, O_RDWR(), 0);
        if (fd == -Errno.EISDIR) {
            fd = FileIo.tryOpen(path, O_RDWR() | O_TMPFILE(), 0600);
        } else if (fd == -Errno.ENOENT && !path.isEmpty()) {
            fd = FileIo.tryOpen(path, O_RDWR() | O_CREAT() | O_EXCL(), 0644);
        }
        return new MemoryFile(Errno.check(fd, what));
    }

    /** Bytes; 0 of a device. */
    public long length() throws LinuxException {
        return FileIo.status(fd).size();
    }

    /** Sets the length in bytes. */
    public void length(long bytes) throws LinuxException {
        Errno.check(FileCalls.ftruncate(fd, bytes), "unable to map backing store for guest RAM");
    }

    /** Maps a part of it; if not {@code shared}, what is written there stays out of the file. */
    public Mapping map(long offset, long length, boolean shared, boolean reserve)
            throws LinuxException {
        return Mapping.file(fd, offset, length, shared, reserve);
    }

    @Override
    public void close() {
        FileCalls.close(fd);
    }
}
