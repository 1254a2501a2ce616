package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.api.OnOffSplit;
import lockstep.linux.abi.kvm_clock_data;
import lockstep.linux.abi.kvm_enable_cap;
import lockstep.linux.abi.kvm_irq_level;
import lockstep.linux.abi.kvm_irq_routing;
import lockstep.linux.abi.kvm_irq_routing_entry;
import lockstep.linux.abi.kvm_irq_routing_irqchip;
import lockstep.linux.abi.kvm_irq_routing_msi;
import lockstep.linux.abi.kvm_irqchip;
import lockstep.linux.abi.kvm_msi;
import lockstep.linux.abi.kvm_pit_config;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.machine.Irq;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One virtual machine in the kernel, there with the PC's interrupt controllers (two 8259A, an 82093AA, a local APIC for
 * each vCPU) and its 8254 timer, or the local APICs alone, or none of them. Interrupt inputs may be driven and messages
 * be sent from any thread; the rest runs under the machine lock.
 */
final class KvmVm implements AutoCloseable {
    /** Interrupt inputs of the machine: 0 to 15 reach PIC and IOAPIC, 16 to 23 the IOAPIC. */
    public static final int GSIS = 24;

    // Four pages below the firmware that KVM itself needs on Intel hosts without unrestricted guest
    // mode; QEMU keeps them there too, and firmware marks them reserved.
    private static final long IDENTITY_MAP = 0xfeffc000L;
    private static final long TASK_STATE = IDENTITY_MAP + 0x1000;

    private static final long LEVEL = 1 << 15;
    private static final long MESSAGES = 0xfee00000L;

    private final Kvm kvm;
    private final OnOffSplit chips;
    private final Fd fd;
    private final Arena arena = Arena.ofShared();
    // kvm_irq_level for each input and level, never written again: no lock, no allocation.
    private final MemorySegment[] low = new MemorySegment[GSIS];
    private final MemorySegment[] high = new MemorySegment[GSIS];
    private final Irq[] inputs = new Irq[GSIS];

    /** Makes the machine; {@code chips} are those that the kernel has. */
    public KvmVm(Kvm kvm, OnOffSplit chips) throws KvmException {
        this.kvm = kvm;
        this.chips = chips;
        fd = kvm.createVm();
        for (int i = 0; i < GSIS; i++) {
            low[i] = level(i, 0);
            high[i] = level(i, 1);
            int n = i;
            inputs[i] = on -> line(n, on);
        }
        try {
            setUp();
        } catch (KvmException e) {
            close();
            throw e;
        }
    }

    private void setUp() throws KvmException {
        // Where the kernel has them.
        enable(KVM_CAP_EXCEPTION_PAYLOAD(), 1);
        enable(KVM_CAP_X86_TRIPLE_FAULT_EVENT(), 1);
        MemorySegment address = arena.allocate(8, 8);
        address.set(ValueLayout.JAVA_LONG, 0, IDENTITY_MAP);
        call(KVM_SET_IDENTITY_MAP_ADDR(), address, "KVM_SET_IDENTITY_MAP_ADDR");
        KvmException.check(
                FileCalls.ioctl(fd.number(), KVM_SET_TSS_ADDR(), TASK_STATE), "KVM_SET_TSS_ADDR");
        switch (chips) {
            case OFF -> {}
            case SPLIT -> createLocalApics();
            default -> createChips();
        }
    }

    private void createLocalApics() throws KvmException {
        int result = enable(KVM_CAP_SPLIT_IRQCHIP(), GSIS);
        if (result < 0) {
            throw new KvmException("Could not enable split irqchip mode: " + Errno.text(-result));
        }
    }

    private void createChips() throws KvmException {
        KvmException.check(
                FileCalls.ioctl(fd.number(), KVM_CREATE_IRQCHIP(), 0), "KVM_CREATE_IRQCHIP");
        MemorySegment pit = kvm_pit_config.allocate(arena);
        call(KVM_CREATE_PIT2(), pit, "KVM_CREATE_PIT2");
        routeInputs();
    }

    /** As the PC is wired: the timer's IRQ 0 arrives at the IOAPIC's pin 2 (Intel MP specification). */
    private void routeInputs() throws KvmException {
        long header = kvm_irq_routing.entries$offset();
        long size = kvm_irq_routing_entry.sizeof();
        MemorySegment table = arena.allocate(header + 2L * GSIS * size, 8);
        int n = 0;
        for (int gsi = 0; gsi < GSIS; gsi++) {
            if (gsi == 2) {
                continue; // the cascade
            }
            if (gsi < 16) {
                int chip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER() : KVM_IRQCHIP_PIC_SLAVE();
                route(table.asSlice(header + n++ * size, size), gsi, chip, gsi & 7);
            }
            int pin = gsi == 0 ? 2 : gsi;
            route(table.asSlice(header + n++ * size, size), gsi, KVM_IRQCHIP_IOAPIC(), pin);
        }
        kvm_irq_routing.nr(table, n);
        call(KVM_SET_GSI_ROUTING(), table, "KVM_SET_GSI_ROUTING");
    }

    private static void route(MemorySegment entry, int gsi, int chip, int pin) {
        kvm_irq_routing_entry.gsi(entry, gsi);
        kvm_irq_routing_entry.type(entry, KVM_IRQ_ROUTING_IRQCHIP());
        MemorySegment target = kvm_irq_routing_entry.u(entry);
        kvm_irq_routing_irqchip.irqchip(target, chip);
        kvm_irq_routing_irqchip.pin(target, pin);
    }

    private MemorySegment level(int gsi, int level) {
        MemorySegment s = kvm_irq_level.allocate(arena);
        kvm_irq_level.irq(s, gsi);
        kvm_irq_level.level(s, level);
        return s;
    }

    private void line(int gsi, boolean on) {
        FileCalls.ioctlPointer(fd.number(), KVM_IRQ_LINE(), on ? high[gsi] : low[gsi]);
    }

    /** Turns a capability on; the negated errno where the kernel does not have it. */
    private int enable(int capability, long argument) {
        if (kvm.extension(capability) == 0) {
            return -Errno.EINVAL;
        }
        try (Arena scope = Arena.ofConfined()) {
            MemorySegment s = kvm_enable_cap.allocate(scope);
            kvm_enable_cap.cap(s, capability);
            kvm_enable_cap.args(s, 0, argument);
            return FileCalls.ioctlPointer(fd.number(), KVM_ENABLE_CAP(), s);
        }
    }

    /** Which chips the kernel has. */
    OnOffSplit chips() {
        return chips;
    }

    /**
     * Has the local APICs in the kernel tell of the ends of level-triggered interrupts, for which it wants to know what the
     * IOAPIC sends; the delivery itself is by {@link #signalMsi}.
     */
    void routeMessages(long[] entries) throws KvmException {
        long header = kvm_irq_routing.entries$offset();
        long size = kvm_irq_routing_entry.sizeof();
        try (Arena scope = Arena.ofConfined()) {
            MemorySegment table = scope.allocate(header + entries.length * size, 8);
            int n = 0;
            for (int pin = 0; pin < entries.length; pin++) {
                if ((entries[pin] & LEVEL) == 0) {
                    continue;
                }
                MemorySegment entry = table.asSlice(header + n++ * size, size);
                kvm_irq_routing_entry.gsi(entry, pin);
                kvm_irq_routing_entry.type(entry, KVM_IRQ_ROUTING_MSI());
                MemorySegment message = kvm_irq_routing_entry.u.msi(kvm_irq_routing_entry.u(entry));
                int destination = (int) (entries[pin] >>> 56);
                boolean logical = (entries[pin] & 1 << 11) != 0;
                kvm_irq_routing_msi.address_lo(message, (int) address(destination, logical));
                kvm_irq_routing_msi.data(message, (int) (entries[pin] & 0x7ff | LEVEL));
            }
            kvm_irq_routing.nr(table, n);
            call(KVM_SET_GSI_ROUTING(), table, "KVM_SET_GSI_ROUTING");
        }
    }

    /** Delivers what the IOAPIC or a device sends; whether some APIC took it. */
    boolean signalMsi(int destination, boolean logical, int what, boolean level) {
        return signalMsi(address(destination, logical), what | (int) (level ? LEVEL : 0));
    }

    /** Where a message is written to (Intel SDM volume 3, section 11.11.1). */
    private static long address(int destination, boolean logical) {
        return MESSAGES | (long) destination << 12 | (logical ? 4 : 0);
    }

    /** The kernel module this machine lives in. */
    public Kvm kvm() {
        return kvm;
    }

    /** Interrupt input {@code n}, 0 to 23. Safe from any thread. */
    public Irq gsi(int n) {
        return inputs[n];
    }

    /** Delivers a message-signalled interrupt; whether some APIC took it. */
    public boolean signalMsi(long address, int data) {
        try (Arena scope = Arena.ofConfined()) {
            MemorySegment s = kvm_msi.allocate(scope);
            kvm_msi.address_lo(s, (int) address);
            kvm_msi.address_hi(s, (int) (address >>> 32));
            kvm_msi.data(s, data);
            return FileCalls.ioctlPointer(fd.number(), KVM_SIGNAL_MSI(), s) > 0;
        }
    }

    int call(long request, MemorySegment argument, String name) throws KvmException {
        return KvmException.check(FileCalls.ioctlPointer(fd.number(), request, argument), name);
    }

    /** An ioctl that takes a number; the negated errno when it fails. */
    int tryCall(long request, long argument) {
        return FileCalls.ioctl(fd.number(), request, argument);
    }

    int tryCall(long request, MemorySegment argument) {
        return FileCalls.ioctlPointer(fd.number(), request, argument);
    }

    Fd createVcpu(int apicId) throws KvmException {
        int vcpu = FileCalls.ioctl(fd.number(), KVM_CREATE_VCPU(), apicId);
        if (vcpu == -Errno.EEXIST) {
            throw new KvmException("KVM: vCPU " + apicId + " exists already");
        }
        return new Fd(KvmException.check(vcpu, "KVM_CREATE_VCPU"));
    }

    /** What KVM_GET_CLOCK said. */
    record Clock(long nanoseconds, boolean stable) {}

    /** The guest's kvmclock, and whether it is the same on all vCPUs. */
    Clock clock() throws KvmException {
        try (Arena scope = Arena.ofConfined()) {
            MemorySegment s = kvm_clock_data.allocate(scope);
            call(KVM_GET_CLOCK(), s, "KVM_GET_CLOCK");
            boolean stable =
                    (kvm.extension(KVM_CAP_ADJUST_CLOCK()) & KVM_CLOCK_TSC_STABLE()) != 0
                            && (kvm_clock_data.flags(s) & KVM_CLOCK_TSC_STABLE()) != 0;
            return new Clock(kvm_clock_data.clock(s), stable);
        }
    }

    void clock(long nanoseconds) throws KvmException {
        try (Arena scope = Arena.ofConfined()) {
            MemorySegment s = kvm_clock_data.allocate(scope);
            kvm_clock_data.clock(s, nanoseconds);
            call(KVM_SET_CLOCK(), s, "KVM_SET_CLOCK");
        }
    }

    /** Reads an interrupt controller into a {@code struct kvm_irqchip}. */
    void readChip(int chip, MemorySegment target) throws KvmException {
        kvm_irqchip.chip_id(target, chip);
        call(KVM_GET_IRQCHIP(), target, "KVM_GET_IRQCHIP");
    }

    void writeChip(int chip, MemorySegment source) throws KvmException {
        kvm_irqchip.chip_id(source, chip);
        call(KVM_SET_IRQCHIP(), source, "KVM_SET_IRQCHIP");
    }

    /** Reads the timer into a {@code struct kvm_pit_state2}. */
    void readTimer(MemorySegment target) throws KvmException {
        call(KVM_GET_PIT2(), target, "KVM_GET_PIT2");
    }

    void writeTimer(MemorySegment source) throws KvmException {
        call(KVM_SET_PIT2(), source, "KVM_SET_PIT2");
    }

    @Override
    public void close() {
        fd.close();
        arena.close();
    }
}
