package lockstep.devices.vga;

import lockstep.devices.pci.PciFunction;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.function.IntUnaryOperator;

/**
 * The standard VGA as a PCI function (1234:1111): ports, window, video memory in BAR0, registers in BAR2. One beside it
 * has neither ports nor window.
 */
public final class StdVga extends PciFunction implements StateSection {
    /** Video memory when {@code vgamem_mb} is not given. */
    public static final int DEFAULT_VRAM = 16 << 20;

    /** The most video memory in bytes. */
    public static final int MAX_VRAM = 512 << 20;

    private static final int VENDOR = 0x1234;
    private static final int DEVICE = 0x1111;
    private static final int CLASS_VGA = 0x0300;
    private static final int CLASS_OTHER = 0x0380;

    private static final int MMIO_SIZE = 0x1000;
    private static final int MMIO_VGA = 0x400;
    private static final int MMIO_VBE = 0x500;
    private static final int MMIO_EXTENSION = 0x600;
    private static final int EXTENSION_SIZE = 8;
    private static final int LITTLE_ENDIAN_FRAMEBUFFER = 0x1e1e1e1e;

    // Configuration.
    private final boolean primary;
    private final int vramSize;
    private final Registers registers;

    // Wiring.
    private @Nullable VgaChip chip;

    /**
     * What BAR2 has.
     *
     * @param present whether there is such a BAR
     * @param extension whether it has the registers that QEMU added to the ports' mirror
     * @param edid the monitor description; empty: none
     */
    record Registers(boolean present, boolean extension, byte[] edid) {
        /** How drivers learn of the extension. */
        private int revision() {
            return present && extension ? 2 : 0;
        }
    }

    /**
     * A card.
     *
     * @param primary whether it has the ports and the window of a VGA
     * @param vramSize bytes of video memory, a power of two from 1 to 512 MiB
     */
    StdVga(boolean primary, int vramSize, Registers registers) {
        super("vga", VENDOR, DEVICE, registers.revision(), primary ? CLASS_VGA : CLASS_OTHER);
        if (Integer.bitCount(vramSize) != 1 || vramSize < 1 << 20 || vramSize > MAX_VRAM) {
            throw new IllegalArgumentException(
                    "video memory must be a power of two from 1 to 512 MiB");
        }
        this.primary = primary;
        this.vramSize = vramSize;
        this.registers = registers;
    }

    @Override
    protected void realize() {
        Machine machine = machine();
        RamBlock vram = scope().block(path() + "/vga.vram", vramSize, vramSize);
        VgaChip c = new VgaChip(vram.memory(), vramSize, vram::markDirty);
        chip = c;
        ramBar(0, true, vram);
        if (registers.present()) {
            memoryBar(2, "vga.mmio", MMIO_SIZE, false, new Mmio(c, registers));
        }
        if (!primary) {
            return;
        }
        scope().own(machine.memory().mapIo("vga-lowmem", 0xa0000, 0x20000, 1, new Window(c)));
        ports(c, 0x3b4, 2);
        ports(c, 0x3ba, 1);
        ports(c, 0x3c0, 16);
        ports(c, 0x3d4, 2);
        ports(c, 0x3da, 1);
        scope().ports("vbe", 0x1ce, 3, new VbePorts(c));
    }

    private void ports(VgaChip c, int first, int count) {
        scope().ports("vga", first, count, new VgaPorts(c, first));
    }

    @Override
    protected void reset() {
        chip().reset();
    }

    private VgaChip chip() {
        VgaChip c = chip;
        if (c == null) {
            throw new IllegalStateException("the VGA is not on a bus yet");
        }
        return c;
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("dev", c);
        c.struct("vga", "vga", 2, s -> VgaState.describe(s, chip()));
    }

    /** Single-byte registers at their ports; a wider access touches neighbours. */
    private record VgaPorts(VgaChip chip, int base) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return chip.readPort(base + (int) offset);
        }

        @Override
        public void write(long offset, int size, long value) {
            chip.writePort(base + (int) offset, (int) value & 0xff);
        }

        @Override
        public int maxAccess() {
            return 1;
        }
    }

    /** Index at 0x1ce; data at 0x1cf, and at 0x1d0 for processors that dislike odd addresses. */
    private record VbePorts(VgaChip chip) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return offset == 0 ? chip.readVbeIndex() : chip.readVbe();
        }

        @Override
        public void write(long offset, int size, long value) {
            if (offset == 0) {
                chip.writeVbeIndex((int) value);
            } else {
                chip.writeVbe((int) value);
            }
        }

        @Override
        public int minAccess() {
            return 2;
        }

        @Override
        public int maxAccess() {
            return 2;
        }
    }

    private record Window(VgaChip chip) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            return chip.readWindow((int) offset);
        }

        @Override
        public void write(long offset, int size, long value) {
            chip.writeWindow((int) offset, (int) value & 0xff);
        }

        @Override
        public int maxAccess() {
            return 1;
        }
    }

    /** BAR2: monitor description, the ports from 0x3c0, the display extension, QEMU's own. */
    private record Mmio(VgaChip chip, Registers registers) implements IoHandler {
        @Override
        public long read(long offset, int size) {
            int at = (int) offset;
            if (at + size <= registers.edid().length) {
                return bytes(size, i -> registers.edid()[at + i]);
            }
            if (isPort(at)) {
                return bytes(size, i -> chip.readPort(0x3c0 + at - MMIO_VGA + i));
            }
            if (isVbe(at)) {
                int index = chip.readVbeIndex();
                chip.writeVbeIndex(at - MMIO_VBE >> 1);
                int value = chip.readVbe();
                chip.writeVbeIndex(index);
                return value;
            }
            if (registers.extension()
                    && at >= MMIO_EXTENSION
                    && at < MMIO_EXTENSION + EXTENSION_SIZE) {
                return switch (size == 4 ? at : -1) {
                    case MMIO_EXTENSION -> EXTENSION_SIZE;
                    case MMIO_EXTENSION + 4 -> LITTLE_ENDIAN_FRAMEBUFFER;
                    default -> 0;
                };
            }
            // Nobody answers.
            return -1;
        }

        private static long bytes(int size, IntUnaryOperator at) {
            long value = 0;
            for (int i = 0; i < size; i++) {
                value |= (at.applyAsInt(i) & 0xffL) << 8 * i;
            }
            return value;
        }

        private static boolean isPort(int at) {
            return at >= MMIO_VGA && at < MMIO_VGA + 0x20;
        }

        private static boolean isVbe(int at) {
            return at >= MMIO_VBE && at < MMIO_VBE + 2 * (VgaSpec.VBE_REGISTERS + 1);
        }

        @Override
        public void write(long offset, int size, long value) {
            int at = (int) offset;
            if (isPort(at)) {
                for (int i = 0; i < size; i++) {
                    chip.writePort(0x3c0 + at - MMIO_VGA + i, (int) (value >>> 8 * i) & 0xff);
                }
            } else if (isVbe(at)) {
                int index = chip.readVbeIndex();
                chip.writeVbeIndex(at - MMIO_VBE >> 1);
                chip.writeVbe((int) value);
                chip.writeVbeIndex(index);
            }
        }
    }
}
