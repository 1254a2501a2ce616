package lockstep.runtime.memory;

import org.jspecify.annotations.Nullable;

/**
 * The guest's physical memory or its I/O ports: ranges of RAM and of device registers, possibly
 * overlapping, the higher priority on top. Changed under the machine lock; changes reach the
 * accelerator's memory slots at once, or together at {@link #commit} when a transaction is open.
 */
public interface AddressSpace {
    /** One mapped range. */
    interface Region {
        /** Moves the range to another base address. */
        void move(long base);

        /** Shows or hides the range. */
        void enabled(boolean enabled);

        /** Makes a RAM range read-only for the guest (its writes are dropped) or writable. */
        void readOnly(boolean readOnly);

        /** The present base address. */
        long base();

        /** Length in bytes. */
        long size();

        /** Removes the range for good. */
        void remove();
    }

    /** Maps {@code size} bytes of a RAM block, from {@code blockOffset}, at {@code base}. Page aligned. */
    Region mapRam(
            String name, long base, long size, RamBlock block, long blockOffset, int priority);

    /** ROM that takes commands: it is read in place, or by the device while that has something else to say. */
    interface CommandRom extends Region {
        /** Whether reads find the memory; otherwise they are the device's, as writes always are. */
        void direct(boolean direct);
    }

    /** Maps a whole block as ROM whose writes are {@code commands}'; reads find the memory. Page aligned. */
    CommandRom mapCommandRom(
            String name, long base, RamBlock block, int priority, IoHandler commands);

    /** Maps device registers at {@code base}. */
    Region mapIo(String name, long base, long size, int priority, IoHandler handler);

    /** Opens a transaction (they nest): slot changes are put off until the last commit. */
    void begin();

    /** Ends a transaction. */
    void commit();

    /** RAM or ROM at a guest's address: the region's name and the address in this process. */
    record RamPlace(String region, long host) {}

    /** The RAM at an address, or null. */
    @Nullable RamPlace ram(long address);

    /** Whether there is RAM, ROM or a device at every address of a range. */
    boolean mapped(long address, long length);

    /** One access as a vCPU would make it, {@code size} 1, 2, 4 or 8; where nothing is mapped, memory reads as zeroes, ports as ones. */
    long read(long address, int size);

    /** One access as a vCPU would make it; a write to nothing or to ROM is dropped. */
    void write(long address, int size, long value);
}
