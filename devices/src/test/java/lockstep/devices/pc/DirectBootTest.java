package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.PcMachineOptions;
import lockstep.devices.board.Firmware;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.kernel.DirectBoot;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** What the firmware is told of a kernel that is booted without a disk; the numbers are QEMU's for the same files. */
final class DirectBootTest {
    private static final int KERNEL_ADDRESS = 0x07;
    private static final int KERNEL_SIZE = 0x08;
    private static final int INITRD_ADDRESS = 0x0a;
    private static final int INITRD_SIZE = 0x0b;
    private static final int KERNEL_ENTRY = 0x10;
    private static final int KERNEL = 0x11;
    private static final int INITRD = 0x12;
    private static final int COMMAND_LINE_ADDRESS = 0x13;
    private static final int COMMAND_LINE_SIZE = 0x14;
    private static final int COMMAND_LINE = 0x15;
    private static final int SETUP_ADDRESS = 0x16;
    private static final int SETUP_SIZE = 0x17;
    private static final int SETUP = 0x18;
    private static final int DIRECTORY = 0x19;
    private static final int MIB = 1 << 20;

    @TempDir Path directory;

    @BeforeEach
    void firmware() {
        try {
            new Firmware(List.of()).load("bios-256k.bin");
        } catch (DeviceException e) {
            Assumptions.abort("firmware is not installed: " + e.getMessage());
        }
    }

    private static void make(TestMachine core, Path kernel, String initrd, String append)
            throws DeviceException {
        MachineConfig config =
                new MachineConfig(
                        "pc-i440fx-10.2",
                        core.core().ramSize(),
                        1,
                        null,
                        null,
                        List.of(),
                        List.of(),
                        List.of(),
                        true,
                        "none",
                        false,
                        Set.of(),
                        Map.of(),
                        Map.of(),
                        null,
                        null,
                        Map.of());
        PcMachineOptions options =
                PcType.OPTIONS.complete(
                        PcMachineOptions.builder()
                                .kernel(kernel.toString())
                                .initrd(initrd)
                                .append(append)
                                .build());
        PcMachine pc = PcMachine.build(core.core(), core.vmm(), config, options);
        pc.reset();
    }

    private static byte[] item(TestMachine core, int key, int size) {
        AddressSpace ports = core.ports();
        ports.write(0x510, 2, key);
        byte[] content = new byte[size];
        for (int i = 0; i < size; i++) {
            content[i] = (byte) ports.read(0x511, 1);
        }
        return content;
    }

    private static int number(TestMachine core, int key) {
        return little(item(core, key, 4)).getInt();
    }

    private static ByteBuffer little(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private Path file(String name, byte[] content) throws IOException {
        return Files.write(directory.resolve(name), content);
    }

    /** A bzImage of one sector of setup and {@code size} bytes of code. */
    private static byte[] linux(int protocol, int size) {
        ByteBuffer image = little(new byte[1024 + size]);
        image.put(0x1f1, (byte) 1);
        image.putInt(0x1f4, (size + 15) / 16);
        image.putShort(0x1fe, (short) 0xaa55);
        image.put(0x202, "HdrS".getBytes(StandardCharsets.US_ASCII));
        image.putShort(0x206, (short) protocol);
        image.put(0x211, (byte) 1);
        image.putInt(0x22c, 0x7fff_ffff);
        image.putShort(0x236, (short) 0x7f);
        for (int i = 0; i < size; i++) {
            image.put(1024 + i, (byte) i);
        }
        return image.array();
    }

    @Test
    void linuxWithARamDisk() throws Exception {
        try (TestMachine core = new TestMachine(64 * MIB)) {
            byte[] image = linux(0x20f, 1000);
            Path initrd = file("initrd", new byte[100_000]);
            make(core, file("vmlinuz", image), initrd.toString(), "console=ttyS0 vga=ask x");
            assertEquals(0x100000, number(core, KERNEL_ADDRESS));
            assertEquals(1000, number(core, KERNEL_SIZE));
            assertEquals(0x10000, number(core, SETUP_ADDRESS));
            assertEquals(1024, number(core, SETUP_SIZE));
            assertEquals(0x20000, number(core, COMMAND_LINE_ADDRESS));
            assertEquals(24, number(core, COMMAND_LINE_SIZE));
            assertEquals(0x3fbf000, number(core, INITRD_ADDRESS));
            assertEquals(100_000, number(core, INITRD_SIZE));
            assertEquals(
                    "console=ttyS0 vga=ask x\0",
                    new String(item(core, COMMAND_LINE, 24), StandardCharsets.US_ASCII));
            assertEquals(-1, Arrays.mismatch(item(core, KERNEL, 1000), 0, 1000, image, 1024, 2024));
            ByteBuffer setup = little(item(core, SETUP, 1024));
            assertEquals((short) 0xfffd, setup.getShort(0x1fa));
            assertEquals((byte) 0xb0, setup.get(0x210));
            assertEquals((byte) 0x81, setup.get(0x211));
            assertEquals(0x3fbf000, setup.getInt(0x218));
            assertEquals(100_000, setup.getInt(0x21c));
            assertEquals((short) 0xfe00, setup.getShort(0x224));
            assertEquals(0x20000, setup.getInt(0x228));
            assertRom(core, "linuxboot_dma.bin");
        }
    }

    /** The ROM is there, first in the boot order, and one that firmware takes. */
    private static void assertRom(TestMachine core, String name) {
        int files = ByteBuffer.wrap(item(core, DIRECTORY, 4)).getInt();
        ByteBuffer all = ByteBuffer.wrap(item(core, DIRECTORY, 4 + 64 * files));
        boolean found = false;
        for (int i = 0; i < files; i++) {
            int size = all.getInt(4 + 64 * i);
            int key = all.getShort(8 + 64 * i);
            byte[] text = Arrays.copyOfRange(all.array(), 12 + 64 * i, 68 + 64 * i);
            String file = new String(text, StandardCharsets.US_ASCII).trim();
            if (file.equals("bootorder")) {
                assertEquals(
                        "/rom@genroms/" + name + "\0",
                        new String(item(core, key, size), StandardCharsets.US_ASCII));
            }
            if (file.equals("genroms/" + name)) {
                found = true;
                byte[] rom = item(core, key, size);
                assertEquals(size, rom[2] * 512);
                int sum = 0;
                for (byte b : rom) {
                    sum += b;
                }
                assertEquals(0, sum & 0xff, "the checksum");
            }
        }
        assertTrue(found);
    }

    @Test
    void anOldLinuxIsLoadedLow() throws Exception {
        try (TestMachine core = new TestMachine(16 * MIB)) {
            byte[] image = linux(0, 1000);
            make(core, file("zimage", image), "", "auto");
            assertEquals(0x10000, number(core, KERNEL_ADDRESS));
            assertEquals(0x90000, number(core, SETUP_ADDRESS));
            assertEquals(0x9a000 - 16, number(core, COMMAND_LINE_ADDRESS));
            ByteBuffer setup = little(item(core, SETUP, 1024));
            assertEquals((short) 0xa33f, setup.getShort(0x20));
            assertEquals((short) 0x9ff0, setup.getShort(0x22));
        }
    }

    private static byte[] multiboot() {
        ByteBuffer image = little(new byte[0x1c0]);
        image.putInt(0x40, 0x1bad_b002)
                .putInt(0x44, 0x10003)
                .putInt(0x48, -(0x1bad_b002 + 0x10003));
        image.putInt(0x4c, 0x200040).putInt(0x50, 0x200000).putInt(0x58, 0x204000);
        image.putInt(0x5c, 0x200080);
        return image.array();
    }

    @Test
    void multibootWithModules() throws Exception {
        try (TestMachine core = new TestMachine(64 * MIB)) {
            Path one = file("m1", "MODULE1".getBytes(StandardCharsets.US_ASCII));
            Path two = file("m2", "MODULE2".getBytes(StandardCharsets.US_ASCII));
            Path kernel = file("mb", multiboot());
            make(core, kernel, one + " one two," + two, "hi");
            assertEquals(0x200080, number(core, KERNEL_ENTRY));
            assertEquals(0x200000, number(core, KERNEL_ADDRESS));
            int size = number(core, KERNEL_SIZE);
            byte[] all = item(core, KERNEL, size);
            ByteBuffer memory = little(all);
            ByteBuffer info = little(item(core, INITRD, number(core, INITRD_SIZE)));
            assertEquals(0x9500, number(core, INITRD_ADDRESS));
            assertEquals(0x24f, info.getInt(0));
            assertEquals(0x8000_ffff, info.getInt(12));
            assertEquals(kernel + " hi", text(all, info.getInt(16)));
            assertEquals(2, info.getInt(20));
            assertEquals(0x204000, info.getInt(24));
            assertEquals(0x9000, info.getInt(48));
            assertEquals("qemu", text(all, info.getInt(64)));
            assertEquals(0x205000, memory.getInt(0x4000));
            assertEquals(0x205007, memory.getInt(0x4004));
            assertEquals(one + " one two", text(all, memory.getInt(0x4008)));
            assertEquals(0x206000, memory.getInt(0x4010));
            assertEquals(two.toString(), text(all, memory.getInt(0x4018)));
            assertEquals("MODULE1", new String(all, 0x5000, 7, StandardCharsets.US_ASCII));
            assertRom(core, "multiboot_dma.bin");
        }
    }

    private static String text(byte[] memory, int address) {
        int from = address - 0x200000;
        int to = from;
        while (memory[to] != 0) {
            to++;
        }
        return new String(memory, from, to - from, StandardCharsets.UTF_8);
    }

    /** An ELF file with one segment at 3 MiB, and Xen's note of an entry. */
    private static byte[] pvh(int noteType) {
        ByteBuffer image = little(new byte[0x1100]);
        image.put(HexFormat.of().parseHex("7f454c46020101")).position(16);
        image.putShort((short) 2).putShort((short) 62).putInt(1).putLong(0x300010).putLong(64);
        image.position(52);
        image.putShort((short) 64).putShort((short) 56).putShort((short) 2);
        image.position(64);
        image.putInt(1).putInt(7).putLong(0x1000).putLong(-1L << 31 | 0x300000).putLong(0x300000);
        image.putLong(0x80).putLong(0x2000).putLong(0x1000);
        image.putInt(4).putInt(4).putLong(0x1080).putLong(0).putLong(0);
        image.putLong(0x18).putLong(0x18).putLong(4);
        image.position(0x1080);
        image.putInt(4).putInt(8).putInt(noteType);
        image.put("Xen\0".getBytes(StandardCharsets.US_ASCII)).putLong(0x300020);
        return image.array();
    }

    @Test
    void anElfFileWithAnEntryForPvh() throws Exception {
        try (TestMachine core = new TestMachine(64 * MIB)) {
            Path initrd = file("initrd", new byte[100_000]);
            make(core, file("vmlinux", pvh(18)), initrd.toString(), "hi");
            assertEquals(0x300020, number(core, KERNEL_ENTRY));
            assertEquals(0x300000, number(core, KERNEL_ADDRESS));
            assertEquals(0x2000, number(core, KERNEL_SIZE));
            assertEquals(3, number(core, COMMAND_LINE_SIZE));
            assertEquals(0x3fbf000, number(core, INITRD_ADDRESS));
            assertEquals(0x2000, number(core, SETUP_SIZE));
            assertRom(core, "pvh.bin");
        }
    }

    private String refused(byte[] kernel, String initrd) throws IOException {
        Path path = file("kernel", kernel);
        return refused(path, initrd).replace(path.toString(), "K").replace(directory + "/", "");
    }

    private static String refused(Path kernel, String initrd) {
        try (TestMachine core = new TestMachine(4 * MIB)) {
            return String.valueOf(
                    assertThrows(DeviceException.class, () -> make(core, kernel, initrd, ""))
                            .getMessage());
        }
    }

    @Test
    void whatIsNoKernelIsRefused() throws Exception {
        byte[] good = linux(0x20f, 1000);
        Path none = directory.resolve("none");
        assertEquals(
                "could not open kernel file '" + none + "': No such file or directory",
                refused(none, ""));
        assertEquals(
                "could not load kernel '" + directory + "': Is a directory",
                refused(directory, ""));
        assertEquals("could not load kernel 'K': it is empty", refused(new byte[0], ""));
        assertEquals("invalid kernel header", refused(Arrays.copyOf(good, 100), ""));
        assertEquals("invalid kernel header", refused(new byte[100_000], ""));
        assertEquals(
                "could not load kernel 'K': the file ends too early",
                refused(Arrays.copyOf(good, 1500), ""));
        assertEquals(
                "could not load kernel 'K': it is too large for the RAM, it ends at 0x500000 of"
                        + " 0x400000",
                refused(linux(0x20f, 4 * MIB), ""));
        assertEquals("linux kernel too old to load a ram disk", refused(linux(0, 10), "x"));
        assertEquals(
                "error reading initrd " + none + ": No such file or directory",
                refused(good, none.toString()).replace("initrd none", "initrd " + none));
        String large = file("large", new byte[5 * MIB]).toString();
        assertEquals(
                "initrd is too large, cannot support.(max: 4030463, need 5242880)",
                refused(good, large));
        assertEquals(
                "Error loading uncompressed kernel without PVH ELF Note", refused(pvh(17), ""));
        byte[] load = multiboot();
        little(load).putInt(0x4c, 0x1ffff0);
        assertEquals("invalid load_addr address", refused(load, ""));
    }

    @Test
    void elfSegmentsThatCannotBeLoadedAreRefused() throws Exception {
        byte[] nothing = pvh(18);
        little(nothing).putLong(64 + 0x18, 0).putLong(64 + 0x20, 0).putLong(64 + 0x28, 0);
        assertEquals(
                "Error while loading elf kernel 'K': its headers are damaged",
                refused(nothing, ""));
        byte[] high = pvh(18);
        little(high).putLong(64 + 0x18, Long.MAX_VALUE);
        assertEquals(
                "Error while loading elf kernel 'K': it is to lie above 4 GiB", refused(high, ""));
        byte[] large = pvh(18);
        little(large).putLong(64 + 0x28, 1 << 30);
        assertEquals(
                "could not load kernel 'K': it is too large for the RAM, it ends at 0x40300000 of"
                        + " 0x400000",
                refused(large, ""));
        byte[] arm = pvh(18);
        little(arm).putShort(18, (short) 183);
        assertEquals(
                "Error while loading elf kernel 'K': it is for another processor",
                refused(arm, ""));
        byte[] cut = Arrays.copyOf(pvh(18), 40);
        assertEquals(
                "Error while loading elf kernel 'K': its headers are damaged", refused(cut, ""));
    }

    /** A segment without memory lies nowhere, whatever its address is. */
    @Test
    void anEmptyElfSegmentIsNotLoaded() throws Exception {
        byte[] image = pvh(18);
        little(image).putShort(56, (short) 3);
        little(image).putInt(64 + 2 * 56, 1).putLong(64 + 2 * 56 + 0x18, -1);
        try (TestMachine core = new TestMachine(16 * MIB)) {
            make(core, file("vmlinux", image), "", "");
            assertEquals(0x300000, number(core, KERNEL_ADDRESS));
            assertEquals(0x2000, number(core, KERNEL_SIZE));
        }
    }

    @Test
    void multibootImagesThatDoNotFitAreRefused() throws Exception {
        byte[] low = multiboot();
        little(low).putInt(0x4c, 0x40).putInt(0x50, 0).putInt(0x58, -1);
        assertEquals(
                "could not load kernel 'K': it is too large for the RAM, it ends at 0xffffffff of"
                        + " 0x400000",
                refused(low, ""));
        byte[] cut = multiboot();
        little(cut).putInt(0x54, 0x300000).putInt(0x58, 0);
        assertEquals("could not load kernel 'K': the file ends too early", refused(cut, ""));
    }

    @Test
    void videoModesAreNamesOrNumbers() throws Exception {
        Map<String, Integer> good =
                Map.of("normal", 0xffff, "extra", 0xfffe, "ask", 0xfffd, "0x1ff", 0x1ff, "010", 8);
        Path kernel = file("bzImage", linux(0x20f, 1000));
        for (Map.Entry<String, Integer> mode : good.entrySet()) {
            try (TestMachine core = new TestMachine(16 * MIB)) {
                make(core, kernel, "", "quiet vga=" + mode.getKey() + " ro");
                short field = little(item(core, SETUP, 1024)).getShort(0x1fa);
                assertEquals(mode.getValue(), field & 0xffff, mode.getKey());
            }
        }
        for (String bad : List.of("", "08", "5x", "abc", "99999999999999999999", "0x100000000")) {
            try (TestMachine core = new TestMachine(16 * MIB)) {
                assertEquals(
                        "invalid 'vga=' kernel parameter.",
                        assertThrows(
                                        DeviceException.class,
                                        () -> make(core, kernel, "", "vga=" + bad))
                                .getMessage());
            }
        }
    }

    /** Whatever a file holds: it is a kernel or is refused. */
    @Test
    void damagedFilesAreKernelsOrRefused() throws Exception {
        Random random = new Random(7);
        List<byte[]> good = List.of(linux(0x20f, 1000), multiboot(), pvh(18));
        try (TestMachine core = new TestMachine(16 * MIB)) {
            FwCfg firmware = PcSectionsTest.board(core).parts().get(FwCfg.class);
            for (int i = 0; i < 3000; i++) {
                byte[] image = good.get(i % good.size()).clone();
                for (int n = random.nextInt(8); n >= 0; n--) {
                    int at = random.nextInt(Math.min(image.length, 0x300));
                    image[at] = (byte) (random.nextBoolean() ? 0xff : random.nextInt());
                }
                int length = random.nextInt(4) == 0 ? random.nextInt(image.length) : image.length;
                Path path = file("damaged", Arrays.copyOf(image, length));
                String initrd = random.nextBoolean() ? "" : path.toString();
                try {
                    new DirectBoot(path.toString(), initrd, "").offer(firmware, 16 * MIB);
                } catch (DeviceException e) {
                    assertTrue(String.valueOf(e.getMessage()).length() > 10);
                }
            }
        }
    }
}
