package lockstep.runtime.machine;

import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.List;
import java.util.Optional;

/**
 * The core of a machine as its devices see it: processors, address spaces, memory, interrupt inputs.
 * Built before the devices; used under the machine lock.
 */
public interface Machine extends PhysicalMemory {
    /** The loop that runs under the machine lock. */
    EventLoop loop();

    /** The clocks. */
    Clocks clocks();

    /** A service that another room offers, if that room is there. */
    <T> Optional<T> find(Class<T> type);

    /** A service that must be there. Throws IllegalStateException naming the type otherwise. */
    <T> T service(Class<T> type);

    /** The resolved machine type, such as {@code pc-i440fx-10.2}; goes into the migration stream. */
    String type();

    /** I/O ports, 0 to 0xffff. */
    AddressSpace ports();

    /** The bytes of guest RAM, as of {@code -m}. */
    long ramSize();

    /** The block {@code pc.ram} that holds all guest RAM. */
    RamBlock ram();

    /** Makes a migratable block; it is not mapped yet. {@code maxLength >= length}, both in pages. */
    RamBlock newBlock(String name, long length, long maxLength);

    /** Frees a block that was made; nothing is mapped to it any more. */
    void dropBlock(RamBlock block);

    /** All blocks in the order of the migration stream: descending maximum length, then by age. */
    List<RamBlock> blocks();

    /** The record of changed pages. */
    DirtyLog dirtyLog();

    /** Interrupt input {@code n} of the interrupt controllers: 0 to 15 are the ISA interrupts, up to 23. */
    Irq gsi(int n);

    /** Delivers a message signalled interrupt, as a function wrote it. */
    void signalMessage(long address, int data);

    /** The device sections. */
    StateRegistry state();

    /** The processors. */
    VcpuGroup vcpus();

    /** Registers what a device does at a system reset; called in order of registration. */
    void onReset(Runnable reset);

    /** Forgets what {@link #onReset} was given. */
    void dropReset(Runnable reset);

    /** Resets all devices, then the vCPUs. Only while the vCPUs are paused. */
    void reset();

    /** Takes out the parts that the board has itself, the last one first; the core of the machine has none. */
    default void dismantle() {}
}
