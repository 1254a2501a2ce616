package lockstep.devices.vga;

import static lockstep.runtime.memory.LittleEndian.put16;

import lockstep.runtime.memory.LittleEndian;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The monitor description that a guest reads from the display: VESA E-EDID 1.4 with a block of CTA-861
 * modes, and a DisplayID block for a picture that the base block cannot describe. The monitor is QEMU's,
 * byte for byte, as drivers and desktop environments know it.
 *
 * @param width pixels a line of the preferred mode
 * @param height its lines
 * @param maxWidth the longest line that other modes may have; 0: any
 * @param maxHeight the most lines that other modes may have; 0: any
 * @param refresh pictures per 1,000 seconds in the preferred mode
 */
record Edid(long width, long height, long maxWidth, long maxHeight, long refresh) {
    /** Preferred mode of a monitor that is told none. */
    static final int USUAL_WIDTH = 1280;

    static final int USUAL_HEIGHT = 800;

    /** Bytes that a guest sees, whatever is in them. */
    static final int SIZE = 3 * 128;

    private static final int USUAL_REFRESH = 75_000;

    private static final int BLOCK = 128;
    private static final int EXTENSIONS = 126;
    private static final int STANDARD = 38;
    private static final int DESCRIPTORS = 54;
    private static final int DESCRIPTOR = 18;

    private static final int NAME = 0xfc;
    private static final int RANGES = 0xfd;
    private static final int MORE_TIMINGS = 0xf7;
    private static final int NOTHING = 0x10;

    /** Established timings: width, height, byte and bit in the base block (section 3.8). */
    private static final int[][] ESTABLISHED = {
        {1024, 768, 36, 3}, {800, 600, 35, 0}, {640, 480, 35, 5}
    };

    /**
     * Modes by importance: width, height, code of the aspect ratio in a standard timing (section 3.9) or -1, byte and
     * bit in the third table of established timings (section 3.10.3.9) or 0.
     */
    private static final int[][] MODES = {
        {2048, 1152, 3, 0, 0},
        {1920, 1080, 3, 0, 0},
        {1920, 1200, 0, 10, 0},
        {1600, 1200, 1, 9, 2},
        {1680, 1050, 0, 9, 5},
        {1440, 900, 0, 8, 5},
        {1280, 1024, 2, 7, 1},
        {1280, 960, 1, 7, 3},
        {1280, 768, -1, 7, 6},
        {1920, 1440, 1, 11, 5},
        {1856, 1392, 1, 10, 3},
        {1792, 1344, 1, 10, 5},
        {1400, 1050, -1, 8, 1},
        {1360, 768, -1, 8, 7},
    };

    /** Width, height and identification code of CTA-861. */
    private static final int[][] CODED = {
        {5120, 2160, 125},
        {4096, 2160, 101},
        {3840, 2160, 96},
        {2560, 1080, 89},
        {1920, 1080, 31},
        {3840, 2160, 97}
    };

    /** What lies around the picture, in pixels and lines, and the pixel clock in units of 10 kHz. */
    private record Timing(
            long clock,
            int blank,
            int front,
            int sync,
            int blankLines,
            int frontLines,
            int syncLines) {}

    /** A monitor; 0 is the usual value of each. */
    Edid {
        width = width == 0 ? USUAL_WIDTH : width;
        height = height == 0 ? USUAL_HEIGHT : height;
        refresh = refresh == 0 ? USUAL_REFRESH : refresh;
    }

    private boolean within(int[] mode) {
        return (maxWidth == 0 || mode[0] <= maxWidth) && (maxHeight == 0 || mode[1] <= maxHeight);
    }

    private static int share(long of, int part, int whole) {
        return (int) ((of * part & 0xffff_ffffL) / whole);
    }

    /** A third more than the picture in each direction: pleasant figures, as there is no tube to please. */
    private Timing timing() {
        int blank = share(width, 35, 100);
        int blankLines = share(height, 35, 1000);
        long all = (width + blank & 0xffff_ffffL) * (height + blankLines & 0xffff_ffffL);
        return new Timing(
                Long.divideUnsigned(refresh * all, 10_000_000) & 0xffff_ffffL,
                blank,
                share(width, 25, 100),
                share(width, 3, 100),
                blankLines,
                share(height, 5, 1000),
                share(height, 5, 1000));
    }

    /** Millimetres at 100 dots an inch. */
    private static int millimetres(long dots) {
        return share(dots, 254, 10) / 100;
    }

    /** All blocks; the rest is zero. */
    byte[] bytes() {
        byte[] e = new byte[SIZE];
        Timing timing = timing();
        boolean large = timing.clock() > 0xffff || width >= 4096 || height >= 4096;
        Arrays.fill(e, 1, 7, (byte) 0xff);
        // Manufacturer "RHT" as three five-bit letters, product 0x1234, week 42 of 2014.
        put(e, 8, 0x49, 0x14, 0x34, 0x12, 0, 0, 0, 0, 42, 2014 - 1990, 1, 4);
        // Digital, 8 bits a colour, display port; centimetres; gamma 2.2; sRGB, first mode is
        // native.
        put(e, 20, 0xa5, millimetres(width) / 10, millimetres(height) / 10, 120, 0x06);
        // sRGB chromaticity.
        put(e, 25, 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54);

        int at = DESCRIPTORS;
        if (!large) {
            detailed(e, at, timing);
            at += DESCRIPTOR;
        }
        descriptor(e, at, MORE_TIMINGS, 10);
        modes(e, at);
        at += DESCRIPTOR;
        // 50 to 125 Hz, 30 to 160 kHz, up to 2,550 MHz, no formula.
        descriptor(e, at, RANGES, 50, 125, 30, 160, 255, 1, '\n', ' ', ' ', ' ', ' ', ' ', ' ');
        at += DESCRIPTOR;
        text(e, at, NAME, "QEMU Monitor");
        at += DESCRIPTOR;
        if (at < EXTENSIONS) {
            descriptor(e, at, NOTHING);
        }
        coded(e, BLOCK);
        if (large) {
            displayId(e, 2 * BLOCK, timing);
        }
        e[EXTENSIONS] = (byte) (large ? 2 : 1);
        e[BLOCK - 1] = sum(e, 0, BLOCK - 1);
        return e;
    }

    /** Fills established and standard timings, and what finds no room there into the descriptor for more. */
    private void modes(byte[] e, int more) {
        for (int[] mode : ESTABLISHED) {
            if (within(mode)) {
                e[mode[2]] |= (byte) (1 << mode[3]);
            }
        }
        int standard = STANDARD;
        for (int[] mode : MODES) {
            if (!within(mode)) {
                continue;
            }
            if (standard == DESCRIPTORS) {
                e[more + mode[3]] |= (byte) (1 << mode[4]);
            } else if (mode[2] >= 0) {
                put(e, standard, mode[0] / 8 - 31, mode[2] << 6);
                standard += 2;
            }
        }
        Arrays.fill(e, standard, DESCRIPTORS, (byte) 1);
    }

    /** The preferred mode: section 3.10.2. */
    private void detailed(byte[] e, int at, Timing t) {
        int wide = (int) width;
        int high = (int) height;
        int across = millimetres(width);
        int down = millimetres(height);
        put16(e, at, (int) t.clock());
        put(e, at + 2, wide, t.blank(), (wide & 0xf00) >> 4 | (t.blank() & 0xf00) >> 8);
        put(e, at + 5, high, t.blankLines(), (high & 0xf00) >> 4 | (t.blankLines() & 0xf00) >> 8);
        put(
                e,
                at + 8,
                t.front(),
                t.sync(),
                (t.frontLines() & 0xf) << 4 | t.syncLines() & 0xf,
                (t.front() & 0x300) >> 2
                        | (t.sync() & 0x300) >> 4
                        | (t.frontLines() & 0x30) >> 2
                        | (t.syncLines() & 0x30) >> 4);
        put(e, at + 12, across, down, (across & 0xf00) >> 4 | (down & 0xf00) >> 8);
        // Digital separate synchronisation.
        e[at + 17] = 0x18;
    }

    /** Which modes of CTA-861 there are, and that there are no further descriptors. */
    private void coded(byte[] e, int at) {
        put(e, at, 0x02, 0x03, 0x05, 0x00, 0x40);
        for (int[] mode : CODED) {
            if (within(mode)) {
                e[at + e[at + 2]++] = (byte) mode[2];
                e[at + 4]++;
            }
        }
        for (int d = e[at + 2]; d + DESCRIPTOR < BLOCK; d += DESCRIPTOR) {
            descriptor(e, at + d, NOTHING);
        }
        e[at + BLOCK - 1] = sum(e, at, BLOCK - 1);
    }

    /** One detailed timing of type I (VESA DisplayID 1.3, section 4.4), with room for larger numbers. */
    private void displayId(byte[] e, int at, Timing t) {
        put(e, at, 0x70, 0x13, 0x17, 0x03, 0x00, 0x03, 0x00, 0x14);
        LittleEndian.put32(e, at + 8, (int) t.clock());
        // Preferred, aspect ratio not told.
        e[at + 11] = (byte) 0x88;
        int[] numbers = {
            (int) width,
            t.blank(),
            t.front(),
            t.sync(),
            (int) height,
            t.blankLines(),
            t.frontLines(),
            t.syncLines()
        };
        for (int i = 0; i < numbers.length; i++) {
            put16(e, at + 12 + 2 * i, numbers[i] - 1);
        }
        e[at + 28] = sum(e, at + 1, 27);
        e[at + BLOCK - 1] = sum(e, at, BLOCK - 1);
    }

    private static void descriptor(byte[] e, int at, int tag, int... bytes) {
        e[at + 3] = (byte) tag;
        put(e, at + 5, bytes);
    }

    private static void text(byte[] e, int at, int tag, String text) {
        descriptor(e, at, tag);
        byte[] bytes = (text + '\n').getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(bytes, 0, e, at + 5, bytes.length);
    }

    private static void put(byte[] e, int at, int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            e[at + i] = (byte) bytes[i];
        }
    }

    /** What makes the sum of some bytes zero. */
    private static byte sum(byte[] e, int at, int length) {
        int sum = 0;
        for (int i = at; i < at + length; i++) {
            sum += e[i];
        }
        return (byte) -sum;
    }
}
