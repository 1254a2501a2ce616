package lockstep.devices.vga;

import static lockstep.devices.vga.VgaSpec.*;

import lockstep.runtime.memory.LittleEndian;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Registers and memory window of a VGA with the Bochs display extension. Knows no bus and draws
 * nothing: what the guest stores in video memory is the whole effect. Called under the machine lock.
 */
final class VgaChip {
    /** Told which part of video memory a guest access changed. */
    @FunctionalInterface
    interface Changed {
        void changed(long offset, long length);
    }

    // Wiring.
    private final MemorySegment vram;
    private final int vramSize;
    private final Changed changed;

    // Guest-visible state, in the order of the migration section.
    int latch;
    int srIndex;
    final byte[] sr = new byte[8];
    int grIndex;
    final byte[] gr = new byte[16];
    int arIndex;
    final byte[] ar = new byte[21];
    int arFlipFlop;
    int crIndex;
    final byte[] cr = new byte[256];
    int msr;
    int fcr;
    int st00;
    int st01;
    int dacState;
    int dacSubIndex;
    int dacReadIndex;
    int dacWriteIndex;
    final byte[] dacCache = new byte[3];
    final byte[] palette = new byte[768];
    int bankOffset;
    int vbeIndex;
    final int[] vbe = new int[VBE_REGISTERS];
    int vbeStartAddr;
    int vbeLineOffset;
    int vbeBankMask;

    /** A chip on {@code vram}, whose size is a multiple of 64 KiB. */
    VgaChip(MemorySegment vram, int vramSize, Changed changed) {
        this.vram = vram;
        this.vramSize = vramSize;
        this.changed = changed;
        reset();
    }

    /** Puts every register into its power-on state; video memory stays as it is. */
    void reset() {
        latch = 0;
        srIndex = 0;
        Arrays.fill(sr, (byte) 0);
        grIndex = 0;
        Arrays.fill(gr, (byte) 0);
        arIndex = 0;
        Arrays.fill(ar, (byte) 0);
        arFlipFlop = 0;
        crIndex = 0;
        Arrays.fill(cr, (byte) 0);
        msr = 0;
        fcr = 0;
        st00 = 0;
        st01 = 0;
        dacState = 0;
        dacSubIndex = 0;
        dacReadIndex = 0;
        dacWriteIndex = 0;
        Arrays.fill(dacCache, (byte) 0);
        Arrays.fill(palette, (byte) 0);
        bankOffset = 0;
        vbeIndex = 0;
        Arrays.fill(vbe, 0);
        vbe[VBE_ID] = VBE_ID_5;
        vbeStartAddr = 0;
        vbeLineOffset = 0;
        vbeBankMask = (vramSize >>> 16) - 1;
    }

    // ---- VGA registers ----------------------------------------------------------------------

    /** Reads I/O port 0x3b0 to 0x3df. */
    int readPort(int port) {
        if (hidden(port)) {
            return 0xff;
        }
        return switch (port) {
            case 0x3c0 -> arFlipFlop == 0 ? arIndex : 0;
            case 0x3c1 -> {
                int index = arIndex & 0x1f;
                yield index < ar.length ? ar[index] & 0xff : 0;
            }
            case 0x3c2 -> st00;
            case 0x3c4 -> srIndex;
            case 0x3c5 -> sr[srIndex & 7] & 0xff;
            case 0x3c7 -> dacState;
            case 0x3c8 -> dacWriteIndex;
            case 0x3c9 -> {
                int value = palette[dacReadIndex * 3 + dacSubIndex] & 0xff;
                if (++dacSubIndex == 3) {
                    dacSubIndex = 0;
                    dacReadIndex = dacReadIndex + 1 & 0xff;
                }
                yield value;
            }
            case 0x3ca -> fcr;
            case 0x3cc -> msr;
            case 0x3ce -> grIndex;
            case 0x3cf -> gr[grIndex & 15] & 0xff;
            case 0x3b4, 0x3d4 -> crIndex;
            case 0x3b5, 0x3d5 -> cr[crIndex & 0xff] & 0xff;
            case 0x3ba, 0x3da -> {
                // Nothing is scanned out: each look sees the beam on the other side of the retrace,
                // which ends every wait loop for either edge.
                st01 ^= ST01_DISABLED | ST01_RETRACE;
                arFlipFlop = 0;
                yield st01;
            }
            default -> 0;
        };
    }

    /** Writes I/O port 0x3b0 to 0x3df. */
    void writePort(int port, int value) {
        if (hidden(port)) {
            return;
        }
        switch (port) {
            case 0x3c0 -> writeAttribute(value);
            case 0x3c2 -> msr = value & ~0x10;
            case 0x3c4 -> srIndex = value & 7;
            case 0x3c5 -> sr[srIndex & 7] = (byte) (value & SEQ_WRITABLE[srIndex & 7]);
            case 0x3c7 -> {
                dacReadIndex = value;
                dacSubIndex = 0;
                dacState = 3;
            }
            case 0x3c8 -> {
                dacWriteIndex = value;
                dacSubIndex = 0;
                dacState = 0;
            }
            case 0x3c9 -> {
                dacCache[dacSubIndex] = (byte) value;
                if (++dacSubIndex == 3) {
                    System.arraycopy(dacCache, 0, palette, dacWriteIndex * 3, 3);
                    dacSubIndex = 0;
                    dacWriteIndex = dacWriteIndex + 1 & 0xff;
                }
            }
            case 0x3ce -> grIndex = value & 15;
            case 0x3cf -> {
                gr[grIndex & 15] = (byte) (value & GFX_WRITABLE[grIndex & 15]);
                imposeVbe();
            }
            case 0x3b4, 0x3d4 -> crIndex = value;
            case 0x3b5, 0x3d5 -> writeCrtc(value);
            case 0x3ba, 0x3da -> fcr = value & 0x10;
            default -> {}
        }
    }

    /** Whether the colour/monochrome switch hides a port now. */
    private boolean hidden(int port) {
        return (msr & MISC_COLOR) != 0 ? (port & ~0xf) == 0x3b0 : (port & ~0xf) == 0x3d0;
    }

    private void writeAttribute(int value) {
        if (arFlipFlop == 0) {
            arIndex = value & 0x3f;
        } else {
            int index = arIndex & 0x1f;
            int mask =
                    index < 0x10
                            ? 0x3f
                            : switch (index) {
                                case 0x10 -> 0xef;
                                case 0x11 -> 0xff;
                                case 0x12 -> 0x3f;
                                case 0x13, 0x14 -> 0x0f;
                                default -> 0;
                            };
            if (index < ar.length) {
                ar[index] = (byte) (value & mask);
            }
        }
        arFlipFlop ^= 1;
    }

    private void writeCrtc(int value) {
        int index = crIndex & 0xff;
        if (index <= 7 && (cr[CRTC_RETRACE_END] & 0x80) != 0) {
            // Protected, but for the line compare bit in the overflow register.
            if (index == CRTC_OVERFLOW) {
                cr[index] = (byte) (cr[index] & ~0x10 | value & 0x10);
                imposeVbe();
            }
            return;
        }
        cr[index] = (byte) value;
        imposeVbe();
    }

    // ---- Bochs display extension ------------------------------------------------------------

    /** Reads the extension's index register. */
    int readVbeIndex() {
        return vbeIndex;
    }

    /** Selects an extension register. */
    void writeVbeIndex(int value) {
        vbeIndex = value & 0xffff;
    }

    /** Reads the selected extension register. */
    int readVbe() {
        if (vbeIndex < VBE_REGISTERS) {
            if ((vbe[VBE_ENABLE] & VBE_GETCAPS) != 0) {
                switch (vbeIndex) {
                    case VBE_XRES:
                        return VBE_MAX_XRES;
                    case VBE_YRES:
                        return VBE_MAX_YRES;
                    case VBE_BPP:
                        return 32;
                    default:
                        break;
                }
            }
            return vbe[vbeIndex];
        }
        return vbeIndex == VBE_MEMORY_64K ? vramSize >>> 16 : 0;
    }

    /** Writes the selected extension register. */
    void writeVbe(int data) {
        int value = data & 0xffff;
        switch (vbeIndex) {
            case VBE_ID -> {
                if (value >= VBE_ID_0 && value <= VBE_ID_5) {
                    vbe[VBE_ID] = value;
                }
            }
            case VBE_XRES, VBE_YRES, VBE_BPP, VBE_VIRT_WIDTH, VBE_X_OFFSET, VBE_Y_OFFSET -> {
                vbe[vbeIndex] = value;
                fitVbe();
                imposeVbe();
            }
            case VBE_BANK -> {
                vbe[VBE_BANK] = value & vbeBankMask;
                bankOffset = vbe[VBE_BANK] << 16;
            }
            case VBE_ENABLE -> enableVbe(value);
            default -> {}
        }
    }

    private void enableVbe(int value) {
        boolean on = (value & VBE_ENABLED) != 0;
        if (on && !vbeEnabled()) {
            vbe[VBE_VIRT_WIDTH] = 0;
            vbe[VBE_X_OFFSET] = 0;
            vbe[VBE_Y_OFFSET] = 0;
            vbe[VBE_ENABLE] |= VBE_ENABLED;
            fitVbe();
            imposeVbe();
            if ((value & VBE_NOCLEARMEM) == 0) {
                long length =
                        Math.min(Integer.toUnsignedLong(vbeLineOffset) * vbe[VBE_YRES], vramSize);
                vram.asSlice(0, length).fill((byte) 0);
                changed.changed(0, length);
            }
        } else if (!on) {
            bankOffset = 0;
        }
        vbe[VBE_ENABLE] = value;
    }

    private boolean vbeEnabled() {
        return (vbe[VBE_ENABLE] & VBE_ENABLED) != 0;
    }

    /** Brings the mode the guest asked for into what the memory can hold. */
    private void fitVbe() {
        if (!vbeEnabled()) {
            return;
        }
        int bits =
                switch (vbe[VBE_BPP]) {
                    case 4, 8, 16, 24, 32 -> vbe[VBE_BPP];
                    case 15 -> 16;
                    default -> {
                        vbe[VBE_BPP] = 8;
                        yield 8;
                    }
                };
        int width = Math.clamp(vbe[VBE_XRES] & ~7, 8, VBE_MAX_XRES);
        int virtual = Math.clamp(vbe[VBE_VIRT_WIDTH] & ~7, width, VBE_MAX_XRES);
        int line = virtual * bits / 8;
        int lines = vramSize / line;
        int height = Math.clamp(vbe[VBE_YRES], 1, Math.min(lines, VBE_MAX_YRES));
        int x = vbe[VBE_X_OFFSET];
        int y = vbe[VBE_Y_OFFSET];
        long start = (long) x * bits / 8 + (long) y * line;
        if (start + (long) height * line > vramSize) {
            y = 0;
            start = (long) x * bits / 8;
            if (start + (long) height * line > vramSize) {
                x = 0;
                start = 0;
            }
        }
        vbe[VBE_XRES] = width;
        vbe[VBE_YRES] = height;
        vbe[VBE_VIRT_WIDTH] = virtual;
        vbe[VBE_VIRT_HEIGHT] = Math.min(lines, 0xffff);
        vbe[VBE_X_OFFSET] = x;
        vbe[VBE_Y_OFFSET] = y;
        vbeLineOffset = line;
        vbeStartAddr = (int) (start / 4);
    }

    /** Shows the extension's mode in the VGA registers, from which software reads its geometry. */
    private void imposeVbe() {
        if (!vbeEnabled()) {
            return;
        }
        gr[GFX_MISC] = (byte) (gr[GFX_MISC] & ~0x0c | 0x05);
        cr[0x17] |= 3;
        cr[0x13] = (byte) (vbeLineOffset >>> 3);
        cr[0x01] = (byte) ((vbe[VBE_XRES] >>> 3) - 1);
        int last = vbe[VBE_YRES] - 1;
        cr[0x12] = (byte) last;
        cr[0x07] = (byte) (cr[0x07] & ~0x42 | last >> 7 & 0x02 | last >> 3 & 0x40);
        // The split screen starts below everything.
        cr[0x18] = (byte) 0xff;
        cr[0x07] |= 0x10;
        cr[0x09] |= 0x40;
        int shift;
        if (vbe[VBE_BPP] == 4) {
            shift = 0;
            sr[1] &= ~8;
        } else {
            shift = 2;
            sr[SEQ_MEMORY_MODE] |= CHAIN_4;
            sr[SEQ_MAP_MASK] |= 0x0f;
        }
        gr[GFX_MODE] = (byte) (gr[GFX_MODE] & ~0x60 | shift << 5);
        cr[0x09] &= (byte) ~0x9f;
    }

    // ---- Memory window 0xa0000 --------------------------------------------------------------

    /** Where an offset into the 128 KiB window leads in the current mapping, or -1 for nowhere. */
    private int windowAddress(int offset) {
        return switch (gr[GFX_MISC] >> 2 & 3) {
            case 0 -> offset;
            case 1 -> offset < 0x10000 ? offset + bankOffset : -1;
            case 2 -> offset >= 0x10000 && offset < 0x18000 ? offset - 0x10000 : -1;
            default -> offset >= 0x18000 ? offset - 0x18000 : -1;
        };
    }

    /** Reads a byte at {@code offset} (0 to 0x1ffff) of the window. */
    int readWindow(int offset) {
        int address = windowAddress(offset);
        if (address < 0) {
            return 0xff;
        }
        if ((sr[SEQ_MEMORY_MODE] & CHAIN_4) != 0) {
            return address < vramSize ? vram.get(ValueLayout.JAVA_BYTE, address) & 0xff : 0xff;
        }
        if ((gr[GFX_MODE] & ODD_EVEN) != 0) {
            long at = (long) (address & ~1) << 1 | gr[GFX_READ_MAP] & 2 | address & 1;
            return at < vramSize ? vram.get(ValueLayout.JAVA_BYTE, at) & 0xff : 0xff;
        }
        long at = (long) address * 4;
        if (at >= vramSize) {
            return 0xff;
        }
        latch = vram.get(LittleEndian.INT, at);
        if ((gr[GFX_MODE] & READ_COMPARE) == 0) {
            return latch >>> 8 * (gr[GFX_READ_MAP] & 3) & 0xff;
        }
        int differs = (latch ^ planes(gr[GFX_COLOR_COMPARE])) & planes(gr[GFX_COLOR_DONT_CARE]);
        differs |= differs >>> 16;
        differs |= differs >>> 8;
        return ~differs & 0xff;
    }

    /** Writes a byte at {@code offset} (0 to 0x1ffff) of the window. */
    void writeWindow(int offset, int data) {
        int address = windowAddress(offset);
        if (address < 0) {
            return;
        }
        int mapMask = sr[SEQ_MAP_MASK] & 0x0f;
        if ((sr[SEQ_MEMORY_MODE] & CHAIN_4) != 0) {
            store(address, 1 << (address & 3) & mapMask, data);
            return;
        }
        if ((gr[GFX_MODE] & ODD_EVEN) != 0) {
            int plane = gr[GFX_READ_MAP] & 2 | address & 1;
            store((long) (address & ~1) << 1 | plane, 1 << plane & mapMask, data);
            return;
        }
        long at = (long) address * 4;
        if (at >= vramSize) {
            return;
        }
        int word = planarWrite(data & 0xff);
        int writable = planes(mapMask);
        vram.set(
                LittleEndian.INT, at, vram.get(LittleEndian.INT, at) & ~writable | word & writable);
        changed.changed(at, 4);
    }

    private void store(long at, int enabled, int data) {
        if (enabled != 0 && at < vramSize) {
            vram.set(ValueLayout.JAVA_BYTE, at, (byte) data);
            changed.changed(at, 1);
        }
    }

    /** The four plane bytes that the write mode makes of one byte from the CPU. */
    private int planarWrite(int data) {
        int rotation = gr[GFX_DATA_ROTATE] & 7;
        int rotated = (data >>> rotation | data << 8 - rotation) & 0xff;
        int bits = gr[GFX_BIT_MASK] & 0xff;
        int word;
        switch (gr[GFX_MODE] & 3) {
            case 0 -> {
                int fixed = planes(gr[GFX_ENABLE_SET_RESET]);
                word = rotated * 0x01010101 & ~fixed | planes(gr[GFX_SET_RESET]) & fixed;
            }
            case 1 -> {
                return latch;
            }
            case 2 -> word = planes(data);
            default -> {
                bits &= rotated;
                word = planes(gr[GFX_SET_RESET]);
            }
        }
        word =
                switch (gr[GFX_DATA_ROTATE] >> 3 & 3) {
                    case 1 -> word & latch;
                    case 2 -> word | latch;
                    case 3 -> word ^ latch;
                    default -> word;
                };
        int mask = bits * 0x01010101;
        return word & mask | latch & ~mask;
    }

    /** A byte of all ones for each plane whose bit is set in the low four bits. */
    private static int planes(int bits) {
        return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 0xff;
    }
}
