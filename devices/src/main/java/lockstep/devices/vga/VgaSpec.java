package lockstep.devices.vga;

/**
 * Register numbers of the VGA (IBM "Personal System/2 Hardware Interface Technical Reference", Video
 * Subsystem) and of the Bochs display extension ("DISPI", Bochs vbe documentation).
 */
final class VgaSpec {
    /** Sequencer: plane write enables. */
    static final int SEQ_MAP_MASK = 2;

    /** Sequencer: memory mode. */
    static final int SEQ_MEMORY_MODE = 4;

    /** Memory mode: the low two address bits choose the plane. */
    static final int CHAIN_4 = 0x08;

    static final int GFX_SET_RESET = 0;
    static final int GFX_ENABLE_SET_RESET = 1;
    static final int GFX_COLOR_COMPARE = 2;
    static final int GFX_DATA_ROTATE = 3;
    static final int GFX_READ_MAP = 4;
    static final int GFX_MODE = 5;
    static final int GFX_MISC = 6;
    static final int GFX_COLOR_DONT_CARE = 7;
    static final int GFX_BIT_MASK = 8;

    /** Graphics mode: read mode 1 compares colours. */
    static final int READ_COMPARE = 0x08;

    /** Graphics mode: the lowest address bit chooses the plane. */
    static final int ODD_EVEN = 0x10;

    /** CRTC: vertical retrace end; bit 7 protects registers 0 to 7. */
    static final int CRTC_RETRACE_END = 0x11;

    static final int CRTC_OVERFLOW = 0x07;

    /** Input status 1: display disabled, vertical retrace. */
    static final int ST01_DISABLED = 0x01;

    static final int ST01_RETRACE = 0x08;

    /** Miscellaneous output: CRTC and status answer at 0x3dx rather than 0x3bx. */
    static final int MISC_COLOR = 0x01;

    static final int VBE_ID = 0;
    static final int VBE_XRES = 1;
    static final int VBE_YRES = 2;
    static final int VBE_BPP = 3;
    static final int VBE_ENABLE = 4;
    static final int VBE_BANK = 5;
    static final int VBE_VIRT_WIDTH = 6;
    static final int VBE_VIRT_HEIGHT = 7;
    static final int VBE_X_OFFSET = 8;
    static final int VBE_Y_OFFSET = 9;

    /** Registers that are stored; the next one, the memory size, is computed. */
    static final int VBE_REGISTERS = 10;

    static final int VBE_MEMORY_64K = 10;

    /** Interface versions, oldest and newest. */
    static final int VBE_ID_0 = 0xb0c0;

    static final int VBE_ID_5 = 0xb0c5;

    static final int VBE_ENABLED = 0x01;
    static final int VBE_GETCAPS = 0x02;
    static final int VBE_8BIT_DAC = 0x20;
    static final int VBE_NOCLEARMEM = 0x80;

    /** Largest mode that GETCAPS names. */
    static final int VBE_MAX_XRES = 16000;

    static final int VBE_MAX_YRES = 12000;

    /** Bits that exist in the sequencer registers. */
    static final int[] SEQ_WRITABLE = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};

    /** Bits that exist in the graphics controller registers. */
    static final int[] GFX_WRITABLE = {
        0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0, 0, 0, 0, 0, 0, 0
    };

    private VgaSpec() {}
}
