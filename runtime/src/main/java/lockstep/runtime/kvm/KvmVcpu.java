package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.kvm_cpuid2;
import lockstep.linux.abi.kvm_cpuid_entry2;
import lockstep.linux.abi.kvm_run;
import lockstep.linux.abi.kvm_signal_mask;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.linux.Signals;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.RegionMap;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * A vCPU in the kernel: what leads into KVM_RUN, and what comes out of it. It is kicked by a real-time signal that is
 * blocked except inside KVM_RUN, where it ends the call. Where interrupt controllers are not in the kernel, those who
 * extend it see to interrupts.
 */
class KvmVcpu extends Vcpu {
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    // Offsets into struct kvm_run, constants for the compiler.
    private static final long IMMEDIATE_EXIT = kvm_run.immediate_exit$offset();
    private static final long EXIT_REASON = kvm_run.exit_reason$offset();
    private static final long IO_DIRECTION = kvm_run.io$offset() + kvm_run.io.direction$offset();
    private static final long IO_SIZE = kvm_run.io$offset() + kvm_run.io.size$offset();
    private static final long IO_PORT = kvm_run.io$offset() + kvm_run.io.port$offset();
    private static final long IO_COUNT = kvm_run.io$offset() + kvm_run.io.count$offset();
    private static final long IO_DATA = kvm_run.io$offset() + kvm_run.io.data_offset$offset();
    private static final long MMIO_ADDRESS =
            kvm_run.mmio$offset() + kvm_run.mmio.phys_addr$offset();
    private static final long MMIO_DATA = kvm_run.mmio$offset() + kvm_run.mmio.data$offset();
    private static final long MMIO_LENGTH = kvm_run.mmio$offset() + kvm_run.mmio.len$offset();
    private static final long MMIO_WRITE = kvm_run.mmio$offset() + kvm_run.mmio.is_write$offset();
    private static final long UNION = kvm_run.io$offset();

    private static final long READY = kvm_run.ready_for_interrupt_injection$offset();
    private static final long WINDOW = kvm_run.request_interrupt_window$offset();
    private static final long INTERRUPT_FLAG = kvm_run.if_flag$offset();
    private static final long TASK_PRIORITY = kvm_run.cr8$offset();
    private static final long APIC_BASE = kvm_run.apic_base$offset();

    static final int EXIT_IO = KVM_EXIT_IO();
    static final int EXIT_MMIO = KVM_EXIT_MMIO();
    static final int EXIT_HLT = KVM_EXIT_HLT();
    static final int EXIT_EOI = KVM_EXIT_IOAPIC_EOI();

    /** No reason to leave the guest, but a kick. */
    static final int INTERRUPTED = -1;

    private static final int EXIT_INTR = KVM_EXIT_INTR();
    private static final int EXIT_WINDOW = KVM_EXIT_IRQ_WINDOW_OPEN();
    private static final int EXIT_SHUTDOWN = KVM_EXIT_SHUTDOWN();
    private static final int EXIT_SYSTEM_EVENT = KVM_EXIT_SYSTEM_EVENT();
    private static final int EXIT_FAIL_ENTRY = KVM_EXIT_FAIL_ENTRY();
    private static final int EXIT_INTERNAL_ERROR = KVM_EXIT_INTERNAL_ERROR();
    private static final int EXIT_TASK_PRIORITY = KVM_EXIT_SET_TPR();
    private static final int DIRECTION_OUT = KVM_EXIT_IO_OUT();
    private static final long RUN = KVM_RUN();

    // Ten banks, MCG_CTL present, software error recovery (Intel SDM volume 3, section 16.3.1).
    private static final long MACHINE_CHECK = 10 | 1 << 8 | 1 << 24;

    private final Fd fd;
    private final Mapping mapping;
    private final MemorySegment run;
    private final VcpuTransfer transfer;
    private final RunGate gate;

    /** Kept by the gate. */
    volatile boolean inGuest;

    KvmVcpu(KvmVm vm, VcpuModel model, List<CpuidLeaf> supported, RunGate gate, Owner owner)
            throws KvmException {
        super(model, "KVM", owner);
        this.gate = gate;
        fd = vm.createVcpu(model.index());
        try {
            mapping = Mapping.shared(fd.number(), 0, vm.kvm().runSize());
        } catch (LinuxException e) {
            fd.close();
            throw new KvmException("KVM: cannot map a vCPU's shared area: " + e.getMessage());
        }
        run = mapping.memory();
        setCpuid(model.leaves());
        transfer = new VcpuTransfer(vm, fd.number(), supported);
        long abilities = vm.kvm().machineCheckAbilities();
        state.mcgCap = setUpMachineCheck(MACHINE_CHECK & (abilities | 0xff));
        gate.add(this);
    }

    private void setCpuid(List<CpuidLeaf> leaves) throws KvmException {
        try (Arena arena = Arena.ofConfined()) {
            long header = kvm_cpuid2.entries$offset();
            long size = kvm_cpuid_entry2.sizeof();
            MemorySegment all = arena.allocate(header + leaves.size() * size, 8);
            kvm_cpuid2.nent(all, leaves.size());
            for (int i = 0; i < leaves.size(); i++) {
                MemorySegment e = all.asSlice(header + i * size, size);
                CpuidLeaf leaf = leaves.get(i);
                kvm_cpuid_entry2.function(e, leaf.function());
                kvm_cpuid_entry2.index(e, leaf.index());
                kvm_cpuid_entry2.flags(e, leaf.flags());
                kvm_cpuid_entry2.eax(e, leaf.eax());
                kvm_cpuid_entry2.ebx(e, leaf.ebx());
                kvm_cpuid_entry2.ecx(e, leaf.ecx());
                kvm_cpuid_entry2.edx(e, leaf.edx());
            }
            KvmException.check(
                    FileCalls.ioctlPointer(fd.number(), KVM_SET_CPUID2(), all), "KVM_SET_CPUID2");
        }
    }

    /** Sets up machine checks; returns the abilities the guest sees (MCG_CAP). */
    private long setUpMachineCheck(long abilities) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(8, 8);
            value.set(ValueLayout.JAVA_LONG, 0, abilities);
            int result = FileCalls.ioctlPointer(fd.number(), KVM_X86_SETUP_MCE(), value);
            return result < 0 ? 0 : abilities;
        }
    }

    @Override
    public void kick() {
        int id = threadId();
        if (id != 0) {
            Signals.send(id, Signals.KICK);
        }
    }

    @Override
    protected void fetch(long now) throws KvmException {
        transfer.fetch(state, apic, now);
    }

    @Override
    protected void store(long now) throws KvmException {
        transfer.store(state, apic, now);
    }

    @Override
    protected void injectNmi() {
        transfer.injectNmi();
    }

    @Override
    protected void tellStopped() {
        transfer.tellStopped();
    }

    @Override
    protected void free() {
        transfer.close();
        mapping.close();
        fd.close();
    }

    // ---- the vCPU's thread

    @Override
    protected void prepare() {
        // Elsewhere the signal must not end the process: a kick may come before the mask is set, or
        // reach another thread that got this one's number after its end.
        Signals.ignore(Signals.KICK);
        acceptKicksInGuest(Signals.block(Signals.KICK));
    }

    @Override
    protected final boolean enter() {
        if (stayOut()) {
            return true;
        }
        gate.enter(this);
        int result;
        try {
            run.set(BYTE, IMMEDIATE_EXIT, (byte) (enterBriefly() ? 1 : 0));
            result = FileCalls.ioctl(fd.number(), RUN, 0);
        } finally {
            gate.leave(this);
        }
        if (result >= 0) {
            int reason = run.get(INT, EXIT_REASON);
            left(reason);
            exited(reason);
            return reason == EXIT_HLT;
        }
        left(INTERRUPTED);
        if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
            Signals.take(Signals.KICK);
        } else {
            fail("error: kvm run failed " + Errno.text(-result));
        }
        return true;
    }

    // ---- for those who have interrupt controllers of their own, on the vCPU's thread

    /** Whether the guest is not entered now, because something was done in its place; between two instructions. */
    protected boolean stayOut() {
        return false;
    }

    /**
     * Last thing before the guest is entered, when a kick is seen by KVM_RUN: whether that is to end at once. An access to
     * a device is complete only after the next KVM_RUN has begun, so a vCPU that is to park makes such a one.
     */
    protected boolean enterBriefly() {
        return stopping();
    }

    /** First thing after the guest was left, for one of the kernel's reasons or {@link #INTERRUPTED}. */
    protected void left(int reason) {}

    /** Has the vCPU come to {@link #enterBriefly} soon, if it is in the guest or about to be. Any thread. */
    final void disturb() {
        if (inGuest && !isCurrentThread()) {
            kick();
        }
    }

    /** Whether the kernel takes an interrupt now. */
    final boolean readyForInterrupt() {
        return run.get(BYTE, READY) != 0;
    }

    /** The registers are other ones than those of the last exit. */
    final void notReady() {
        run.set(BYTE, READY, (byte) 0);
    }

    /** Hands an interrupt to the kernel, which must be ready for it. */
    final void interrupt(int vector) {
        transfer.interrupt(vector);
        notReady();
    }

    /** Whether the guest is to be left when the kernel is ready for an interrupt. */
    final void requestWindow(boolean on) {
        run.set(BYTE, WINDOW, (byte) (on ? 1 : 0));
    }

    final boolean interruptFlag() {
        return run.get(BYTE, INTERRUPT_FLAG) != 0;
    }

    /** CR8 as the guest has it. */
    final int taskPriority() {
        return (int) run.get(LONG, TASK_PRIORITY);
    }

    final void taskPriority(int cr8) {
        run.set(LONG, TASK_PRIORITY, cr8);
    }

    final long apicBase() {
        return run.get(LONG, APIC_BASE);
    }

    /** Of {@link #EXIT_EOI}. */
    final int endedVector() {
        return run.get(BYTE, UNION) & 0xff;
    }

    final VcpuTransfer transfer() {
        return transfer;
    }

    /** The kick signal is blocked except while the guest runs. */
    private void acceptKicksInGuest(long threadMask) {
        try (Arena arena = Arena.ofConfined()) {
            long at = kvm_signal_mask.sigset$offset();
            MemorySegment mask = arena.allocate(at + Long.BYTES, 8);
            kvm_signal_mask.len(mask, Long.BYTES);
            mask.set(LONG, at, threadMask & ~(1L << (Signals.KICK - 1)));
            FileCalls.ioctlPointer(fd.number(), KVM_SET_SIGNAL_MASK(), mask);
        }
    }

    private void exited(int reason) {
        if (reason == EXIT_IO) {
            portAccess();
        } else if (reason == EXIT_MMIO) {
            memoryAccess();
        } else if (reason == EXIT_SHUTDOWN) {
            stopSelf(Event.TRIPLE_FAULT, "triple fault");
        } else if (reason == EXIT_SYSTEM_EVENT) {
            systemEvent();
        } else if (reason == EXIT_FAIL_ENTRY) {
            fail("KVM: entry failed, hardware error 0x" + Long.toHexString(run.get(LONG, UNION)));
        } else if (reason == EXIT_INTERNAL_ERROR) {
            internalError();
        } else if (reason != EXIT_INTR
                && reason != EXIT_HLT
                && reason != EXIT_WINDOW
                && reason != EXIT_TASK_PRIORITY
                && reason != EXIT_EOI) {
            // Those only ask to be entered again.
            fail("KVM: unknown exit, hardware reason " + Integer.toHexString(reason));
        }
    }

    private void portAccess() {
        int size = run.get(BYTE, IO_SIZE);
        int port = run.get(SHORT, IO_PORT) & 0xffff;
        int count = run.get(INT, IO_COUNT);
        long data = run.get(LONG, IO_DATA);
        boolean out = run.get(BYTE, IO_DIRECTION) == DIRECTION_OUT;
        RegionMap ports = owner.ports();
        MachineLock lock = owner.lock();
        lock.acquire();
        try {
            for (int i = 0; i < count; i++, data += size) {
                if (out) {
                    ports.write(port, size, load(data, size));
                } else {
                    store(data, size, ports.read(port, size));
                }
            }
        } finally {
            lock.release();
        }
    }

    private void memoryAccess() {
        long address = run.get(LONG, MMIO_ADDRESS);
        int size = run.get(INT, MMIO_LENGTH);
        boolean write = run.get(BYTE, MMIO_WRITE) != 0;
        RegionMap memory = owner.memory();
        MachineLock lock = owner.lock();
        lock.acquire();
        try {
            if ((size & (size - 1)) != 0) {
                // An access that crossed a page leaves an odd rest.
                for (int i = 0; i < size; i++) {
                    oneAccess(memory, address + i, MMIO_DATA + i, 1, write);
                }
            } else {
                oneAccess(memory, address, MMIO_DATA, size, write);
            }
        } finally {
            lock.release();
        }
    }

    private void oneAccess(RegionMap memory, long address, long data, int size, boolean write) {
        if (write) {
            memory.write(address, size, load(data, size));
        } else {
            store(data, size, memory.read(address, size));
        }
    }

    private long load(long at, int size) {
        return switch (size) {
            case 1 -> run.get(BYTE, at) & 0xffL;
            case 2 -> run.get(SHORT, at) & 0xffffL;
            case 4 -> run.get(INT, at) & 0xffffffffL;
            default -> run.get(LONG, at);
        };
    }

    private void store(long at, int size, long value) {
        switch (size) {
            case 1 -> run.set(BYTE, at, (byte) value);
            case 2 -> run.set(SHORT, at, (short) value);
            case 4 -> run.set(INT, at, (int) value);
            default -> run.set(LONG, at, value);
        }
    }

    private void systemEvent() {
        int type = run.get(INT, UNION);
        if (type == KVM_SYSTEM_EVENT_SHUTDOWN()) {
            stopSelf(Event.SHUTDOWN, "shutdown");
        } else if (type == KVM_SYSTEM_EVENT_CRASH()) {
            stopSelf(Event.CRASH, "crash");
        } else {
            stopSelf(Event.RESET, "reset");
        }
    }

    private void internalError() {
        int suberror = run.get(INT, UNION);
        StringBuilder text = new StringBuilder("KVM internal error. Suberror: " + suberror);
        int words = Math.min(16, run.get(INT, UNION + 4));
        for (int i = 0; i < words; i++) {
            long word = run.get(LONG, UNION + 8 + i * 8L);
            text.append(String.format("\nextra data[%d]: 0x%016x", i, word));
        }
        if (suberror == KVM_INTERNAL_ERROR_EMULATION()) {
            text.append("\nemulation failure");
        }
        fail(text.toString());
    }
}
