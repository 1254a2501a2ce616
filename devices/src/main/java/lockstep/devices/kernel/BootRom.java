package lockstep.devices.kernel;

import lockstep.devices.kernel.DirectBoot.Part;
import lockstep.devices.kernel.DirectBoot.Target;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * Writes the option ROM that boots a kernel: a Plug and Play expansion header (Plug and Play BIOS Specification 1.0A,
 * section 3) whose bootstrap entry has the firmware configuration device copy the kernel's parts into RAM, and then
 * enters the kernel. Addresses of what is booted are in the code. Below 1 MiB it uses, in areas that a firmware leaves
 * to what it boots:
 *
 * <pre>
 * 0x7000   the stack ends
 * 0x8000   a descriptor of a copy
 * 0x8100   descriptor table and code for the entry in protected mode
 * 0x8200   PVH's start information
 * 0x9000   memory map
 * 0x9500   Multiboot's information
 * </pre>
 */
final class BootRom {
    private static final int SECTOR = 512;
    private static final int HEADER = 0x1c;
    private static final int NAME = 0x3c;
    private static final int ENTRY = 0x50;

    private static final int COPY = 0x8000;
    private static final int GDT = 0x8100;
    private static final int START = GDT + 0x20;
    private static final int PVH = 0x8200;
    private static final int MAP = MultibootKernel.MEMORY_MAP;
    private static final int MAP_END = 0x9500;

    /** The firmware's device writes that into the descriptor's key: select and read. */
    private static final int COPY_ITEM = 0x0a;

    private static final int MULTIBOOT_MAGIC = 0x2bad_b002;
    private static final int PVH_MAGIC = 0x336e_c578;

    private final ByteBuffer out = ByteBuffer.allocate(4 * SECTOR).order(ByteOrder.LITTLE_ENDIAN);

    /** Where the code has the addresses of what stands behind it: the table of copies, its end, the block. */
    private int blockAt;

    private final List<Part> parts;
    private final Target target;
    private final int tableAt;
    private final int tableEnd;

    private BootRom(Target target, List<Part> parts) {
        this.target = target;
        this.parts = parts;
        out.position(ENTRY);
        code("fa", "cli");
        code("fc", "cld");
        code("31c0 8ec0", "es = 0");
        code("0e 1f", "ds = cs");
        code("be", "si = the first copy");
        tableAt = out.position();
        out.putShort((short) 0);
        int next = out.position();
        code("bf", "di = descriptor").putShort((short) COPY);
        code("b9 0800 f3a5", "copy 8 words");
        code("ba 1805 66b8", "dx = 0x518, eax = the descriptor's address, big endian");
        out.putInt(Integer.reverseBytes(COPY));
        code("66ef", "out dx, eax");
        code("81fe", "cmp si, behind the last copy");
        tableEnd = out.position();
        out.putShort((short) 0);
        code("72", "jb next").put((byte) (next - out.position() - 1));
    }

    /**
     * A ROM that enters Linux in real mode.
     *
     * @param real where its setup code is
     * @param stack the end of the stack behind that
     */
    static byte[] realMode(Target target, int real, int stack) {
        BootRom rom = new BootRom(target, List.copyOf(target.parts()));
        rom.code("b8", "ax = segment of the setup code").putShort((short) (real >> 4));
        rom.code("8ed8 8ec0 8ee0 8ee8 8ed0", "ds, es, fs, gs, ss = ax");
        rom.code("66bc", "esp = stack").putInt(stack);
        rom.code("6631c0 6631db 6631c9 6631d2 6631f6 6631ff 6631ed", "the other registers = 0");
        rom.code("ea 0000", "jump behind the boot sector").putShort((short) ((real >> 4) + 0x20));
        return rom.finish(new byte[0]);
    }

    /** A ROM that enters a Multiboot kernel, whose information is the item of the RAM disk. */
    static byte[] multiboot(Target target, long entry) {
        BootRom rom = new BootRom(target, List.of(Part.KERNEL, Part.INITRD));
        int info = MultibootKernel.INFORMATION;
        rom.copyBlock();
        rom.memoryMap(MAP + 4, "26 66c745fc 14000000", "the entry's size is in front of it");
        rom.code("89f8 2d", "ax = di - the first entry").putShort((short) (MAP + 4));
        rom.code("26a3", "length of the map").putShort((short) (info + 44));
        rom.code("cd12 26a3", "memory below 640 KiB").putShort((short) (info + 4));
        rom.code("6631c9 6631d2 b801e8 cd15", "cx = KiB from 1 to 16 MiB, dx = 64 KiB above");
        rom.code("66c1e206 6601d1", "ecx += edx * 64");
        rom.code("2666890e", "memory above 1 MiB").putShort((short) (info + 8));
        return rom.protectedMode(MULTIBOOT_MAGIC, info, entry, new byte[0]);
    }

    /**
     * A ROM that enters a kernel as a PVH guest.
     *
     * @param initrd where the RAM disk is, negative: there is none
     */
    static byte[] pvh(Target target, long entry, long initrd) {
        List<Part> parts =
                initrd < 0
                        ? List.of(Part.KERNEL, Part.COMMAND_LINE)
                        : List.of(Part.KERNEL, Part.COMMAND_LINE, Part.INITRD);
        BootRom rom = new BootRom(target, parts);
        rom.copyBlock();
        rom.memoryMap(MAP, "26 66c74514 00000000", "the last word is reserved");
        rom.code("89f8 2d", "ax = di - the map").putShort((short) MAP);
        rom.code("b118 f6f1 26a2", "al = ax / 24, the number of entries")
                .putShort((short) (PVH + 48));
        rom.code("ba00e0 8eda", "for each paragraph from 0xe0000");
        rom.code("66813e0000 52534420 7509", "is there \"RSD \"");
        rom.code("66813e0400 50545220 7403", "and \"PTR \"?");
        rom.code("42 75e7", "else the next one; none: 0");
        rom.code("660fb7d2 66c1e204", "its address");
        rom.code("26668916", "is that of the ACPI tables").putShort((short) (PVH + 32));

        int module = PVH + 56;
        ByteBuffer info = ByteBuffer.allocate(88).order(ByteOrder.LITTLE_ENDIAN);
        info.putInt(PVH_MAGIC).putInt(1).putInt(0).putInt(initrd < 0 ? 0 : 1);
        info.putLong(initrd < 0 ? 0 : module).putLong(target.address(Part.COMMAND_LINE));
        info.putLong(0).putLong(MAP).putInt(0).putInt(0);
        info.putLong(Math.max(0, initrd)).putLong(target.size(Part.INITRD)).putLong(0);
        return rom.protectedMode(0, PVH, entry, info.array());
    }

    /** Machine code, which says what it does. */
    private ByteBuffer code(String hex, String why) {
        return out.put(HexFormat.of().parseHex(hex.replace(" ", "")));
    }

    private void copyBlock() {
        code("be", "si = the block for protected mode");
        blockAt = out.position();
        out.putShort((short) 0);
        code("bf", "di").putShort((short) GDT);
        code("b90001 f3a5", "copy 512 bytes");
    }

    /** Asks for the memory map. Leaves {@code di} behind it. */
    private void memoryMap(int first, String rest, String why) {
        code("bf", "di = the first entry").putShort((short) first);
        code("6631db", "ebx = 0: from the beginning");
        int next = out.position();
        code("66b820e80000", "eax = 0xe820");
        code("66ba 50414d53", "edx = SMAP");
        code("66b914000000 cd15", "ecx = 20 bytes; ask");
        int body = rest.replace(" ", "").length() / 2 + 3 + 4 + 2 + 3 + 2;
        code("72", "jc: no more").put((byte) body);
        code(rest, why);
        code("83c718", "di += 24");
        code("81ff", "cmp di, the end").putShort((short) (MAP_END - 24));
        code("73 05", "jae: no room");
        code("6685db 75", "more?").put((byte) (next - out.position() - 1));
    }

    private byte[] protectedMode(int magic, int information, long entry, byte[] start) {
        code("26660f0116", "lgdt").putShort((short) (GDT + 24));
        code("0f20c0 0c01 0f22c0", "protected mode");
        code("66ea", "jump to the code below").putInt(START).putShort((short) 8);
        // The block: descriptors of all memory as code and data, their table's place, the last
        // steps.
        ByteBuffer block = ByteBuffer.allocate(0x200).order(ByteOrder.LITTLE_ENDIAN);
        block.putLong(8, 0x00cf_9a00_0000_ffffL).putLong(16, 0x00cf_9200_0000_ffffL);
        block.putShort(24, (short) 23).putInt(26, GDT);
        block.position(START - GDT);
        block.put(HexFormat.of().parseHex("b810000000" + "8ed88ec08ee08ee88ed0" + "bc00700000"));
        block.put((byte) 0xb8).putInt(magic); // eax
        block.put((byte) 0xbb).putInt(information); // ebx
        block.put((byte) 0xb9).putInt((int) entry); // ecx
        block.put(HexFormat.of().parseHex("ffe1")); // jmp ecx
        block.put(PVH - GDT, start);
        return finish(block.array());
    }

    private byte[] finish(byte[] block) {
        short at = (short) out.position();
        out.putShort(tableAt, at);
        out.order(ByteOrder.BIG_ENDIAN);
        for (Part p : parts) {
            out.putInt(p.data << 16 | COPY_ITEM).putInt((int) target.size(p));
            out.putLong(target.address(p));
        }
        out.order(ByteOrder.LITTLE_ENDIAN);
        out.putShort(tableEnd, (short) out.position());
        if (block.length > 0) {
            out.putShort(blockAt, (short) out.position());
            out.put(block);
        }
        int size = out.position() + SECTOR & -SECTOR;
        out.put(0, new byte[] {0x55, (byte) 0xaa, (byte) (size / SECTOR), (byte) 0xcb});
        out.putShort(0x1a, (short) HEADER);
        out.put(HEADER, "$PnP".getBytes(StandardCharsets.US_ASCII));
        out.put(HEADER + 4, new byte[] {1, 2}); // Version, sixteenths of its length.
        out.putShort(HEADER + 14, (short) NAME).putShort(HEADER + 16, (short) (NAME + 9));
        out.putShort(HEADER + 26, (short) ENTRY);
        out.put(NAME, "Lockstep\0Kernel\0".getBytes(StandardCharsets.US_ASCII));
        byte[] image = Arrays.copyOf(out.array(), size);
        balance(image, HEADER, 0x20, HEADER + 9);
        balance(image, 0, size, size - 1);
        return image;
    }

    /** Sets a byte so that the sum of all is 0. */
    private static void balance(byte[] image, int from, int length, int at) {
        int sum = 0;
        for (int i = from; i < from + length; i++) {
            sum += image[i];
        }
        image[at] = (byte) (image[at] - sum);
    }
}
