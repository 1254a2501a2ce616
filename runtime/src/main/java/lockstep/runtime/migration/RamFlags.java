package lockstep.runtime.migration;

/** The flag bits in the low part of the words of a {@code ram} section, version 4. */
final class RamFlags {
    /** A page of one repeated byte, which follows and must be 0. */
    static final int ZERO = 0x002;

    /** The block list follows; the word's upper part is the sum of all lengths. */
    static final int MEM_SIZE = 0x004;

    /** A page's bytes follow. */
    static final int PAGE = 0x008;

    /** The end of the section's payload. */
    static final int EOS = 0x010;

    /** The block is that of the word before, its name is left out. */
    static final int CONTINUE = 0x020;

    /** A difference to the page's old content follows. */
    static final int XBZRLE = 0x040;

    /** A page that was deflated; QEMU up to 9.0. */
    static final int COMPRESSED = 0x100;

    /** A barrier for the pages on further connections. */
    static final int MULTIFD_FLUSH = 0x200;

    /** All flag bits of a word. */
    static final int MASK = 0xfff;

    private RamFlags() {}
}
