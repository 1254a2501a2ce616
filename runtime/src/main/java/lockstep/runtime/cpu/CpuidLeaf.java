package lockstep.runtime.cpu;

/**
 * One answer of the CPUID instruction.
 *
 * @param function the value of EAX that selects it
 * @param index the value of ECX, where it matters
 * @param flags 1 says that the index matters
 */
public record CpuidLeaf(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
    /** The same without these bits of EAX and ECX. */
    public CpuidLeaf without(int a, int c) {
        return new CpuidLeaf(function, index, flags, eax & ~a, ebx, ecx & ~c, edx);
    }
}
