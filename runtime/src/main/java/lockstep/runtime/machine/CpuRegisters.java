package lockstep.runtime.machine;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * The registers of a vCPU that a debugger asks for.
 *
 * @param general RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15
 * @param segments ES, CS, SS, DS, FS, GS
 */
public record CpuRegisters(
        List<Long> general,
        long rip,
        long rflags,
        List<Segment> segments,
        long cr0,
        long cr2,
        long cr3,
        long cr4,
        long efer) {
    /** A segment register; the limit is unsigned. */
    public record Segment(int selector, long base, int limit) {}

    private static final List<String> GENERAL =
            List.of("ax", "cx", "dx", "bx", "sp", "bp", "si", "di");
    private static final List<String> SEGMENTS = List.of("es", "cs", "ss", "ds", "fs", "gs");

    /** Copies of the lists. */
    public CpuRegisters {
        general = List.copyOf(general);
        segments = List.copyOf(segments);
    }

    /** The register of a name such as {@code eax}, {@code pc} or {@code cs.base}, or null. */
    public @Nullable Long find(String name) {
        return switch (name) {
            case "pc" -> rip + segments.get(1).base();
            case "eip", "rip" -> rip;
            case "sp" -> general.get(4);
            case "eflags", "rflags" -> (long) (int) rflags;
            case "cr0" -> cr0;
            case "cr2" -> cr2;
            case "cr3" -> cr3;
            case "cr4" -> cr4;
            case "efer" -> efer;
            default ->
                    name.matches("r([89]|1[0-5])")
                            ? general.get(Integer.parseInt(name.substring(1)))
                            : named(name);
        };
    }

    private @Nullable Long named(String name) {
        if (name.length() == 3 && (name.charAt(0) == 'e' || name.charAt(0) == 'r')) {
            int index = GENERAL.indexOf(name.substring(1));
            return index < 0 ? null : general.get(index);
        }
        int dot = name.indexOf('.');
        int index = SEGMENTS.indexOf(dot < 0 ? name : name.substring(0, dot));
        if (index < 0) {
            return null;
        }
        Segment segment = segments.get(index);
        return switch (dot < 0 ? "" : name.substring(dot)) {
            case "" -> (long) segment.selector();
            case ".base" -> segment.base();
            case ".limit" -> (long) segment.limit();
            default -> null;
        };
    }
}
