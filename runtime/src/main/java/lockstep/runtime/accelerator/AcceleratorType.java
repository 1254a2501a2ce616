package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.CpuidLeaf;

import java.util.List;

/** A kind of accelerator, offered by a room. Any thread. */
public interface AcceleratorType {
    /** The name that {@code -accel} knows it by, such as {@code kvm}. */
    String name();

    /** What messages call it, such as {@code KVM}. */
    String title();

    /**
     * The CPUID leaves that it can give to a guest on this host.
     *
     * @throws AcceleratorException it is not there
     */
    List<CpuidLeaf> supportedCpuid() throws AcceleratorException;

    /**
     * Makes an engine for one machine, without vCPUs.
     *
     * @throws AcceleratorException it is not there, or lacks something that is needed
     */
    Accelerator open() throws AcceleratorException;
}
