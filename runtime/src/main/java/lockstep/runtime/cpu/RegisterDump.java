package lockstep.runtime.cpu;

/** A vCPU's registers as text, laid out as {@code info registers} does. */
public final class RegisterDump {
    private static final String[] GENERAL = {
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12",
        "R13", "R14", "R15"
    };
    private static final int[] ORDER = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
    private static final String[] SEGMENTS = {"ES ", "CS ", "SS ", "DS ", "FS ", "GS "};
    // Direction, sign, zero, auxiliary carry, parity, carry, overflow
    private static final String FLAG_LETTERS = "DOSZAPC";
    private static final int[] FLAG_BITS = {10, 11, 7, 6, 4, 2, 0};

    private RegisterDump() {}

    /** The text, many lines. */
    public static String of(VcpuState s) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < 16; i++) {
            int r = ORDER[i];
            out.append(GENERAL[r]).append('=').append(hex16(s.regs[r]));
            out.append(i % 4 == 3 ? '\n' : ' ');
        }
        StringBuilder flags = new StringBuilder();
        for (int i = 0; i < FLAG_BITS.length; i++) {
            flags.append((s.rflags & 1L << FLAG_BITS[i]) != 0 ? FLAG_LETTERS.charAt(i) : '-');
        }
        out.append("RIP=").append(hex16(s.rip)).append(" RFL=").append(hex8((int) s.rflags));
        out.append(" [").append(flags).append("] CPL=").append(s.segs[2].flags >>> 13 & 3);
        out.append(" II=").append(s.interruptShadow() ? 1 : 0);
        out.append(" A20=").append(s.a20Mask == -1 ? 1 : 0).append(" SMM=0 HLT=");
        out.append(s.mpState == VcpuState.HALTED ? 1 : 0).append('\n');
        for (int i = 0; i < SEGMENTS.length; i++) {
            segment(out, SEGMENTS[i], s.segs[i]);
        }
        segment(out, "LDT", s.ldt);
        segment(out, "TR ", s.tr);
        table(out, "GDT", s.gdt);
        table(out, "IDT", s.idt);
        out.append("CR0=").append(hex8((int) s.cr0)).append(" CR2=").append(hex16(s.cr2));
        out.append(" CR3=").append(hex16(s.cr3)).append(" CR4=").append(hex8((int) s.cr4));
        out.append('\n');
        for (int i = 0; i < 4; i++) {
            out.append("DR").append(i).append('=').append(hex16(s.dr[i]));
            out.append(i == 3 ? '\n' : ' ');
        }
        out.append("DR6=").append(hex16(s.dr[6])).append(" DR7=").append(hex16(s.dr[7]));
        out.append('\n').append("EFER=").append(hex16(s.efer)).append('\n');
        return out.toString();
    }

    private static void segment(StringBuilder out, String name, VcpuState.Segment s) {
        out.append(name).append('=').append(hex8(s.selector), 4, 8).append(' ');
        out.append(hex16(s.base)).append(' ').append(hex8(s.limit)).append(' ');
        out.append(hex8(s.flags)).append('\n');
    }

    private static void table(StringBuilder out, String name, VcpuState.Segment s) {
        out.append(name).append("=     ").append(hex16(s.base)).append(' ');
        out.append(hex8(s.limit)).append('\n');
    }

    private static String hex16(long value) {
        return "%016x".formatted(value);
    }

    private static String hex8(int value) {
        return "%08x".formatted(value);
    }
}
