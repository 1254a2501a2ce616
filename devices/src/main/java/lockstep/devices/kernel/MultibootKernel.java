package lockstep.devices.kernel;

import lockstep.devices.kernel.DirectBoot.Part;
import lockstep.devices.kernel.DirectBoot.Target;
import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;

/** A kernel with a Multiboot header. Behind it in memory are its modules' list, the texts, and the modules. */
final class MultibootKernel {
    /** Where the information structure is, and the memory map in front of it. */
    static final int INFORMATION = 0x9500;

    static final int MEMORY_MAP = 0x9000;

    private static final int SEARCHED = 8192;
    private static final long MAGIC = 0x1bad_b002;
    private static final long ADDRESSES = 1 << 16;
    private static final int PAGE = 4096;
    private static final int MODULE = 16;
    private static final String LOADER = "qemu";

    // Of the information structure.
    private static final int SIZE = 0x58;
    private static final int BOOT_DEVICE = 12;
    private static final int COMMAND_LINE = 16;
    private static final int MODULE_COUNT = 20;
    private static final int MODULES = 24;
    private static final int MAP_ADDRESS = 48;
    private static final int LOADER_NAME = 64;

    /** Memory, boot device, command line, modules, memory map and loader's name are there. */
    private static final int FLAGS = 0x24f;

    /** The first disk, as a whole. */
    private static final int FIRST_DISK = 0x8000_ffff;

    private record Module(MemorySegment bytes, String text) {}

    /**
     * What is loaded.
     *
     * @param size bytes, also those that are not in the file
     * @param fill writes the others to zeroed memory
     */
    private record Image(long address, long size, Consumer<MemorySegment> fill, long entry) {}

    private MultibootKernel() {}

    /** Where the header is. */
    static OptionalInt header(KernelFile file) {
        for (int at = 0; at < Math.min(SEARCHED, file.size()) - 12; at += 4) {
            if (file.u32(at) == MAGIC && (int) (MAGIC + file.u32(at + 4) + file.u32(at + 8)) == 0) {
                return OptionalInt.of(at);
            }
        }
        return OptionalInt.empty();
    }

    static byte[] offer(KernelFile file, int header, DirectBoot boot, Target target)
            throws DeviceException {
        Image image = (file.u32(header + 4) & ADDRESSES) != 0 ? placed(file, header) : elf(file);
        target.checkFits(file.name(), image.address, image.size);
        List<Module> modules = modules(boot.initrd());

        List<String> texts = new ArrayList<>();
        modules.forEach(m -> texts.add(m.text));
        texts.add(file.name() + " " + boot.commandLine());
        texts.add(LOADER);
        long list = pages(image.size);
        long size = list + (long) MODULE * modules.size();
        for (String t : texts) {
            size += t.getBytes(StandardCharsets.UTF_8).length + 1;
        }
        size = pages(size);
        for (Module m : modules) {
            size = pages(size) + m.bytes.byteSize();
        }
        target.checkFits(file.name(), image.address, size);

        MemorySegment all = KernelFile.memory(size);
        image.fill.accept(all);
        ByteBuffer out = all.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        out.position((int) list + MODULE * modules.size());
        int[] textAt = new int[texts.size()];
        for (int i = 0; i < textAt.length; i++) {
            textAt[i] = (int) image.address + out.position();
            out.put(texts.get(i).getBytes(StandardCharsets.UTF_8)).put((byte) 0);
        }
        long at = out.position();
        for (int i = 0; i < modules.size(); i++) {
            MemorySegment bytes = modules.get(i).bytes;
            at = pages(at);
            MemorySegment.copy(bytes, 0, all, at, bytes.byteSize());
            out.position((int) list + MODULE * i);
            out.putInt((int) (image.address + at));
            at += bytes.byteSize();
            out.putInt((int) (image.address + at)).putInt(textAt[i]);
        }

        ByteBuffer info = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        info.putInt(0, FLAGS).putInt(BOOT_DEVICE, FIRST_DISK);
        info.putInt(COMMAND_LINE, textAt[modules.size()]);
        info.putInt(MODULE_COUNT, modules.size());
        info.putInt(MODULES, (int) (image.address + list));
        info.putInt(MAP_ADDRESS, MEMORY_MAP);
        info.putInt(LOADER_NAME, textAt[modules.size() + 1]);

        target.entry(image.entry);
        target.offer(Part.KERNEL, image.address, all);
        target.offer(Part.INITRD, INFORMATION, info.array());
        return BootRom.multiboot(target, image.entry);
    }

    private static long pages(long size) {
        return size + PAGE - 1 & -PAGE;
    }

    /** A file whose header says what of it goes where. */
    private static Image placed(KernelFile file, int at) throws DeviceException {
        long header = file.u32(at + 12);
        long load = file.u32(at + 16);
        long loadEnd = file.u32(at + 20);
        long bssEnd = file.u32(at + 24);
        check(load <= header, "load_addr address");
        long start = at - (header - load);
        check(start >= 0 && start <= file.size(), "header_addr address");
        check(loadEnd == 0 || loadEnd >= load, "load_end_addr address");
        long loaded = loadEnd == 0 ? file.size() - start : loadEnd - load;
        if (!file.has(start, loaded)) {
            throw new DeviceException(
                    "could not load kernel '" + file.name() + "': the file ends too early");
        }
        check(bssEnd == 0 || bssEnd >= load + loaded, "bss_end_addr address");
        long size = bssEnd == 0 ? loaded : bssEnd - load;
        return new Image(
                load,
                size,
                to -> MemorySegment.copy(file.bytes(), start, to, 0, loaded),
                file.u32(at + 28));
    }

    private static void check(boolean good, String what) throws DeviceException {
        if (!good) {
            throw new DeviceException("invalid " + what);
        }
    }

    private static Image elf(KernelFile file) throws DeviceException {
        if (!ElfFile.isOne(file)) {
            throw new DeviceException("Error while loading elf kernel");
        }
        ElfFile elf = new ElfFile(file);
        if (elf.machine() == ElfFile.X86_64) {
            throw new DeviceException("Cannot load x86-64 image, give a 32bit one.");
        }
        if (elf.machine() != ElfFile.I386) {
            throw new DeviceException("Error while loading elf kernel");
        }
        return new Image(elf.low(), elf.size(), elf::copyTo, elf.entry());
    }

    /** Files with commas between them; a module's command line is its name and what is behind a space. */
    private static List<Module> modules(String names) throws DeviceException {
        List<Module> modules = new ArrayList<>();
        if (!names.isEmpty()) {
            for (String each : names.split(",", -1)) {
                String text = each.stripLeading();
                modules.add(
                        new Module(
                                KernelFile.initrd(text.split(" ", 2)[0], Integer.MAX_VALUE).bytes(),
                                text));
            }
        }
        return modules;
    }
}
