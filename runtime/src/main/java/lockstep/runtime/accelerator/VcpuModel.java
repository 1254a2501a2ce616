package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.CpuidLeaf;

import java.util.List;

/**
 * What a vCPU is to be.
 *
 * @param index its number, also the number of its local APIC
 * @param signature family, model and stepping as in CPUID.1:EAX
 * @param leaves the answers to CPUID
 * @param physicalBits bits of a guest physical address
 * @param sendsErrorCode whether its section has a subsection of its own for a pending exception's error code
 */
public record VcpuModel(
        int index,
        int signature,
        List<CpuidLeaf> leaves,
        int physicalBits,
        boolean sendsErrorCode) {
    /** Copies the list. */
    public VcpuModel {
        leaves = List.copyOf(leaves);
    }
}
