package lockstep.runtime.cpu;

/** A vCPU's registers as text, laid out as {@code info registers} does: as wide as the mode that the vCPU is in. */
public final class RegisterDump {
    private static final String[] GENERAL = {
        "AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "8 ", "9 ", "10", "11", "12", "13", "14",
        "15"
    };
    private static final int[] ORDER = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
    private static final String[] SEGMENTS = {"ES ", "CS ", "SS ", "DS ", "FS ", "GS "};
    // Direction, sign, zero, auxiliary carry, parity, carry, overflow
    private static final String FLAG_LETTERS = "DOSZAPC";
    private static final int[] FLAG_BITS = {10, 11, 7, 6, 4, 2, 0};

    private static final int CS = 1;
    private static final int SS = 2;
    private static final long PROTECTED = 1; // of CR0
    private static final long LONG_MODE_ACTIVE = 1 << 10; // of EFER

    // What a descriptor says (Intel SDM volume 3, section 3.4.5).
    private static final int ACCESSED = 1 << 8;
    private static final int WRITABLE = 1 << 9; // or readable
    private static final int CONFORMING = 1 << 10; // or expanding down
    private static final int CODE = 1 << 11;
    private static final int NO_SYSTEM = 1 << 12;
    private static final int PRESENT = 1 << 15;
    private static final int LONG = 1 << 21;
    private static final int BIG = 1 << 22;

    private final VcpuState s;
    private final boolean protectedMode;
    private final boolean longMode;
    private final boolean wide;
    private final StringBuilder out = new StringBuilder();

    private RegisterDump(VcpuState state) {
        s = state;
        protectedMode = (s.cr0 & PROTECTED) != 0;
        longMode = (s.efer & LONG_MODE_ACTIVE) != 0;
        wide = longMode && (s.segs[CS].flags & LONG) != 0;
    }

    /** The text, many lines. */
    public static String of(VcpuState s) {
        RegisterDump dump = new RegisterDump(s);
        dump.general();
        dump.system();
        dump.floating();
        return dump.out.toString();
    }

    private void general() {
        for (int i = 0; i < (wide ? 16 : 8); i++) {
            int r = ORDER[i];
            out.append(wide ? 'R' : 'E').append(GENERAL[r]).append('=');
            out.append(address(s.regs[r], wide)).append(i % 4 == 3 ? '\n' : ' ');
        }
        StringBuilder flags = new StringBuilder();
        for (int i = 0; i < FLAG_BITS.length; i++) {
            flags.append((s.rflags & 1L << FLAG_BITS[i]) != 0 ? FLAG_LETTERS.charAt(i) : '-');
        }
        out.append(wide ? "RIP=" : "EIP=").append(address(s.rip, wide));
        out.append(wide ? " RFL=" : " EFL=").append(hex8((int) s.rflags));
        out.append(" [").append(flags).append("] CPL=").append(s.segs[SS].flags >>> 13 & 3);
        out.append(" II=").append(s.interruptShadow() ? 1 : 0);
        out.append(" A20=").append(s.a20Mask == -1 ? 1 : 0).append(" SMM=0 HLT=");
        out.append(s.mpState == VcpuState.HALTED ? 1 : 0).append('\n');
    }

    private void system() {
        for (int i = 0; i < SEGMENTS.length; i++) {
            segment(SEGMENTS[i], s.segs[i]);
        }
        segment("LDT", s.ldt);
        segment("TR ", s.tr);
        table("GDT", s.gdt);
        table("IDT", s.idt);
        out.append("CR0=").append(hex8((int) s.cr0));
        out.append(" CR2=").append(address(s.cr2, longMode));
        out.append(" CR3=").append(address(s.cr3, longMode));
        out.append(" CR4=").append(hex8((int) s.cr4)).append('\n');
        for (int i = 0; i < 4; i++) {
            out.append("DR").append(i).append('=').append(hex16(s.dr[i])).append(' ');
        }
        out.append("\nDR6=").append(hex16(s.dr[6])).append(" DR7=").append(hex16(s.dr[7]));
        out.append('\n').append("EFER=").append(hex16(s.efer)).append('\n');
    }

    private void floating() {
        out.append(
                "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n"
                        .formatted(s.fcw, s.fsw, s.fsw >>> 11 & 7, s.ftw, s.mxcsr));
        for (int i = 0; i < 8; i++) {
            out.append("FPR").append(i).append('=').append(hex16(s.mantissa[i]));
            out.append(" %04x".formatted(s.exponent[i])).append(i % 2 == 1 ? '\n' : ' ');
        }
        for (int i = 0; i < (wide ? 16 : 8); i++) {
            out.append("XMM%02d=".formatted(i)).append(hex16(s.xmmHigh[i])).append(' ');
            out.append(hex16(s.xmmLow[i])).append(i % 2 == 1 ? '\n' : ' ');
        }
    }

    private void segment(String name, VcpuState.Segment g) {
        out.append(name).append('=').append(hex8(g.selector), 4, 8).append(' ');
        out.append(address(g.base, wide)).append(' ').append(hex8(g.limit)).append(' ');
        out.append(hex8(g.flags));
        if (protectedMode && (g.flags & PRESENT) != 0) {
            out.append(" DPL=").append(g.flags >>> 13 & 3).append(' ').append(kind(g.flags));
        }
        out.append('\n');
    }

    private String kind(int flags) {
        if ((flags & NO_SYSTEM) == 0) {
            return systemKind(flags >>> 8 & 0xf);
        }
        boolean code = (flags & CODE) != 0;
        String width =
                !code
                        ? longMode || (flags & BIG) != 0 ? "DS  " : "DS16"
                        : (flags & LONG) != 0 ? "CS64" : (flags & BIG) != 0 ? "CS32" : "CS16";
        return width
                + " ["
                + ((flags & CONFORMING) == 0 ? '-' : code ? 'C' : 'E')
                + ((flags & WRITABLE) == 0 ? '-' : code ? 'R' : 'W')
                + ((flags & ACCESSED) == 0 ? '-' : 'A')
                + ']';
    }

    /** The kinds that LDTR and TR can hold. */
    private String systemKind(int type) {
        String busy = (type & 2) != 0 ? "-busy" : "-avl";
        return switch (type) {
            case 2 -> "LDT";
            case 1, 3 -> longMode ? "Reserved" : "TSS16" + busy;
            case 9, 11 -> (longMode ? "TSS64" : "TSS32") + busy;
            default -> "Reserved";
        };
    }

    private void table(String name, VcpuState.Segment t) {
        out.append(name).append("=     ").append(address(t.base, longMode)).append(' ');
        out.append(hex8(t.limit)).append('\n');
    }

    private static String address(long value, boolean wide) {
        return wide ? hex16(value) : hex8((int) value);
    }

    private static String hex16(long value) {
        return "%016x".formatted(value);
    }

    private static String hex8(int value) {
        return "%08x".formatted(value);
    }
}
