package lockstep.devices.pc;

import lockstep.devices.board.Firmware;
import lockstep.devices.pci.PciBus;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Where a PC's RAM and firmware lie.
 *
 * @param below4G bytes of RAM below 4 GiB, where the PCI window begins
 * @param above4G the rest, from 4 GiB on
 */
record PcMemory(long below4G, long above4G) {
    private static final long GIB = 1L << 30;
    static final long FOUR_GIB = 4 * GIB;

    /** With less RAM than this all of it lies below 4 GiB; with more, the PCI window takes 1 GiB. */
    private static final long LOW_MEMORY_MAX = 0xe000_0000L;

    private static final long LOW_MEMORY_SPLIT = 0xc000_0000L;

    /** Bytes of the window for 64-bit BARs. */
    private static final long HIGH_WINDOW = 2 * GIB;

    private static final int BIOS_UNIT = 64 << 10;
    private static final int BIOS_MAX = 16 << 20;
    private static final int ISA_BIOS = 128 << 10;
    private static final long OPTION_ROMS = 0xc_0000;
    private static final int OPTION_ROMS_SIZE = 128 << 10;
    private static final String DEFAULT_BIOS = "bios-256k.bin";

    /** Of so many bytes of RAM. */
    static PcMemory of(long ram) {
        long below = ram >= LOW_MEMORY_MAX ? LOW_MEMORY_SPLIT : ram;
        return new PcMemory(below, ram - below);
    }

    /**
     * Maps the RAM and the memory for option ROMs, until the scope is closed.
     *
     * @throws DeviceException the RAM has no place
     */
    void map(CoreMachine core, DeviceScope scope) throws DeviceException {
        checkAddresses(core.physicalBits());
        AddressSpace memory = core.memory();
        memory.begin();
        try {
            scope.own(memory.mapRam("ram-below-4g", 0, below4G, core.ram(), 0, 0));
            if (above4G > 0) {
                scope.own(memory.mapRam("ram-above-4g", FOUR_GIB, above4G, core.ram(), below4G, 0));
            }
            RamBlock roms = scope.block("pc.rom", OPTION_ROMS_SIZE, OPTION_ROMS_SIZE);
            scope.own(memory.mapRam("pc.rom", OPTION_ROMS, OPTION_ROMS_SIZE, roms, 0, 1))
                    .readOnly(true);
        } finally {
            memory.commit();
        }
    }

    /** The line about the firmware; none where it is in flash. */
    String describeFirmware(CoreMachine core, @Nullable String bios) {
        for (RamBlock b : core.blocks()) {
            if (b.name().equals("pc.bios")) {
                return "addr=%016x size=0x%06x mem=rom name=\"%s\"\n"
                        .formatted(
                                FOUR_GIB - b.maxLength(),
                                b.maxLength(),
                                bios == null ? DEFAULT_BIOS : bios);
            }
        }
        return "";
    }

    /** The RAM and the window for 64-bit BARs behind it must have addresses. */
    private void checkAddresses(int bits) throws DeviceException {
        long most = (1L << bits) - 1;
        long used = (FOUR_GIB + above4G + GIB - 1 & -GIB) + HIGH_WINDOW - 1;
        if (bits > 32 && Long.compareUnsigned(most, used) < 0) {
            throw new DeviceException(
                    "Address space limit 0x%x < 0x%x phys-bits too low (%d)"
                            .formatted(most, used, bits));
        }
    }

    private static byte[] load(Firmware firmware, String name) throws DeviceException {
        byte[] image;
        try {
            image = firmware.load(name);
        } catch (DeviceException e) {
            throw new DeviceException("could not load PC BIOS '" + name + "'", e);
        }
        if (image.length == 0 || image.length % BIOS_UNIT != 0 || image.length > BIOS_MAX) {
            throw new DeviceException("could not load PC BIOS '" + name + "'");
        }
        return image;
    }

    /**
     * Maps firmware as ROM.
     *
     * @param bios the firmware's file, or null for the usual one
     * @throws DeviceException there is no such firmware
     */
    void mapFirmware(
            AddressSpace memory, DeviceScope scope, Firmware firmware, @Nullable String bios)
            throws DeviceException {
        byte[] image = load(firmware, bios == null ? DEFAULT_BIOS : bios);
        RamBlock block = scope.block("pc.bios", image.length, image.length);
        MemorySegment.copy(image, 0, block.memory(), ValueLayout.JAVA_BYTE, 0, image.length);
        long top = FOUR_GIB - image.length;
        memory.begin();
        try {
            scope.own(memory.mapRam("pc.bios", top, image.length, block, 0, PciBus.PRIORITY))
                    .readOnly(true);
            mapLow(memory, scope, block);
        } finally {
            memory.commit();
        }
    }

    /** Shows the end of the firmware below 1 MiB too, where the processor is when it leaves the reset vector. */
    static void mapLow(AddressSpace memory, DeviceScope scope, RamBlock firmware) {
        long isa = Math.min(firmware.maxLength(), ISA_BIOS);
        long offset = firmware.maxLength() - isa;
        scope.own(memory.mapRam("isa-bios", 0x10_0000 - isa, isa, firmware, offset, 1))
                .readOnly(true);
    }
}
