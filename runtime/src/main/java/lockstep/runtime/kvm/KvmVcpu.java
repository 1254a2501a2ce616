package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.kvm_cpuid2;
import lockstep.linux.abi.kvm_cpuid_entry2;
import lockstep.linux.abi.kvm_run;
import lockstep.linux.abi.kvm_signal_mask;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.linux.Signals;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.trace.InternalFailure;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * One vCPU: its thread, the loop around KVM_RUN, and its state. The thread takes the machine lock for each
 * device access. Other threads take it out of the guest with {@link #requestStop}; it then parks until it
 * is let go on.
 */
final class KvmVcpu {
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

    private static final int EXIT_IO = KVM_EXIT_IO();
    private static final int EXIT_MMIO = KVM_EXIT_MMIO();
    private static final int EXIT_HLT = KVM_EXIT_HLT();
    private static final int EXIT_INTR = KVM_EXIT_INTR();
    private static final int EXIT_WINDOW = KVM_EXIT_IRQ_WINDOW_OPEN();
    private static final int EXIT_SHUTDOWN = KVM_EXIT_SHUTDOWN();
    private static final int EXIT_SYSTEM_EVENT = KVM_EXIT_SYSTEM_EVENT();
    private static final int EXIT_FAIL_ENTRY = KVM_EXIT_FAIL_ENTRY();
    private static final int EXIT_INTERNAL_ERROR = KVM_EXIT_INTERNAL_ERROR();
    private static final int EXIT_EOI = KVM_EXIT_IOAPIC_EOI();
    private static final int DIRECTION_OUT = KVM_EXIT_IO_OUT();
    private static final long RUN = KVM_RUN();

    /** What the vCPUs share. */
    interface Owner {
        /** The machine lock. */
        MachineLock lock();

        /** Guest physical memory. */
        RegionMap memory();

        /** The ports. */
        RegionMap ports();

        /** What keeps vCPUs out of the guest for a moment. */
        RunGate gate();

        /** A vCPU stands still, of which the lock's holder is told. Called with the lock held. */
        void parked();

        /** Waits until something changed. Called with the lock held, which is released meanwhile. */
        void awaitChange();

        /** The vCPU hit something that ends or restarts the guest. No lock held. */
        void event(KvmVcpu vcpu, Event event, String text);
    }

    /** What a vCPU reports to run control. */
    enum Event {
        TRIPLE_FAULT,
        RESET,
        SHUTDOWN,
        CRASH,
        INTERNAL_ERROR
    }

    final int index;
    // CPUID.1.EAX
    final int signature;
    final VcpuState state = new VcpuState();
    final LocalApic apic;

    private final Owner owner;
    private final Fd fd;
    private final Mapping mapping;
    private final MemorySegment run;
    private final VcpuTransfer transfer;
    private final Thread thread;

    /** Kept by the gate. */
    volatile boolean inGuest;

    private volatile int threadId;
    private volatile boolean stopRequested = true;
    private volatile boolean ending;
    // Under the machine lock.
    private boolean parked;
    private boolean ended;

    KvmVcpu(
            KvmVm vm,
            int index,
            int signature,
            List<CpuidLeaf> cpuid,
            List<CpuidLeaf> supported,
            Owner owner)
            throws KvmException {
        this.index = index;
        this.signature = signature;
        this.owner = owner;
        apic = new LocalApic(index);
        fd = vm.createVcpu(index);
        try {
            mapping = Mapping.shared(fd.number(), 0, vm.kvm().runSize());
        } catch (LinuxException e) {
            fd.close();
            throw new KvmException("KVM: cannot map a vCPU's shared area: " + e.getMessage());
        }
        run = mapping.memory();
        setCpuid(cpuid);
        transfer = new VcpuTransfer(vm, fd.number(), supported);
        // Named as QEMU names them under -name debug-threads=on.
        thread =
                Thread.ofPlatform()
                        .name("CPU " + index + "/KVM")
                        .daemon(true)
                        .unstarted(this::loop);
    }

    /** Starts the thread, which parks at once. */
    void start() {
        thread.start();
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
    long setUpMachineCheck(long abilities) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(8, 8);
            value.set(ValueLayout.JAVA_LONG, 0, abilities);
            int result = FileCalls.ioctlPointer(fd.number(), KVM_X86_SETUP_MCE(), value);
            return result < 0 ? 0 : abilities;
        }
    }

    VcpuTransfer transfer() {
        return transfer;
    }

    boolean isCurrentThread() {
        return Thread.currentThread() == thread;
    }

    /** Whether the vCPU stands still. Under the machine lock. */
    boolean parked() {
        return parked;
    }

    /** Asks the vCPU to park soon. Under the machine lock. */
    void requestStop() {
        stopRequested = true;
        if (!parked) {
            kick();
        }
    }

    /** Has the present or next KVM_RUN return. Any thread. */
    void kick() {
        int id = threadId;
        if (id != 0) {
            Signals.send(id, Signals.KICK);
        }
    }

    /** Lets the vCPU run again. Under the machine lock; the caller signals the change. */
    void letGo() {
        stopRequested = false;
    }

    /** Ends the thread. Under the machine lock; join it afterwards without the lock. */
    void requestEnd() {
        ending = true;
        requestStop();
    }

    /** Whether the thread has left its loop. Under the machine lock. */
    boolean ended() {
        return ended;
    }

    /** Frees what the vCPU has in this process and the kernel, once ended. */
    void free() {
        transfer.close();
        mapping.close();
        fd.close();
    }

    int threadId() {
        return threadId;
    }

    // ---- the vCPU's thread

    private void loop() {
        // Elsewhere the signal must not end the process: a kick may come before the mask is set, or
        // reach another thread that got this one's number after its end.
        Signals.ignore(Signals.KICK);
        long mask = Signals.block(Signals.KICK);
        threadId = Signals.currentThread();
        acceptKicksInGuest(mask);
        park();
        int number = fd.number();
        RunGate gate = owner.gate();
        while (!ending) {
            int result;
            try {
                // An access to a device is complete only after the next KVM_RUN has begun, so a
                // vCPU that is to park makes one that ends at once.
                run.set(BYTE, IMMEDIATE_EXIT, (byte) (stopRequested ? 1 : 0));
                gate.enter(this);
                result = FileCalls.ioctl(number, RUN, 0);
                gate.leave(this);
                if (result >= 0) {
                    exited(run.get(INT, EXIT_REASON));
                    continue;
                }
            } catch (RuntimeException | Error t) {
                gate.leave(this);
                InternalFailure.log("the machine", t);
                fail(InternalFailure.text("the machine", t));
                continue;
            }
            if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
                Signals.take(Signals.KICK);
                if (stopRequested) {
                    park();
                }
            } else {
                fail("error: kvm run failed " + Errno.text(-result));
                park();
            }
        }
        MachineLock lock = owner.lock();
        lock.acquire();
        ended = true;
        threadId = 0;
        owner.parked();
        lock.release();
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

    private void park() {
        MachineLock lock = owner.lock();
        lock.acquire();
        try {
            parked = true;
            owner.parked();
            while (stopRequested && !ending) {
                owner.awaitChange();
            }
            parked = false;
        } finally {
            lock.release();
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
                && reason != EXIT_EOI) {
            // Those four only ask to be entered again.
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

    private void fail(String text) {
        stopSelf(Event.INTERNAL_ERROR, text);
    }

    /** Does not enter the guest again until run control says so. */
    private void stopSelf(Event event, String text) {
        stopRequested = true;
        owner.event(this, event, text);
    }

    /** Registers for a message to the user. Under the machine lock, vCPU parked and fetched. */
    String describe() {
        return RegisterDump.of(state);
    }
}
