package lockstep.devices.kernel;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.memory.LittleEndian;
import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The bytes of a file, outside the heap.
 *
 * @param name as the user wrote it
 * @param bytes all of them
 */
record KernelFile(String name, MemorySegment bytes) {
    /** No item of the firmware configuration device is larger. */
    private static final long LIMIT = Integer.MAX_VALUE;

    /**
     * Reads a kernel.
     *
     * @throws DeviceException when there is none
     */
    static KernelFile kernel(String name) throws DeviceException {
        ImageFile file;
        try {
            file = ImageFile.open(name, false);
        } catch (ImageFile.Failure e) {
            throw new DeviceException(
                    "could not open kernel file '" + name + "': " + Errno.text(e.errno()), e);
        }
        try (file) {
            long length = length(file);
            if (length > LIMIT) {
                throw new DeviceException(
                        "a file of " + length + " bytes is too large to boot from");
            }
            return new KernelFile(name, read(file, length));
        } catch (ImageFile.Failure e) {
            throw new DeviceException(
                    "could not load kernel '" + name + "': " + Errno.text(e.errno()), e);
        }
    }

    /**
     * Reads an initial RAM disk.
     *
     * @param most more bytes than it can have
     * @throws DeviceException when there is none, or it is larger
     */
    static KernelFile initrd(String name, long most) throws DeviceException {
        try (ImageFile file = ImageFile.open(name, false)) {
            long length = length(file);
            if (length >= most) {
                throw new DeviceException(
                        "initrd is too large, cannot support.(max: %d, need %d)"
                                .formatted(most, length));
            }
            return new KernelFile(name, read(file, length));
        } catch (ImageFile.Failure e) {
            throw new DeviceException(
                    "error reading initrd " + name + ": " + Errno.text(e.errno()), e);
        }
    }

    private static long length(ImageFile file) throws ImageFile.Failure {
        if (!file.isDisk()) {
            // Says what is wrong with a directory; a pipe has no length.
            file.read(0, Arena.ofAuto().allocate(1));
        }
        return file.length();
    }

    private static MemorySegment read(ImageFile file, long length)
            throws ImageFile.Failure, DeviceException {
        MemorySegment bytes = memory(length);
        file.read(0, bytes);
        return bytes;
    }

    /** Zeroed memory, of which the host has to give what is touched. */
    static MemorySegment memory(long length) throws DeviceException {
        try {
            return Mapping.collected(length, "cannot allocate memory for what is booted");
        } catch (LinuxException e) {
            throw new DeviceException(e.getMessage(), e);
        }
    }

    long size() {
        return bytes.byteSize();
    }

    /** Whether there are that many bytes from there on. */
    boolean has(long at, long length) {
        return at >= 0 && length >= 0 && at <= size() && length <= size() - at;
    }

    /** What a byte is; 0 behind the end, as with the other numbers. */
    int u8(long at) {
        return has(at, 1) ? bytes.get(ValueLayout.JAVA_BYTE, at) & 0xff : 0;
    }

    int u16(long at) {
        return has(at, 2) ? bytes.get(LittleEndian.SHORT, at) & 0xffff : 0;
    }

    long u32(long at) {
        return has(at, 4) ? bytes.get(LittleEndian.INT, at) & 0xffff_ffffL : 0;
    }

    long u64(long at) {
        return has(at, 8) ? bytes.get(LittleEndian.LONG, at) : 0;
    }
}
