package lockstep.devices.pc;

import lockstep.devices.acpi.AcpiTables;
import lockstep.devices.board.BootOrder;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.piix4.PmRegisters;
import lockstep.devices.smbios.Smbios;
import lockstep.qmp.NumberText;
import lockstep.runtime.spi.MachineConfig;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** What firmware is told of the machine, besides its ACPI tables. */
final class FirmwareItems {
    /**
     * The board's figures.
     *
     * @param type the machine type's versioned name
     * @param ramSize bytes of RAM
     * @param below4G bytes of it below 4 GiB
     * @param above4G the rest
     * @param hpetBlock what the HPET says of itself, or 0 without one
     * @param sleep the sleeping states
     */
    record Layout(
            String type,
            long ramSize,
            long below4G,
            long above4G,
            int hpetBlock,
            AcpiTables.Sleep sleep) {}

    private static final long FOUR_GIB = 1L << 32;

    private static final int E820_RAM = 1;
    private static final int E820_RESERVED = 2;

    /** Pages below the firmware that an accelerator may need for itself. */
    private static final long ACCELERATOR_PAGES = 0xfeff_c000L;

    private static final long ACCELERATOR_PAGES_SIZE = 0x4000;

    /** The hole that AMD processors use for HyperTransport. */
    private static final long AMD_HOLE = 0xfd_0000_0000L;

    private static final long AMD_HOLE_SIZE = 0x3_0000_0000L;

    private FirmwareItems() {}

    /**
     * Adds everything but the ACPI tables.
     *
     * @param order what the firmware tries
     */
    static void add(FwCfg fwCfg, MachineConfig config, Layout layout, BootOrder order) {
        byte[] uuid = config.uuid();
        fwCfg.item(FwCfg.UUID, uuid == null ? new byte[16] : uuid);
        fwCfg.number(FwCfg.RAM_SIZE, 8, layout.ramSize());
        fwCfg.number(FwCfg.NOGRAPHIC, 2, config.graphics() ? 0 : 1);
        fwCfg.number(FwCfg.NB_CPUS, 2, config.cpus());
        fwCfg.number(FwCfg.MAX_CPUS, 2, config.cpus());
        fwCfg.number(FwCfg.BOOT_MENU, 2, "on".equals(config.boot().get("menu")) ? 1 : 0);
        fwCfg.number(FwCfg.IRQ0_OVERRIDE, 4, 1);
        fwCfg.item(FwCfg.NUMA, new byte[8 + 8 * config.cpus()]);
        fwCfg.item(FwCfg.ACPI_TABLES, new byte[2]);
        fwCfg.item(FwCfg.SMBIOS_ENTRIES, new byte[2]);
        ByteBuffer timers = ByteBuffer.allocate(121).order(ByteOrder.LITTLE_ENDIAN);
        timers.put((byte) (layout.hpetBlock() == 0 ? 0 : 1));
        if (layout.hpetBlock() != 0) {
            timers.putInt(layout.hpetBlock()).putLong(Hpet.BASE);
        }
        fwCfg.item(FwCfg.HPET, timers.array());
        fwCfg.file("etc/e820", memoryMap(layout));
        addBootOrder(fwCfg, config, order);
        // Byte n speaks of S-state n: bit 7 says that it works, the rest is its sleep type.
        int ram = PmRegisters.SLEEP_S3 | (layout.sleep().s3() ? 0x80 : 0);
        int disk = layout.sleep().s4() < 0 ? 0 : 0x80 | layout.sleep().s4();
        fwCfg.file(
                "etc/system-states",
                new byte[] {(byte) 0x80, 0, 0, (byte) ram, (byte) disk, (byte) 0x80});
        int failWait = number(config, "reboot-timeout");
        fwCfg.file("etc/boot-fail-wait", little(4).putInt(failWait).array());
        int menuWait = number(config, "splash-time");
        if (menuWait >= 0) {
            fwCfg.file("etc/boot-menu-wait", little(2).putShort((short) menuWait).array());
        }
        Smbios.offer(
                fwCfg,
                layout.type(),
                uuid,
                config.cpus(),
                cpuSignature(),
                layout.ramSize(),
                layout.below4G());
    }

    /** Adds the boot order and the geometries of disks; again when they have changed. */
    static void addBootOrder(FwCfg fwCfg, MachineConfig config, BootOrder order) {
        List<String> paths = new ArrayList<>(order.paths());
        if (!paths.isEmpty() && "on".equals(config.boot().get("strict"))) {
            paths.add("HALT");
        }
        fwCfg.file("bootorder", lines(paths));
        fwCfg.file("bios-geometry", lines(order.geometries()));
    }

    /** QEMU's qemu64: family 15, model 107, stepping 1, and the usual feature bits. */
    private static long cpuSignature() {
        return 0x078b_fbfdL << 32 | 0x0006_0fb1L;
    }

    /** A number of milliseconds of {@code -boot}, checked when the command line was read. */
    private static int number(MachineConfig config, String option) {
        String text = config.boot().get(option);
        return text == null ? -1 : (int) NumberText.signed(text).value();
    }

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** With a zero at the end; empty when there are none. */
    private static byte[] lines(List<String> lines) {
        return lines.isEmpty()
                ? new byte[0]
                : (String.join("\n", lines) + "\0").getBytes(StandardCharsets.US_ASCII);
    }

    private static byte[] memoryMap(Layout layout) {
        ByteBuffer b = little(20 * (layout.above4G() > 0 ? 4 : 3));
        b.putLong(ACCELERATOR_PAGES).putLong(ACCELERATOR_PAGES_SIZE).putInt(E820_RESERVED);
        b.putLong(AMD_HOLE).putLong(AMD_HOLE_SIZE).putInt(E820_RESERVED);
        b.putLong(0).putLong(layout.below4G()).putInt(E820_RAM);
        if (layout.above4G() > 0) {
            b.putLong(FOUR_GIB).putLong(layout.above4G()).putInt(E820_RAM);
        }
        return b.array();
    }
}
