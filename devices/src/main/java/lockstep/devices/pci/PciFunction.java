package lockstep.devices.pci;

import static lockstep.runtime.memory.LittleEndian.get16;
import static lockstep.runtime.memory.LittleEndian.put16;

import lockstep.api.PciDeviceClass;
import lockstep.api.PciDeviceId;
import lockstep.api.PciDeviceInfo;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.function.LongFunction;

/**
 * One function on the PCI bus: configuration space, base address registers, interrupt pin.
 *
 * <p>A subclass declares its registers in {@link #realize}, which runs once the function has its place
 * on the bus. One that migrates is a {@link StateSection} and describes its own state after {@link
 * #describePci}; the section's wire name is {@code 0000:00:SS.F/} and {@link #vmstateName}. Everything is
 * called under the machine lock.
 */
public abstract class PciFunction {
    /** Where capabilities begin. */
    private static final int CAPABILITIES = 0x40;

    private final String vmstateName;

    /** Configuration space as the guest sees it. */
    protected final byte[] config = new byte[PciSpec.CONFIG_SIZE];

    /** Bits that a guest's write changes. */
    protected final byte[] writeMask = new byte[PciSpec.CONFIG_SIZE];

    /** Bits that a guest clears by writing 1. */
    protected final byte[] clearMask = new byte[PciSpec.CONFIG_SIZE];

    /** Bits that must agree between the two sides of a migration. */
    protected final byte[] compareMask = new byte[PciSpec.CONFIG_SIZE];

    private final BaseAddresses bars = new BaseAddresses(config, writeMask, compareMask);
    private final int[] irqState = new int[4];
    private @Nullable PciBus bus;
    private @Nullable DeviceScope scope;
    private byte @Nullable [] rom;
    private long romSize;
    private boolean hotpluggable;
    private int devfn = -1;
    private int acpiIndex;
    private int nextCapability = CAPABILITIES;
    private String id = "";
    private String type;

    /**
     * A function of the given identity.
     *
     * @param vmstateName the last part of the section's name
     * @param classCode base class and subclass, 16 bits
     */
    protected PciFunction(String vmstateName, int vendor, int device, int revision, int classCode) {
        this.vmstateName = vmstateName;
        type = vmstateName;
        put16(config, PciSpec.VENDOR_ID, vendor);
        put16(config, PciSpec.DEVICE_ID, device);
        config[PciSpec.REVISION_ID] = (byte) revision;
        put16(config, PciSpec.CLASS_DEVICE, classCode);
        put16(config, PciSpec.SUBSYSTEM_VENDOR_ID, PciSpec.SUBSYSTEM_VENDOR_DEFAULT);
        put16(config, PciSpec.SUBSYSTEM_ID, PciSpec.SUBSYSTEM_DEFAULT);

        put16(compareMask, PciSpec.VENDOR_ID, 0xffff);
        put16(compareMask, PciSpec.DEVICE_ID, 0xffff);
        put16(compareMask, PciSpec.STATUS, PciSpec.STATUS_CAPABILITIES);
        compareMask[PciSpec.REVISION_ID] = (byte) 0xff;
        compareMask[PciSpec.CLASS_PROG] = (byte) 0xff;
        put16(compareMask, PciSpec.CLASS_DEVICE, 0xffff);
        compareMask[PciSpec.HEADER_TYPE] = (byte) 0xff;
        compareMask[PciSpec.CAPABILITY_LIST] = (byte) 0xff;

        writeMask[PciSpec.CACHE_LINE_SIZE] = (byte) 0xff;
        writeMask[PciSpec.INTERRUPT_LINE] = (byte) 0xff;
        put16(
                writeMask,
                PciSpec.COMMAND,
                PciSpec.COMMAND_IO
                        | PciSpec.COMMAND_MEMORY
                        | PciSpec.COMMAND_MASTER
                        | PciSpec.COMMAND_SERR
                        | PciSpec.COMMAND_INTX_DISABLE);
        Arrays.fill(writeMask, 0x40, PciSpec.CONFIG_SIZE, (byte) 0xff);
        put16(clearMask, PciSpec.STATUS, PciSpec.STATUS_WRITE_1_TO_CLEAR);
    }

    /** Declares base address registers, sections of its own and the like; the bus place is known. */
    protected void realize() {}

    /** Puts the function's own registers into their state after reset; the header is reset already. */
    protected void reset() {}

    /** Told after a guest's write to configuration space; mappings are up to date. */
    protected void configWritten(int offset, int size) {}

    /** A guest's read of configuration space; the default gives the stored bytes. */
    protected int configRead(int offset, int size) {
        int value = 0;
        for (int i = 0; i < size; i++) {
            value |= (config[offset + i] & 0xff) << (8 * i);
        }
        return value;
    }

    /** The bus. Not before {@link #realize}. */
    protected final PciBus bus() {
        PciBus b = bus;
        if (b == null) {
            throw new IllegalStateException(vmstateName + " is not on a bus yet");
        }
        return b;
    }

    /** The machine. Not before {@link #realize}. */
    protected final Machine machine() {
        return bus().machine();
    }

    /** Slot and function: {@code slot << 3 | function}. */
    public final int devfn() {
        return devfn;
    }

    /** The address as section and block names spell it, {@code 0000:00:SS.F}. */
    public final String path() {
        return "0000:00:%02x.%x".formatted(devfn >> 3, devfn & 7);
    }

    /** The last part of the section name. */
    public final String vmstateName() {
        return vmstateName;
    }

    /** The name of the section. */
    public final String name() {
        return path() + "/" + vmstateName;
    }

    /** Through which the function takes what it needs. Not before {@link #realize}. */
    protected final DeviceScope scope() {
        DeviceScope s = scope;
        if (s == null) {
            throw new IllegalStateException(vmstateName + " is not on a bus yet");
        }
        return s;
    }

    final void place(PciBus owner, int place, DeviceScope holder) {
        bus = owner;
        devfn = place;
        scope = holder;
    }

    /** Whether the function may leave a running machine. */
    final boolean hotpluggable() {
        return hotpluggable;
    }

    final void declareHotpluggable() {
        hotpluggable = true;
    }

    /** Lets go of the interrupt wires and of all addresses. */
    final void unplugged() {
        for (int pin = 0; pin < irqState.length; pin++) {
            drive(pin, 0);
        }
        bars.unmap(machine().memory());
    }

    /** Sets the programming interface byte of the class code. */
    protected final void programmingInterface(int value) {
        config[PciSpec.CLASS_PROG] = (byte) value;
    }

    /** Sets the interrupt pin: 1 is INTA. */
    protected final void interruptPin(int pin) {
        config[PciSpec.INTERRUPT_PIN] = (byte) pin;
    }

    /** Declares an I/O port range behind register {@code index}; {@code size} is a power of two. */
    protected final void portBar(int index, String name, int size, IoHandler handler) {
        register(
                index,
                BaseAddresses.IO,
                size,
                base -> machine().ports().mapIo(name, base, size, PciBus.PRIORITY, handler));
    }

    /** Declares device memory behind register {@code index}; {@code size} is a power of two. */
    protected final void memoryBar(
            int index, String name, long size, boolean prefetch, IoHandler handler) {
        register(
                index,
                prefetch ? BaseAddresses.PREFETCH : 0,
                size,
                base -> machine().memory().mapIo(name, base, size, PciBus.PRIORITY, handler));
    }

    /** Declares memory with nothing in it behind registers {@code index} and the next: its address has 64 bits. */
    protected final void emptyBar(int index, long size) {
        register(index, BaseAddresses.PREFETCH | BaseAddresses.WIDE, size, null);
    }

    /** Declares RAM behind register {@code index}; the block's used length is a power of two. */
    protected final void ramBar(int index, boolean prefetch, RamBlock block) {
        long size = block.usedLength();
        register(
                index,
                prefetch ? BaseAddresses.PREFETCH : 0,
                size,
                base ->
                        machine()
                                .memory()
                                .mapRam(block.name(), base, size, block, 0, PciBus.PRIORITY));
    }

    /** Gives it the image of its expansion ROM, or null for none; before it goes onto the bus. */
    final void rom(byte @Nullable [] image) {
        rom = image;
    }

    /** Bytes of the expansion ROM, or 0 without one. */
    final long romSize() {
        return romSize;
    }

    /**
     * Declares the expansion ROM: a migrated block {@code <path>/<vmstateName>.rom} whose size is the
     * image's, rounded up to a power of two. Vendor and device in the image's PCI data structure are
     * left alone, so the image must be the device's own.
     */
    final void declareRom() {
        byte[] image = rom;
        if (image == null) {
            return;
        }
        long size = Math.max(RamBlock.PAGE, Long.highestOneBit(image.length));
        if (size < image.length) {
            size <<= 1;
        }
        RamBlock block = scope().block(path() + "/" + vmstateName + ".rom", size, size);
        java.lang.foreign.MemorySegment.copy(
                image, 0, block.memory(), java.lang.foreign.ValueLayout.JAVA_BYTE, 0, image.length);
        long length = size;
        romSize = size;
        register(
                BaseAddresses.ROM,
                0,
                size,
                base -> {
                    AddressSpace.Region r =
                            machine()
                                    .memory()
                                    .mapRam(block.name(), base, length, block, 0, PciBus.PRIORITY);
                    r.readOnly(true);
                    return r;
                });
    }

    private void register(
            int index, int type, long size, @Nullable LongFunction<AddressSpace.Region> map) {
        if (!bars.declare(index, type, size, map)) {
            throw new IllegalArgumentException(name() + ": bad base address register " + index);
        }
    }

    /** Adds a capability to configuration space; gives its offset. From the constructor. */
    final int addCapability(int id, int length) {
        int at = nextCapability;
        nextCapability = at + length + 3 & ~3;
        config[at] = (byte) id;
        config[at + 1] = config[PciSpec.CAPABILITY_LIST];
        config[PciSpec.CAPABILITY_LIST] = (byte) at;
        put16(config, PciSpec.STATUS, get16(config, PciSpec.STATUS) | PciSpec.STATUS_CAPABILITIES);
        for (int i = at; i < at + length; i++) {
            writeMask[i] = 0;
            compareMask[i] = (byte) 0xff;
        }
        return at;
    }

    /** Whether the guest lets the function read and write memory by itself. */
    public final boolean busMaster() {
        return (command() & PciSpec.COMMAND_MASTER) != 0;
    }

    private int command() {
        return get16(config, PciSpec.COMMAND);
    }

    /** A guest's write to configuration space; bytes beyond the end are dropped. */
    final void write(int offset, int size, int value) {
        int wasCommand = command();
        for (int i = 0; i < size && offset + i < PciSpec.CONFIG_SIZE; i++) {
            int at = offset + i;
            int v = value >>> (8 * i) & 0xff;
            int kept = config[at] & ~writeMask[at] | v & writeMask[at];
            config[at] = (byte) (kept & ~(v & clearMask[at]));
        }
        if (touches(offset, size, PciSpec.BASE_ADDRESS_0, 24)
                || touches(offset, size, PciSpec.ROM_ADDRESS, 4)
                || touches(offset, size, PciSpec.COMMAND, 2)) {
            updateMappings();
        }
        int changed = wasCommand ^ command();
        if ((changed & PciSpec.COMMAND_INTX_DISABLE) != 0) {
            boolean off = (command() & PciSpec.COMMAND_INTX_DISABLE) != 0;
            for (int pin = 0; pin < 4; pin++) {
                if (irqState[pin] != 0) {
                    bus().intx(this, pin, off ? -1 : 1);
                }
            }
        }
        configWritten(offset, size);
    }

    /** Whether {@code size} bytes at {@code offset} overlap {@code length} bytes at {@code start}. */
    protected static boolean touches(int offset, int size, int start, int length) {
        return offset < start + length && start < offset + size;
    }

    private void updateMappings() {
        bars.update(machine().memory(), command());
    }

    /** Drives the function's interrupt pin. */
    protected final void setIrq(boolean level) {
        int pin = config[PciSpec.INTERRUPT_PIN] - 1;
        if (pin < 0 || pin > 3) {
            return;
        }
        drive(pin, level ? 1 : 0);
    }

    private void drive(int pin, int level) {
        if (irqState[pin] == level) {
            return;
        }
        irqState[pin] = level;
        updateInterruptStatus();
        if ((command() & PciSpec.COMMAND_INTX_DISABLE) == 0) {
            bus().intx(this, pin, level == 0 ? -1 : 1);
        }
    }

    private void updateInterruptStatus() {
        boolean any = (irqState[0] | irqState[1] | irqState[2] | irqState[3]) != 0;
        int status = get16(config, PciSpec.STATUS) & ~PciSpec.STATUS_INTERRUPT;
        put16(config, PciSpec.STATUS, any ? status | PciSpec.STATUS_INTERRUPT : status);
    }

    /** How much pin {@code pin} adds to its wire's count: 0 or 1. */
    final int asserted(int pin) {
        return (command() & PciSpec.COMMAND_INTX_DISABLE) == 0 ? irqState[pin] : 0;
    }

    /** The number by which ACPI tells the guest of the function; 0: none. */
    public final int acpiIndex() {
        return acpiIndex;
    }

    final void acpiIndex(int number) {
        acpiIndex = number;
    }

    /** Says in the header that the slot has more than one function. */
    final void declareMultifunction() {
        config[PciSpec.HEADER_TYPE] |= (byte) PciSpec.HEADER_MULTI_FUNCTION;
    }

    /** Whether the header says that the slot has more than one function. */
    final boolean multifunction() {
        return (config[PciSpec.HEADER_TYPE] & PciSpec.HEADER_MULTI_FUNCTION) != 0;
    }

    /** Gives the function the name of its device's type, and the user's identifier. */
    final void name(String driver, @Nullable String identifier) {
        type = driver;
        id = identifier == null ? "" : identifier;
    }

    /** The name of its device's type. */
    final String type() {
        return type;
    }

    /** What a message calls it. */
    final String title() {
        return id.isEmpty() ? type : type + ",id=" + id;
    }

    /** Identity, interrupt and base address registers, as query-pci tells them. */
    public final PciDeviceInfo describe() {
        int classCode = get16(config, PciSpec.CLASS_DEVICE);
        int pin = config[PciSpec.INTERRUPT_PIN];
        return PciDeviceInfo.builder()
                .bus(0)
                .slot(devfn >> 3)
                .function(devfn & 7)
                .classInfo(new PciDeviceClass(PciSpec.className(classCode), classCode))
                .id(
                        new PciDeviceId(
                                get16(config, PciSpec.DEVICE_ID),
                                get16(config, PciSpec.VENDOR_ID),
                                (long) get16(config, PciSpec.SUBSYSTEM_ID),
                                (long) get16(config, PciSpec.SUBSYSTEM_VENDOR_ID)))
                .irq(pin == 0 ? null : (long) (config[PciSpec.INTERRUPT_LINE] & 0xff))
                .irqPin(pin)
                .qdevId(id)
                .regions(bars.regions())
                .build();
    }

    /** Identity, interrupt and base address registers, as {@code info pci} shows them. */
    public final String describeConfig() {
        StringBuilder out = new StringBuilder();
        int classCode = get16(config, PciSpec.CLASS_DEVICE);
        out.append(
                "    %s: PCI device %04x:%04x%n"
                        .formatted(
                                PciSpec.className(classCode),
                                get16(config, PciSpec.VENDOR_ID),
                                get16(config, PciSpec.DEVICE_ID)));
        out.append(
                "      PCI subsystem %04x:%04x%n"
                        .formatted(
                                get16(config, PciSpec.SUBSYSTEM_VENDOR_ID),
                                get16(config, PciSpec.SUBSYSTEM_ID)));
        if (config[PciSpec.INTERRUPT_PIN] != 0) {
            out.append(
                    "      IRQ %d, pin %c%n"
                            .formatted(
                                    config[PciSpec.INTERRUPT_LINE] & 0xff,
                                    (char) ('A' + config[PciSpec.INTERRUPT_PIN] - 1)));
        }
        out.append(bars.text());
        return out.append("      id \"").append(id).append("\"\n").toString();
    }

    /** Class, place, identity and base address registers, as {@code info qtree} shows them. */
    final String describeBriefly() {
        return "class %s, addr 00:%s, pci id %04x:%04x (sub %04x:%04x)%n"
                        .formatted(
                                PciSpec.className(get16(config, PciSpec.CLASS_DEVICE)),
                                PciDevice.address(devfn),
                                get16(config, PciSpec.VENDOR_ID),
                                get16(config, PciSpec.DEVICE_ID),
                                get16(config, PciSpec.SUBSYSTEM_VENDOR_ID),
                                get16(config, PciSpec.SUBSYSTEM_ID))
                + bars.briefly();
    }

    /** System reset: header first, then the function's own registers. */
    final void systemReset() {
        for (int pin = 0; pin < 4; pin++) {
            drive(pin, 0);
        }
        clearWritable(PciSpec.COMMAND, 2);
        clearWritable(PciSpec.STATUS, 2);
        clearWritable(PciSpec.INTERRUPT_LINE, 1);
        config[PciSpec.CACHE_LINE_SIZE] = 0;
        bars.reset();
        updateMappings();
        reset();
    }

    private void clearWritable(int offset, int count) {
        for (int i = offset; i < offset + count; i++) {
            config[i] &= (byte) ~(writeMask[i] | clearMask[i]);
        }
    }

    /**
     * The {@code PCIDevice} prefix of the section.
     *
     * @param field the JSON name of the member: {@code dev} or {@code parent_obj}
     */
    protected final void describePci(String field, StateCodec c) throws StateException {
        c.struct(field, "PCIDevice", 2, this::describeHeader);
    }

    private void describeHeader(StateCodec c) throws StateException {
        int version = c.i32("version_id", 2);
        byte[] bytes = config.clone();
        c.bytes("config", bytes);
        int[] levels = irqState.clone();
        c.u32s("irq_state", levels);
        if (!c.loading()) {
            return;
        }
        if (version < 0 || version > 2) {
            throw c.invalid(name() + ": PCI device state of version " + version + " is unknown");
        }
        for (int i = 0; i < bytes.length; i++) {
            int differs = (bytes[i] ^ config[i]) & compareMask[i] & ~writeMask[i] & ~clearMask[i];
            if ((differs & 0xff) != 0) {
                throw c.invalid(
                        ("get_pci_config_device: Bad config data: i=0x%x read: %x device: %x"
                                        + " cmask: %x wmask: %x w1cmask:%x")
                                .formatted(
                                        i,
                                        bytes[i] & 0xff,
                                        config[i] & 0xff,
                                        compareMask[i] & 0xff,
                                        writeMask[i] & 0xff,
                                        clearMask[i] & 0xff));
            }
        }
        for (int level : levels) {
            if (level != 0 && level != 1) {
                throw c.invalid("irq state " + level + ": must be 0 or 1.");
            }
        }
        System.arraycopy(bytes, 0, config, 0, bytes.length);
        System.arraycopy(levels, 0, irqState, 0, levels.length);
        updateInterruptStatus();
        updateMappings();
    }
}
