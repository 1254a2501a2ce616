package lockstep.devices.kernel;

import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/** An ELF executable of x86: what of it is loaded where (System V ABI, chapter 5). */
final class ElfFile {
    static final int I386 = 3;
    static final int X86_64 = 62;

    private static final long MAGIC = 0x464c_457f;
    private static final int CLASS = 4;
    private static final int CLASS_64 = 2;
    private static final int MACHINE = 18;
    private static final int ENTRY = 24;
    private static final int LOAD = 1;
    private static final int NOTE = 4;

    /** No segment is larger or lies further up, nor do all of them have more bytes in the file. */
    private static final long LIMIT = 1L << 32;

    /** So many notes are looked at. */
    private static final int MOST_NOTES = 10_000;

    private record Segment(
            int type, long offset, long address, long fileSize, long memorySize, long align) {}

    private final KernelFile file;
    private final boolean wide;
    private final List<Segment> segments = new ArrayList<>();
    private final long low;
    private final long size;

    /**
     * Reads one.
     *
     * @throws DeviceException it is damaged
     */
    ElfFile(KernelFile file) throws DeviceException {
        this.file = file;
        wide = file.u8(CLASS) == CLASS_64;
        readHeaders();
        long least = Long.MAX_VALUE;
        long most = 0;
        for (Segment s : segments) {
            if (s.type == LOAD && s.memorySize > 0) {
                least = Math.min(least, s.address);
                most = Math.max(most, s.address + s.memorySize);
            }
        }
        if (most <= least) {
            throw damaged();
        }
        low = least;
        size = most - least;
    }

    static boolean isOne(KernelFile file) {
        return file.u32(0) == MAGIC;
    }

    private void readHeaders() throws DeviceException {
        long table = wide ? file.u64(32) : file.u32(28);
        int unit = file.u16(wide ? 54 : 42);
        int count = file.u16(wide ? 56 : 44);
        long loaded = 0;
        for (int i = 0; i < count; i++) {
            long at = table + (long) i * unit;
            if (!file.has(at, wide ? 56 : 32)) {
                throw damaged();
            }
            Segment s =
                    wide
                            ? new Segment(
                                    (int) file.u32(at),
                                    file.u64(at + 8),
                                    file.u64(at + 24),
                                    file.u64(at + 32),
                                    file.u64(at + 40),
                                    file.u64(at + 48))
                            : new Segment(
                                    (int) file.u32(at),
                                    file.u32(at + 4),
                                    file.u32(at + 12),
                                    file.u32(at + 16),
                                    file.u32(at + 20),
                                    file.u32(at + 28));
            boolean bad =
                    !file.has(s.offset, s.fileSize)
                            || s.type == LOAD && s.fileSize > s.memorySize
                            || s.type == LOAD && (s.memorySize < 0 || s.memorySize > LIMIT);
            loaded += s.type == LOAD && !bad ? s.fileSize : 0;
            if ((s.type == LOAD || s.type == NOTE) && bad || loaded > LIMIT) {
                throw damaged();
            }
            if (s.type == LOAD && s.memorySize > 0 && (s.address < 0 || s.address > LIMIT)) {
                throw refused("it is to lie above 4 GiB");
            }
            segments.add(s);
        }
    }

    private DeviceException damaged() {
        return refused("its headers are damaged");
    }

    DeviceException refused(String why) {
        return new DeviceException("Error while loading elf kernel '" + file.name() + "': " + why);
    }

    int machine() {
        return file.u16(MACHINE);
    }

    long entry() {
        return wide ? file.u64(ENTRY) : file.u32(ENTRY);
    }

    /** The lowest physical address. */
    long low() {
        return low;
    }

    /** Bytes from there to the end of the highest segment. */
    long size() {
        return size;
    }

    /** Copies what the file has of the segments to zeroed memory that stands for the lowest address. */
    void copyTo(MemorySegment memory) {
        for (Segment s : segments) {
            if (s.type == LOAD && s.fileSize > 0) {
                MemorySegment.copy(file.bytes(), s.offset, memory, s.address - low, s.fileSize);
            }
        }
    }

    /** The number that a note has. */
    OptionalLong note(String owner, int type) {
        byte[] name = (owner + "\0").getBytes(StandardCharsets.US_ASCII);
        int looked = 0;
        for (Segment s : segments) {
            if (s.type != NOTE) {
                continue;
            }
            long align = s.align == 8 ? 8 : 4;
            long end = s.offset + s.fileSize;
            for (long at = s.offset; at + 12 <= end && looked < MOST_NOTES; looked++) {
                long nameSize = file.u32(at);
                long size = file.u32(at + 4);
                long content = at + 12 + nameSize + align - 1 & -align;
                if (content + size > end) {
                    break;
                }
                if (file.u32(at + 8) == type
                        && nameSize == name.length
                        && MemorySegment.mismatch(
                                        file.bytes(),
                                        at + 12,
                                        at + 12 + nameSize,
                                        MemorySegment.ofArray(name),
                                        0,
                                        nameSize)
                                < 0) {
                    return OptionalLong.of(size >= 8 ? file.u64(content) : file.u32(content));
                }
                at = content + size + align - 1 & -align;
            }
        }
        return OptionalLong.empty();
    }
}
