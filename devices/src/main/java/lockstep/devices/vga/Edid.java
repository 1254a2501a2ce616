package lockstep.devices.vga;

import java.nio.charset.StandardCharsets;

/** The monitor description that a guest reads from the display (VESA E-EDID 1.4, section 3). */
final class Edid {
    private static final int BLOCK = 128;

    private Edid() {}

    /** One block: a digital monitor of our own whose preferred mode is 1280x800 at 75 Hz. */
    static byte[] block() {
        byte[] e = new byte[BLOCK];
        for (int i = 1; i < 7; i++) {
            e[i] = (byte) 0xff;
        }
        // Manufacturer "LKS" as three five-bit letters, product 1, year 2026.
        int maker = 'L' - 64 << 10 | 'K' - 64 << 5 | 'S' - 64;
        e[8] = (byte) (maker >> 8);
        e[9] = (byte) maker;
        e[10] = 1;
        e[17] = (byte) (2026 - 1990);
        e[18] = 1;
        e[19] = 4;
        // Digital, 8 bits a colour, display port; 32 x 20 cm; gamma 2.2; sRGB, preferred mode is
        // native.
        e[20] = (byte) 0xa5;
        e[21] = 32;
        e[22] = 20;
        e[23] = 120;
        e[24] = 0x06;
        // sRGB chromaticity.
        byte[] colour = {
            (byte) 0xee, (byte) 0x91, (byte) 0xa3, 0x54, 0x4c, (byte) 0x99, 0x26, 0x0f, 0x50, 0x54
        };
        System.arraycopy(colour, 0, e, 25, colour.length);
        // Established timings: 640x480, 800x600, 1024x768 at 60 Hz.
        e[35] = 0x21;
        e[36] = 0x08;
        // Standard timings: 1280x800 (16:10), 1280x1024 (5:4), 1920x1080 (16:9); the rest unused.
        int[] standard = {(1280 / 8 - 31) | 0x0000, (1280 / 8 - 31) | 0x8000, 0xc0d1};
        e[38] = (byte) standard[0];
        e[39] = 0;
        e[40] = (byte) standard[1];
        e[41] = (byte) 0x80;
        e[42] = (byte) 0xd1;
        e[43] = (byte) 0xc0;
        for (int i = 44; i < 54; i++) {
            e[i] = 1;
        }
        detailed(e, 54);
        text(e, 72, 0xfc, "Lockstep");
        text(e, 90, 0xff, "0");
        // Range limits: 50-75 Hz vertical, 30-90 kHz horizontal, 200 MHz, no further formula.
        e[108 + 3] = (byte) 0xfd;
        e[108 + 5] = 50;
        e[108 + 6] = 75;
        e[108 + 7] = 30;
        e[108 + 8] = 90;
        e[108 + 9] = 20;
        e[108 + 10] = 1;
        e[108 + 11] = 0x0a;
        for (int i = 12; i < 18; i++) {
            e[108 + i] = 0x20;
        }
        int sum = 0;
        for (int i = 0; i < BLOCK - 1; i++) {
            sum += e[i];
        }
        e[BLOCK - 1] = (byte) -sum;
        return e;
    }

    /** 1280x800 with a quarter more pixels a line and 28 more lines. */
    private static void detailed(byte[] e, int at) {
        int clock = 1600 * 828 * 75 / 10_000;
        e[at] = (byte) clock;
        e[at + 1] = (byte) (clock >> 8);
        int active = 1280;
        int blank = 320;
        e[at + 2] = (byte) active;
        e[at + 3] = (byte) blank;
        e[at + 4] = (byte) (active >> 8 << 4 | blank >> 8);
        int lines = 800;
        int gap = 28;
        e[at + 5] = (byte) lines;
        e[at + 6] = (byte) gap;
        e[at + 7] = (byte) (lines >> 8 << 4 | gap >> 8);
        e[at + 8] = 64;
        e[at + 9] = 32;
        e[at + 10] = 3 << 4 | 6;
        e[at + 12] = (byte) 320;
        e[at + 13] = (byte) 200;
        e[at + 14] = 320 >> 8 << 4;
        e[at + 17] = 0x18;
    }

    private static void text(byte[] e, int at, int tag, String text) {
        e[at + 3] = (byte) tag;
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        for (int i = 0; i < 13; i++) {
            e[at + 5 + i] = (byte) (i < bytes.length ? bytes[i] : i == bytes.length ? '\n' : ' ');
        }
    }
}
