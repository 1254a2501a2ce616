package lockstep.devices.kernel;

import lockstep.devices.kernel.DirectBoot.Part;
import lockstep.devices.kernel.DirectBoot.Target;
import lockstep.qmp.NumberText;
import lockstep.runtime.spi.DeviceException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A Linux image (zImage, bzImage): the boot protocol of Linux for x86, entered in real mode. */
final class LinuxKernel {
    // Fields of the setup header.
    private static final int SETUP_SECTS = 0x1f1;
    private static final int SYSSIZE = 0x1f4;
    private static final int VID_MODE = 0x1fa;
    private static final int BOOT_FLAG = 0x1fe;
    private static final int HEADER = 0x202;
    private static final int VERSION = 0x206;
    private static final int TYPE_OF_LOADER = 0x210;
    private static final int LOADFLAGS = 0x211;
    private static final int RAMDISK_IMAGE = 0x218;
    private static final int RAMDISK_SIZE = 0x21c;
    private static final int HEAP_END_PTR = 0x224;
    private static final int CMD_LINE_PTR = 0x228;
    private static final int INITRD_ADDR_MAX = 0x22c;
    private static final int XLOADFLAGS = 0x236;

    /** Before protocol 2.02: a magic number and the offset of the command line. */
    private static final int OLD_CL_MAGIC = 0x20;

    private static final int OLD_CL_OFFSET = 0x22;

    private static final long HDRS = 0x5372_6448;
    private static final int OLD_CL_SIGN = 0xa33f;
    private static final int BOOT_SIGN = 0xaa55;
    private static final int LOADED_HIGH = 0x01;
    private static final int CAN_USE_HEAP = 0x80;
    private static final int ABOVE_4G = 0x02;

    /** The number that QEMU has as a boot loader. */
    private static final int LOADER = 0xb0;

    private static final int SECTOR = 512;

    /** The highest that a kernel takes its RAM disk at which does not say itself. */
    private static final long OLD_INITRD_MAX = 0x37ff_ffff;

    /** A mode by name, whatever follows that, or by its number. */
    private static final Pattern VGA = Pattern.compile("vga=(normal|ext|ask|[^ ]*)");

    private LinuxKernel() {}

    static boolean isOne(KernelFile file) {
        return file.u32(HEADER) == HDRS;
    }

    /** Offers the parts of a kernel. Returns the option ROM that boots it. */
    static byte[] offer(KernelFile file, DirectBoot boot, Target target) throws DeviceException {
        int protocol = isOne(file) ? file.u16(VERSION) : 0;
        if (protocol < 0x200 && !boot.initrd().isEmpty()) {
            throw new DeviceException("linux kernel too old to load a ram disk");
        }
        int sectors = file.u8(SETUP_SECTS);
        int setupSize = ((sectors == 0 ? 4 : sectors) + 1) * SECTOR;
        long size = file.size() - setupSize;
        if (size < 0 || file.u16(BOOT_FLAG) != BOOT_SIGN) {
            throw new DeviceException("invalid kernel header");
        }
        // What a signature adds comes behind that; a unit of 16 bytes may be part filled.
        if (protocol >= 0x204 && (file.u32(SYSSIZE) - 1) * 16 > size) {
            throw new DeviceException(
                    "could not load kernel '" + file.name() + "': the file ends too early");
        }
        byte[] line = boot.commandLineBytes();
        boolean high = protocol >= 0x200 && (file.u8(LOADFLAGS) & LOADED_HIGH) != 0;
        boolean far = high && protocol >= 0x202;
        int real = far ? 0x10000 : 0x90000;
        int lineAt = far ? 0x20000 : 0x9a000 - (line.length + 15 & -16);
        long code = high ? 0x100000 : 0x10000;
        if (!far && lineAt < real + setupSize) {
            throw new DeviceException("the kernel's command line is too long");
        }
        target.checkFits(file.name(), code, size);

        byte[] setup = file.bytes().asSlice(0, setupSize).toArray(ValueLayout.JAVA_BYTE);
        ByteBuffer header = ByteBuffer.wrap(setup).order(ByteOrder.LITTLE_ENDIAN);
        if (protocol >= 0x202) {
            header.putInt(CMD_LINE_PTR, lineAt);
        } else {
            header.putShort(OLD_CL_MAGIC, (short) OLD_CL_SIGN);
            header.putShort(OLD_CL_OFFSET, (short) (lineAt - real));
        }
        Matcher vga = VGA.matcher(boot.commandLine());
        if (vga.find()) {
            header.putShort(VID_MODE, (short) videoMode(vga.group(1)));
        }
        if (protocol >= 0x200) {
            header.put(TYPE_OF_LOADER, (byte) LOADER);
        }
        if (protocol >= 0x201) {
            header.put(LOADFLAGS, (byte) (file.u8(LOADFLAGS) | CAN_USE_HEAP));
            header.putShort(HEAP_END_PTR, (short) (lineAt - real - 0x200));
        }
        long initrd = boot.offerInitrd(target, initrdMax(file, protocol));
        if (initrd >= 0) {
            header.putInt(RAMDISK_IMAGE, (int) initrd);
            header.putInt(RAMDISK_SIZE, (int) target.size(Part.INITRD));
        }
        target.offer(Part.COMMAND_LINE, lineAt, line);
        target.offer(Part.SETUP, real, setup);
        MemorySegment rest = file.bytes().asSlice(setupSize);
        target.offer(Part.KERNEL, code, rest);
        target.file("etc/boot/kernel", file);
        return BootRom.realMode(target, real, lineAt - real - 16);
    }

    private static int videoMode(String text) throws DeviceException {
        return switch (text) {
            case "normal" -> 0xffff;
            case "ext" -> 0xfffe;
            case "ask" -> 0xfffd;
            default -> {
                NumberText number = NumberText.wrapping(text);
                if (number.toOptional().isEmpty() || Math.abs(number.value()) > 0xffff_ffffL) {
                    throw new DeviceException("invalid 'vga=' kernel parameter.");
                }
                yield (int) number.value();
            }
        };
    }

    private static long initrdMax(KernelFile file, int protocol) {
        if (protocol >= 0x20c && (file.u16(XLOADFLAGS) & ABOVE_4G) != 0) {
            return 0xffff_ffffL;
        }
        return protocol >= 0x203 ? file.u32(INITRD_ADDR_MAX) : OLD_INITRD_MAX;
    }
}
