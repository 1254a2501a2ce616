package lockstep.devices.pci;

import lockstep.api.PciMemoryRegion;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.LittleEndian;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;

/**
 * The base address registers of a function, the expansion ROM's among them, and what they map (PCI Local Bus
 * Specification 3.0, section 6.2.5). Under the machine lock.
 */
final class BaseAddresses {
    /** The number of the expansion ROM's register. */
    static final int ROM = 6;

    /** Type bits: I/O ports, an address of 64 bits, prefetchable memory. */
    static final int IO = 1;

    static final int WIDE = 4;
    static final int PREFETCH = 8;

    /** One register. */
    private static final class Bar {
        final int type;
        final long size;
        final @Nullable LongFunction<AddressSpace.Region> map;
        long address = -1;
        AddressSpace.@Nullable Region region;

        Bar(int type, long size, @Nullable LongFunction<AddressSpace.Region> map) {
            this.type = type;
            this.size = size;
            this.map = map;
        }

        boolean io() {
            return (type & IO) != 0;
        }

        boolean wide() {
            return (type & WIDE) != 0;
        }

        boolean prefetch() {
            return (type & PREFETCH) != 0;
        }
    }

    private final byte[] config;
    private final byte[] writeMask;
    private final byte[] compareMask;
    private final @Nullable Bar[] bars = new Bar[ROM + 1];

    /** None yet, in a function's configuration space with its masks. */
    BaseAddresses(byte[] config, byte[] writeMask, byte[] compareMask) {
        this.config = config;
        this.writeMask = writeMask;
        this.compareMask = compareMask;
    }

    private static int offset(int index) {
        return index == ROM ? PciSpec.ROM_ADDRESS : PciSpec.BASE_ADDRESS_0 + 4 * index;
    }

    /**
     * Declares a register.
     *
     * @param size bytes, a power of two
     * @param map maps its range at an address; null when nothing is in it
     * @return false when there is one of that number already, or the size cannot be
     */
    boolean declare(
            int index, int type, long size, @Nullable LongFunction<AddressSpace.Region> map) {
        if (bars[index] != null || Long.bitCount(size) != 1) {
            return false;
        }
        Bar bar = new Bar(type, size, map);
        bars[index] = bar;
        int at = offset(index);
        LittleEndian.put32(config, at, type);
        long mask = -size;
        if (index == ROM) {
            mask |= 1;
        }
        LittleEndian.put32(writeMask, at, (int) mask);
        LittleEndian.put32(compareMask, at, -1);
        if (bar.wide()) {
            LittleEndian.put32(writeMask, at + 4, (int) (mask >> 32));
            LittleEndian.put32(compareMask, at + 4, -1);
        }
        return true;
    }

    /** Maps everything where the registers and the command register say. */
    void update(AddressSpace memory, int command) {
        memory.begin();
        for (int i = 0; i < bars.length; i++) {
            Bar bar = bars[i];
            if (bar == null) {
                continue;
            }
            long address = wanted(i, bar, command);
            if (address == bar.address) {
                continue;
            }
            bar.address = address;
            AddressSpace.Region region = bar.region;
            if (address < 0) {
                if (region != null) {
                    region.enabled(false);
                }
            } else if (region == null) {
                bar.region = bar.map == null ? null : bar.map.apply(address);
            } else {
                region.move(address);
                region.enabled(true);
            }
        }
        memory.commit();
    }

    private long wanted(int index, Bar bar, int command) {
        if ((command & (bar.io() ? PciSpec.COMMAND_IO : PciSpec.COMMAND_MEMORY)) == 0) {
            return -1;
        }
        long raw = LittleEndian.get32(config, offset(index)) & 0xffff_ffffL;
        if (bar.wide()) {
            raw |= (long) LittleEndian.get32(config, offset(index) + 4) << 32;
        }
        if (index == ROM && (raw & 1) == 0) {
            return -1;
        }
        long address = raw & -bar.size;
        long last = address + bar.size - 1;
        // A register sized by writing all ones must not map anything at the top of the space.
        long end = bar.io() ? 0x1_0000L : bar.wide() ? -1 : 0xffff_ffffL;
        if (address == 0
                || Long.compareUnsigned(last, address) < 0
                || Long.compareUnsigned(last, end) >= 0) {
            return -1;
        }
        return address;
    }

    /** Takes everything out of the address spaces. */
    void unmap(AddressSpace memory) {
        memory.begin();
        for (Bar bar : bars) {
            AddressSpace.Region region = bar == null ? null : bar.region;
            if (region != null) {
                region.remove();
            }
        }
        memory.commit();
    }

    /** Puts the registers into their state after reset; the mappings follow with {@link #update}. */
    void reset() {
        for (int i = 0; i < bars.length; i++) {
            Bar bar = bars[i];
            if (bar != null) {
                LittleEndian.put32(config, offset(i), bar.type);
                if (bar.wide()) {
                    LittleEndian.put32(config, offset(i) + 4, 0);
                }
            }
        }
    }

    /** As query-pci tells them. */
    List<PciMemoryRegion> regions() {
        List<PciMemoryRegion> regions = new ArrayList<>();
        for (int i = 0; i < bars.length; i++) {
            Bar bar = bars[i];
            if (bar != null) {
                regions.add(
                        new PciMemoryRegion(
                                i,
                                bar.io() ? "io" : "memory",
                                bar.address,
                                bar.size,
                                bar.io() ? null : bar.prefetch(),
                                bar.io() ? null : bar.wide()));
            }
        }
        return regions;
    }

    /** As {@code info pci} shows them, a line each. */
    String text() {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < bars.length; i++) {
            Bar bar = bars[i];
            if (bar != null) {
                String memory = bar.prefetch() ? "prefetchable memory" : "memory";
                String kind = bar.io() ? "I/O" : (bar.wide() ? "64 bit " : "32 bit ") + memory;
                String form =
                        bar.io()
                                ? "      BAR%d: %s at 0x%04x [0x%04x].%n"
                                : "      BAR%d: %s at 0x%08x [0x%08x].%n";
                out.append(form.formatted(i, kind, bar.address, bar.address + bar.size - 1));
            }
        }
        return out.toString();
    }

    /** As {@code info qtree} shows them, a line each. */
    String briefly() {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < bars.length; i++) {
            Bar bar = bars[i];
            if (bar != null) {
                out.append(
                        "bar %d: %s at 0x%x [0x%x]%n"
                                .formatted(
                                        i,
                                        bar.io() ? "i/o" : "mem",
                                        bar.address,
                                        bar.address + bar.size - 1));
            }
        }
        return out.toString();
    }
}
