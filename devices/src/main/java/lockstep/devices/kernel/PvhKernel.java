package lockstep.devices.kernel;

import lockstep.devices.kernel.DirectBoot.Part;
import lockstep.devices.kernel.DirectBoot.Target;
import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.OptionalLong;

/** An ELF kernel that says where a PVH guest starts (Xen's note 18, PHYS32_ENTRY). */
final class PvhKernel {
    private static final int PHYS32_ENTRY = 18;

    /** As many bytes of the file are offered as its setup. */
    private static final int SETUP = 8192;

    private static final long COMMAND_LINE = 0x20000;

    private PvhKernel() {}

    static byte[] offer(KernelFile file, DirectBoot boot, Target target) throws DeviceException {
        ElfFile elf = new ElfFile(file);
        if (elf.machine() != ElfFile.I386 && elf.machine() != ElfFile.X86_64) {
            throw elf.refused("it is for another processor");
        }
        OptionalLong entry = elf.note("Xen", PHYS32_ENTRY);
        if (entry.isEmpty()) {
            throw new DeviceException("Error loading uncompressed kernel without PVH ELF Note");
        }
        target.checkFits(file.name(), elf.low(), elf.size());
        MemorySegment image = KernelFile.memory(elf.size());
        elf.copyTo(image);
        target.entry(entry.getAsLong());
        target.offer(Part.KERNEL, elf.low(), image);
        target.offer(Part.COMMAND_LINE, COMMAND_LINE, boot.commandLineBytes());
        byte[] head =
                file.bytes()
                        .asSlice(0, Math.min(SETUP, file.size()))
                        .toArray(ValueLayout.JAVA_BYTE);
        target.offer(Part.SETUP, 0, Arrays.copyOf(head, SETUP));
        long initrd = boot.offerInitrd(target, Long.MAX_VALUE);
        return BootRom.pvh(target, entry.getAsLong(), initrd);
    }
}
