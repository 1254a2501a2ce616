package lockstep.x86;

import java.util.List;

/** What CPUID answers, and what follows from it for the rest of the processor. Immutable. */
public final class CpuidTable {
    /** One leaf; {@code index} counts only where {@code indexed}. */
    public record Leaf(
            int function, int index, boolean indexed, int eax, int ebx, int ecx, int edx) {}

    private final List<Leaf> leaves;
    private final int physicalBits;
    private final int features1c;
    private final int features1d;
    private final int features7b;
    private final int extended1d;
    private final int extended1c;
    private final int mostBasic;

    /** Over the leaves that a guest is shown. */
    public CpuidTable(List<Leaf> leaves, int physicalBits) {
        this.leaves = List.copyOf(leaves);
        this.physicalBits = physicalBits;
        Leaf one = exact(1, 0);
        Leaf seven = exact(7, 0);
        Leaf extended = exact(0x80000001, 0);
        features1c = one == null ? 0 : one.ecx;
        features1d = one == null ? 0 : one.edx;
        features7b = seven == null ? 0 : seven.ebx;
        extended1d = extended == null ? 0 : extended.edx;
        extended1c = extended == null ? 0 : extended.ecx;
        Leaf zero = exact(0, 0);
        mostBasic = zero == null ? 0 : zero.eax;
    }

    private @org.jspecify.annotations.Nullable Leaf exact(int function, int index) {
        for (Leaf l : leaves) {
            if (l.function == function && (!l.indexed || l.index == index)) {
                return l;
            }
        }
        return null;
    }

    /** The answer; one beyond the highest leaf is that of the highest basic one, as Intel's processors have it. */
    Leaf find(int function, int index) {
        Leaf l = exact(function, index);
        if (l == null && Integer.compareUnsigned(function & 0x7fffffff, 0x40000000) < 0) {
            boolean beyond =
                    function >= 0
                            ? function > mostBasic
                            : exact(0x80000000, 0) == null
                                    || Integer.compareUnsigned(
                                                    function, exact(0x80000000, 0).eax)
                                            > 0;
            if (beyond) {
                l = exact(mostBasic, index);
            }
        }
        return l == null ? new Leaf(function, index, false, 0, 0, 0, 0) : l;
    }

    int physicalBits() {
        return physicalBits;
    }

    /** Whether bit {@code n} of ECX of leaf 1 is set. */
    boolean ecx1(int n) {
        return (features1c >>> n & 1) != 0;
    }

    /** Whether bit {@code n} of EDX of leaf 1 is set. */
    boolean edx1(int n) {
        return (features1d >>> n & 1) != 0;
    }

    /** Whether bit {@code n} of EBX of leaf 7 is set. */
    boolean ebx7(int n) {
        return (features7b >>> n & 1) != 0;
    }

    /** Whether bit {@code n} of EDX of leaf 0x80000001 is set. */
    boolean edxExtended(int n) {
        return (extended1d >>> n & 1) != 0;
    }

    /** Whether LZCNT is there. */
    boolean lzcnt() {
        return (extended1c & 1 << 5) != 0;
    }

    /** The bits of CR4 that can be set. */
    int cr4Mask() {
        int m = Cpu.TSD | Cpu.DE | Cpu.PSE | Cpu.PAE | 0x40 | Cpu.PGE | Cpu.PCE;
        m |= Cpu.OSFXSR | Cpu.OSXMMEXCPT;
        if (ecx1(26)) {
            m |= Cpu.OSXSAVE;
        }
        if (ebx7(0)) {
            m |= Cpu.FSGSBASE;
        }
        if (ebx7(7)) {
            m |= Cpu.SMEP;
        }
        return m;
    }

    /** The bits of EFER that can be set. */
    int eferMask() {
        int m = 0;
        if (edxExtended(11)) {
            m |= Cpu.SCE;
        }
        if (edxExtended(29)) {
            m |= Cpu.LME | Cpu.LMA;
        }
        if (edxExtended(20)) {
            m |= Cpu.NXE;
        }
        return m;
    }
}
