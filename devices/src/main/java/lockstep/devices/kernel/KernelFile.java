package lockstep.devices.kernel;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;
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
            return new KernelFile(name, read(file));
        } catch (ImageFile.Failure e) {
            throw new DeviceException(
                    "could not load kernel '" + name + "': " + Errno.text(e.errno()), e);
        }
    }

    /**
     * Reads an initial RAM disk.
     *
     * @throws DeviceException when there is none
     */
    static KernelFile initrd(String name) throws DeviceException {
        try (ImageFile file = ImageFile.open(name, false)) {
            return new KernelFile(name, read(file));
        } catch (ImageFile.Failure e) {
            throw new DeviceException(
                    "error reading initrd " + name + ": " + Errno.text(e.errno()), e);
        }
    }

    private static MemorySegment read(ImageFile file) throws ImageFile.Failure, DeviceException {
        if (!file.isDisk()) {
            // Says what is wrong with a directory; a pipe has no length.
            file.read(0, Arena.ofAuto().allocate(1));
        }
        long length = file.length();
        if (length > LIMIT) {
            throw new DeviceException("a file of " + length + " bytes is too large to boot from");
        }
        MemorySegment bytes = Arena.ofAuto().allocate(Math.max(length, 1)).asSlice(0, length);
        file.read(0, bytes);
        return bytes;
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
