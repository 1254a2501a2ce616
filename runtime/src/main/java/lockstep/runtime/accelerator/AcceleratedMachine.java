package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.cpu.TprPatching;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.Host;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.memory.MemoryAccelerator;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The core of a PC on an accelerator: memory, ports, interrupt controllers, timer and vCPUs. A board adds its devices
 * and maps {@link #ram}. Made, used and closed under the machine lock.
 */
public final class AcceleratedMachine implements CoreMachine, AutoCloseable {
    private final Host host;
    private final String type;
    private final long ramSize;
    private final Accelerator accelerator;
    private final RegionMap memory;
    private final RegionMap ports = RegionMap.ports();
    private final BusMemory dma;
    private final List<AnonymousRam> blocks = new ArrayList<>();

    /** Blocks that a migration under way may still read. */
    private final List<AnonymousRam> dropped = new ArrayList<>();

    private final BlockDirtyLog dirtyLog;
    private final RamBlock ram;
    private final IntervalTimer timer;
    private final Vcpus vcpus;
    private final CpuModel model;
    private final int physicalBits;
    private final List<Runnable> resets = new ArrayList<>();
    private final List<StateSection> sections = new ArrayList<>();

    /**
     * Makes the core; its vCPUs stand still in their state after reset.
     *
     * @param accelerator what runs it; closed with the machine
     * @param type the machine type's versioned name, such as {@code pc-i440fx-10.2}
     * @param ramSize bytes of RAM, whole pages
     * @param backend an object that brings the RAM, or null
     * @param cpus number of vCPUs
     * @param cpuModel text of {@code -cpu}, such as {@code qemu64,kvmclock=on}
     * @throws AcceleratorException the accelerator refuses; full sentence
     * @throws IllegalArgumentException for the processor model, in QEMU's words
     */
    public AcceleratedMachine(
            Host host,
            Accelerator accelerator,
            String type,
            long ramSize,
            @Nullable MemoryBackend backend,
            int cpus,
            String cpuModel)
            throws AcceleratorException {
        this.host = host;
        this.type = type;
        this.ramSize = ramSize;
        this.accelerator = accelerator;
        List<CpuidLeaf> supported = accelerator.supportedCpuid();
        List<String> problems = new ArrayList<>();
        try {
            model = CpuModel.parse(cpuModel, supported, accelerator.type().title(), problems);
        } finally {
            problems.forEach(host::warn);
        }
        physicalBits = model.physicalBits(supported);
        MemoryAccelerator slots = accelerator.memory();
        memory = RegionMap.memory(slots);
        dma = new BusMemory(memory);
        accelerator.map(memory, ports);
        dirtyLog = new BlockDirtyLog(() -> List.copyOf(blocks), slots);
        ram =
                backend == null
                        ? newBlock("pc.ram", ramSize, ramSize)
                        : added(new AnonymousRam(backend.blockName(), backend.mapping()));
        timer = accelerator.newTimer(host.clocks());
        vcpus = new Vcpus(host, memory, ports);
        host.lock().acquire();
        try {
            if (cpus > accelerator.maxVcpus()) {
                throw new AcceleratorException(
                        "Number of SMP cpus requested ("
                                + cpus
                                + ") exceeds the maximum cpus supported by "
                                + accelerator.type().title()
                                + " ("
                                + accelerator.maxVcpus()
                                + ")");
            }
            addVcpus(cpus, supported);
            registerSections();
            resets.add(this::resetChips);
            resetChips();
            vcpus.resetAll();
        } catch (AcceleratorException | RuntimeException e) {
            close();
            throw e;
        } finally {
            host.lock().release();
        }
    }

    private void addVcpus(int count, List<CpuidLeaf> supported) throws AcceleratorException {
        boolean newest = newerThan(type, 10, 1);
        for (int i = 0; i < count; i++) {
            VcpuModel one =
                    new VcpuModel(
                            i,
                            model.signature(supported),
                            model.leaves(i, count, supported),
                            physicalBits,
                            newest);
            vcpus.add(accelerator.newVcpu(one, vcpus));
        }
        vcpus.all().forEach(Vcpu::start);
        vcpus.pauseAll();
    }

    private void registerSections() {
        GuestTime time =
                host.clocks() instanceof VmClocks clocks && host.state().find("timer", 0) == null
                        ? new GuestTime(clocks, vcpus.all().getFirst().state)
                        : null;
        List<CpuSections> processors = new ArrayList<>();
        for (Vcpu v : vcpus.all()) {
            processors.add(new CpuSections(vcpus, v, time));
        }
        processors.forEach(p -> register(p.apic()));
        if (time != null) {
            register(time);
        }
        for (int i = 0; i < processors.size(); i++) {
            register(processors.get(i).common());
            register(processors.get(i).cpu());
            if (i == 0) {
                register(new TprPatching());
            }
        }
        vcpus.onSwitch(timer);
        if (model.kvmclock()) {
            accelerator
                    .newGuestClock(vcpus.all().getFirst(), dma)
                    .ifPresent(
                            clock -> {
                                vcpus.onSwitch(clock);
                                clock.onArrival(() -> clockArrived(time, processors));
                                register(clock);
                            });
        }
    }

    private static void clockArrived(@Nullable GuestTime time, List<CpuSections> processors)
            throws StateException {
        if (time != null) {
            time.kernelCounts();
            for (CpuSections p : processors) {
                p.store();
            }
        }
    }

    private void register(StateSection section) {
        host.state().register(section);
        sections.add(section);
    }

    @Override
    public ChipNames chipNames() {
        return accelerator.namesOfChips();
    }

    @Override
    public List<StateSection> interruptSections() {
        return accelerator.interrupts().sections();
    }

    @Override
    public int physicalBits() {
        return physicalBits;
    }

    private void resetChips() {
        try {
            accelerator.interrupts().reset();
            timer.reset();
        } catch (AcceleratorException e) {
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
    public EventLoop loop() {
        return host.mainLoop();
    }

    @Override
    public Clocks clocks() {
        return host.clocks();
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return host.find(type);
    }

    @Override
    public <T> T service(Class<T> type) {
        return host.service(type);
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

    @Override
    public void dropBlock(RamBlock block) {
        if (block instanceof AnonymousRam ram && blocks.remove(ram)) {
            dropped.add(ram);
        }
        freeDropped();
    }

    private void freeDropped() {
        if (!dirtyLog.recording()) {
            dropped.removeIf(AnonymousRam::tryClose);
        }
    }

    private AnonymousRam added(AnonymousRam block) {
        freeDropped();
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
        return accelerator.interrupts().gsi(n);
    }

    @Override
    public void signalMessage(long address, int data) {
        accelerator.interrupts().signalMsi(address, data);
    }

    @Override
    public StateRegistry state() {
        return host.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return vcpus;
    }

    @Override
    public IntervalTimer intervalTimer() {
        return timer;
    }

    @Override
    public void onReset(Runnable reset) {
        resets.add(reset);
    }

    @Override
    public void dropReset(Runnable reset) {
        resets.remove(reset);
    }

    @Override
    public void reset() {
        List.copyOf(resets).forEach(Runnable::run);
        vcpus.resetAll();
    }

    /** Ends the vCPUs, then frees slots, memory and the virtual machine. */
    @Override
    public void close() {
        vcpus.close();
        sections.forEach(host.state()::unregister);
        sections.clear();
        accelerator.close();
        dropped.forEach(AnonymousRam::close);
        blocks.forEach(AnonymousRam::close);
        blocks.clear();
    }
}
