package lockstep.devices.kernel;

import lockstep.devices.fwcfg.FwCfg;
import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What is booted instead of a disk.
 *
 * @param kernel a file
 * @param initrd a file, for Multiboot several with commas between them; empty: none
 * @param commandLine the kernel's
 */
public record DirectBoot(String kernel, String initrd, String commandLine) {
    /** Bytes at the end of the RAM below 4 GiB where the firmware puts its ACPI tables. */
    private static final long ACPI_DATA = 0x28000;

    /** The parts of an item: the key of each. */
    enum Part {
        KERNEL(0x07, 0x08, 0x11),
        INITRD(0x0a, 0x0b, 0x12),
        COMMAND_LINE(0x13, 0x14, 0x15),
        SETUP(0x16, 0x17, 0x18);

        final int address;
        final int size;
        final int data;

        Part(int address, int size, int data) {
            this.address = address;
            this.size = size;
            this.data = data;
        }
    }

    private static final int KERNEL_ENTRY = 0x10;

    /**
     * Reads the files and offers what the firmware needs to boot them.
     *
     * @param below4G bytes of RAM from address 0
     * @return the firmware's name of the option ROM that boots, for the boot order
     * @throws DeviceException there is no such file, it is no kernel, or does not fit into the RAM
     */
    public String offer(FwCfg fwCfg, long below4G) throws DeviceException {
        KernelFile file = KernelFile.kernel(kernel);
        if (file.size() == 0) {
            throw new DeviceException("could not load kernel '" + kernel + "': it is empty");
        }
        Target target = new Target(fwCfg, below4G);
        OptionalInt multiboot =
                LinuxKernel.isOne(file) ? OptionalInt.empty() : MultibootKernel.header(file);
        String rom;
        byte[] image;
        if (multiboot.isPresent()) {
            rom = "genroms/multiboot_dma.bin";
            image = MultibootKernel.offer(file, multiboot.getAsInt(), this, target);
        } else if (ElfFile.isOne(file)) {
            rom = "genroms/pvh.bin";
            image = PvhKernel.offer(file, this, target);
        } else {
            rom = "genroms/linuxboot_dma.bin";
            image = LinuxKernel.offer(file, this, target);
        }
        fwCfg.file(rom, image);
        return "/rom@" + rom;
    }

    /** The command line with its end. */
    byte[] commandLineBytes() {
        return (commandLine + "\0").getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Reads the initial RAM disk and says where it goes.
     *
     * @param highest the last address that the kernel can take it at
     * @return the address, or -1: there is none
     */
    long offerInitrd(Target target, long highest) throws DeviceException {
        if (initrd.isEmpty()) {
            return -1;
        }
        long most = Math.min(highest, target.below4G - ACPI_DATA - 1);
        KernelFile disk = KernelFile.initrd(initrd, most);
        long address = most - disk.size() & -4096;
        target.offer(Part.INITRD, address, disk.bytes());
        return address;
    }

    /** Where a kernel goes: the items of the firmware, and the RAM that they are copied to. */
    static final class Target {
        private final FwCfg fwCfg;
        private final long below4G;
        private final Map<Part, Long> addresses = new EnumMap<>(Part.class);
        private final Map<Part, Long> sizes = new EnumMap<>(Part.class);

        Target(FwCfg fwCfg, long below4G) {
            this.fwCfg = fwCfg;
            this.below4G = below4G;
        }

        /** Offers a part with its address and size. */
        void offer(Part part, long address, MemorySegment data) {
            fwCfg.number(part.address, 4, address);
            fwCfg.number(part.size, 4, data.byteSize());
            fwCfg.item(part.data, data);
            addresses.put(part, address);
            sizes.put(part, data.byteSize());
        }

        void offer(Part part, long address, byte[] data) {
            offer(part, address, MemorySegment.ofArray(data));
        }

        /** What was offered. */
        Set<Part> parts() {
            return addresses.keySet();
        }

        long address(Part part) {
            return addresses.getOrDefault(part, 0L);
        }

        long size(Part part) {
            return sizes.getOrDefault(part, 0L);
        }

        void entry(long address) {
            fwCfg.number(KERNEL_ENTRY, 4, address);
        }

        /** Offers a file as it is. */
        void file(String name, KernelFile file) {
            fwCfg.file(name, file.bytes());
        }

        /** A kernel must end before the RAM does, and be no larger than an item can be. */
        void checkFits(String kernel, long address, long size) throws DeviceException {
            if (size > Integer.MAX_VALUE || address + size > below4G) {
                throw new DeviceException(
                        "could not load kernel '%s': it is too large for the RAM, it ends at 0x%x of 0x%x"
                                .formatted(kernel, address + size, below4G));
            }
        }
    }
}
