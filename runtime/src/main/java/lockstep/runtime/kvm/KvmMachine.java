package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.KVM_CAP_MAX_VCPUS;

import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.IntervalTimer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The core of a PC on KVM: memory, ports, interrupt controllers, timer and vCPUs. A board adds its devices
 * and maps {@link #ram}. Made, used and closed under the machine lock.
 */
public final class KvmMachine implements Machine, AutoCloseable {
    // Ten banks, MCG_CTL present, software error recovery (Intel SDM volume 3, section 16.3.1).
    private static final long MACHINE_CHECK = 10 | 1 << 8 | 1 << 24;

    private final Vmm vmm;
    private final String type;
    private final long ramSize;
    private final Kvm kvm;
    private final KvmVm vm;
    private final KvmSlots slots;
    private final RegionMap memory;
    private final RegionMap ports = RegionMap.ports();
    private final BusMemory dma;
    private final List<AnonymousRam> blocks = new ArrayList<>();
    private final BlockDirtyLog dirtyLog;
    private final RamBlock ram;
    private final IrqChips chips;
    private final KvmTimer timer;
    private final KvmVcpus vcpus;
    private final CpuModel model;
    private final List<Runnable> resets = new ArrayList<>();

    /**
     * Makes the core; its vCPUs stand still in their state after reset.
     *
     * @param type the machine type's versioned name, such as {@code pc-i440fx-10.2}
     * @param ramSize bytes of RAM, whole pages
     * @param cpus number of vCPUs
     * @param cpuModel text of {@code -cpu}, such as {@code qemu64,kvmclock=on}
     * @throws KvmException KVM is not there or refuses; full sentence
     * @throws IllegalArgumentException for the processor model, in QEMU's words
     */
    public KvmMachine(Vmm vmm, String type, long ramSize, int cpus, String cpuModel)
            throws KvmException {
        this(vmm, type, ramSize, null, cpus, cpuModel);
    }

    /** The same with RAM that an object brings, or null. */
    public KvmMachine(
            Vmm vmm,
            String type,
            long ramSize,
            @Nullable MemoryBackend backend,
            int cpus,
            String cpuModel)
            throws KvmException {
        this.vmm = vmm;
        this.type = type;
        this.ramSize = ramSize;
        kvm = Kvm.open();
        List<CpuidLeaf> supported = kvm.supportedCpuid();
        List<String> problems = new ArrayList<>();
        model = CpuModel.parse(cpuModel, supported, problems);
        problems.forEach(vmm::warn);
        vm = new KvmVm(kvm);
        RunGate gate = new RunGate();
        slots = new KvmSlots(vm, gate);
        memory = RegionMap.memory(slots);
        dma = new BusMemory(memory);
        dirtyLog = new BlockDirtyLog(() -> List.copyOf(blocks), slots);
        ram =
                backend == null
                        ? newBlock("pc.ram", ramSize, ramSize)
                        : added(new AnonymousRam(backend.blockName(), backend.mapping()));
        chips = new IrqChips(vm);
        timer = new KvmTimer(vm, vmm.clocks());
        vcpus = new KvmVcpus(vmm, memory, ports, gate);
        vmm.lock().acquire();
        try {
            addVcpus(cpus, supported);
            registerSections();
            resets.add(this::resetChips);
            resetChips();
            vcpus.resetAll();
        } finally {
            vmm.lock().release();
        }
    }

    private void addVcpus(int count, List<CpuidLeaf> supported) throws KvmException {
        int most = Math.max(kvm.extension(KVM_CAP_MAX_VCPUS()), 1);
        if (count > most) {
            throw new KvmException(
                    "Number of SMP cpus requested ("
                            + count
                            + ") exceeds the maximum cpus"
                            + " supported by KVM ("
                            + most
                            + ")");
        }
        long abilities = kvm.machineCheckAbilities();
        long machineCheck = MACHINE_CHECK & (abilities | 0xff);
        boolean newest = newerThan(type, 10, 1);
        for (int i = 0; i < count; i++) {
            KvmVcpu v =
                    new KvmVcpu(
                            vm,
                            i,
                            model.signature(supported),
                            model.leaves(i, count, supported),
                            supported,
                            vcpus);
            v.state.mcgCap = v.setUpMachineCheck(machineCheck);
            v.state.sendsErrorCode = newest;
            v.state.physicalBits = model.physicalBits(supported);
            vcpus.add(v);
        }
        vcpus.all().forEach(KvmVcpu::start);
        vcpus.pauseAll();
    }

    private void registerSections() {
        StateRegistry state = vmm.state();
        for (KvmVcpu v : vcpus.all()) {
            state.register(CpuSections.apic(vcpus, v));
        }
        if (vmm.clocks() instanceof VmClocks clocks && state.find("timer", 0) == null) {
            state.register(new GuestTime(clocks));
        }
        for (KvmVcpu v : vcpus.all()) {
            state.register(CpuSections.common(vcpus, v));
            state.register(CpuSections.cpu(vcpus, v));
            if (v.index == 0) {
                state.register(new TprPatching());
            }
        }
        vcpus.onSwitch(timer);
        if (model.kvmclock()) {
            GuestClock clock = new GuestClock(vm, vcpus.all().getFirst().state, dma);
            vcpus.onSwitch(clock);
            state.register(clock);
        }
    }

    /** Registers the sections of the two PICs and the IOAPIC, at their place among the board's. */
    public void registerInterruptControllers() {
        vmm.state().register(chips.pic(0));
        vmm.state().register(chips.pic(1));
        vmm.state().register(chips.ioapic());
    }

    /** Registers the section of the interval timer likewise. */
    public void registerIntervalTimer() {
        vmm.state().register(timer);
    }

    /** Bits of the guest's physical addresses. */
    public int physicalBits() {
        return vcpus.all().getFirst().state.physicalBits;
    }

    /** Takes interrupt 0 from the interval timer, for the HPET, or gives it back. */
    public void timerReplaced(boolean replaced) {
        timer.replaced(replaced);
    }

    private void resetChips() {
        try {
            chips.reset();
            timer.reset();
        } catch (KvmException e) {
            throw new IllegalStateException(e.getMessage(), e);
        }
    }

    /** Whether a versioned type name is of a later version than {@code major.minor}. */
    static boolean newerThan(String type, int major, int minor) {
        String[] version = type.substring(type.lastIndexOf('-') + 1).split("\\.");
        try {
            int m = Integer.parseInt(version[0]);
            return m > major
                    || m == major && version.length > 1 && Integer.parseInt(version[1]) > minor;
        } catch (NumberFormatException e) {
            return true; // an unversioned name is the newest
        }
    }

    @Override
    public Vmm vmm() {
        return vmm;
    }

    @Override
    public String type() {
        return type;
    }

    @Override
    public AddressSpace memory() {
        return memory;
    }

    @Override
    public AddressSpace ports() {
        return ports;
    }

    @Override
    public GuestMemory dma() {
        return dma;
    }

    @Override
    public long ramSize() {
        return ramSize;
    }

    @Override
    public RamBlock ram() {
        return ram;
    }

    @Override
    public RamBlock newBlock(String name, long length, long maxLength) {
        for (AnonymousRam b : blocks) {
            if (b.name().equals(name)) {
                throw new IllegalArgumentException("RAM block " + name + " exists already");
            }
        }
        AnonymousRam block;
        try {
            if (maxLength < 0) {
                throw new LinuxException("cannot set up guest memory '" + name + "'", Errno.ENOMEM);
            }
            block = new AnonymousRam(name, length, maxLength);
        } catch (LinuxException e) {
            throw new GuestMemoryException(e.getMessage());
        }
        return added(block);
    }

    private AnonymousRam added(AnonymousRam block) {
        if (block.maxLength() >= 2 << 20) {
            block.mapping().preferHugePages();
        }
        blocks.add(block);
        blocks.sort(Comparator.comparingLong(AnonymousRam::maxLength).reversed());
        dirtyLog.added(block);
        return block;
    }

    @Override
    public List<RamBlock> blocks() {
        return List.copyOf(blocks);
    }

    @Override
    public DirtyLog dirtyLog() {
        return dirtyLog;
    }

    @Override
    public Irq gsi(int n) {
        return vm.gsi(n);
    }

    @Override
    public StateRegistry state() {
        return vmm.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return vcpus;
    }

    /** The timer's pins, for the speaker and port 0x61. */
    public IntervalTimer intervalTimer() {
        return timer;
    }

    /** The processor model. */
    public CpuModel cpuModel() {
        return model;
    }

    /** Delivers a message-signalled interrupt, from a device's or the HPET's address and data. */
    public boolean signalMsi(long address, int data) {
        return vm.signalMsi(address, data);
    }

    @Override
    public void onReset(Runnable reset) {
        resets.add(reset);
    }

    @Override
    public void reset() {
        resets.forEach(Runnable::run);
        vcpus.resetAll();
    }

    /** Ends the vCPUs, then frees slots, memory and the virtual machine. */
    @Override
    public void close() {
        vcpus.close();
        slots.close();
        chips.close();
        timer.close();
        vm.close();
        kvm.close();
        blocks.forEach(AnonymousRam::close);
        blocks.clear();
    }
}
