package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.object.QomKind;

import java.util.List;
import java.util.Map;

/** A kind of accelerator, offered by a room. Any thread. */
public interface AcceleratorType {
    /** The name that {@code -accel} knows it by, such as {@code kvm}. */
    String name();

    /** Other names that it goes by. */
    default List<String> aliases() {
        return List.of();
    }

    /** Whether it is tried without being asked for. */
    default boolean automatic() {
        return true;
    }

    /**
     * What {@code -accel} can set.
     *
     * @param kind its values
     * @param effect what comes of it
     */
    record Property(QomKind<?> kind, String effect) {}

    /** What {@code -accel} can set on it, by name. */
    default Map<String, Property> properties() {
        return Map.of();
    }

    /** What the object tree calls its chips, where nothing is said of them. */
    default ChipNames chipNames() {
        return ChipNames.SOFTWARE;
    }

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
     * @param given those of {@link #properties} that the user set
     * @param loop the loop that holds the machine lock
     * @throws AcceleratorException it is not there, or lacks something that is needed
     */
    Accelerator open(Map<String, String> given, EventLoop loop) throws AcceleratorException;
}
