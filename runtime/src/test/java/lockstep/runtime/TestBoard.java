package lockstep.runtime;

import lockstep.api.MachineOptions;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.List;
import java.util.Optional;

/** A board of RAM alone, {@code -machine test}: what can migrate where there is no KVM. */
final class TestBoard implements Machine, VcpuGroup {
    static final MachineType<MachineOptions> TYPE =
            new MachineType<>() {
                @Override
                public String memoryId() {
                    return "ram";
                }

                @Override
                public String name() {
                    return "test";
                }

                @Override
                public List<String> aliases() {
                    return List.of();
                }

                @Override
                public String description() {
                    return "RAM and nothing else";
                }

                @Override
                public RecordType<MachineOptions> options() {
                    return MachineProperties.COMMON;
                }

                @Override
                public Machine create(MachineConfig config, MachineOptions options, Vmm vmm)
                        throws DeviceException {
                    try {
                        return new TestBoard(vmm, config.ramSize());
                    } catch (LinuxException e) {
                        throw new DeviceException(e.getMessage());
                    }
                }
            };

    private final Vmm vmm;
    private final AnonymousRam ram;
    private final BlockDirtyLog log;
    private final RegionMap memory = RegionMap.memory(null);
    private final RegionMap ports = RegionMap.ports();

    private TestBoard(Vmm vmm, long size) throws LinuxException {
        this.vmm = vmm;
        ram = new AnonymousRam("pc.ram", size, size);
        log = new BlockDirtyLog(() -> List.of(ram), null);
        memory.mapRam("ram", 0, size, ram, 0, 0);
    }

    @Override
    public EventLoop loop() {
        return vmm.mainLoop();
    }

    @Override
    public Clocks clocks() {
        return vmm.clocks();
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return vmm.find(type);
    }

    @Override
    public <T> T service(Class<T> type) {
        return vmm.service(type);
    }

    @Override
    public String type() {
        return "test";
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
        return new BusMemory(memory);
    }

    @Override
    public long ramSize() {
        return ram.usedLength();
    }

    @Override
    public RamBlock ram() {
        return ram;
    }

    @Override
    public RamBlock newBlock(String name, long length, long maxLength) {
        throw new UnsupportedOperationException();
    }

    @Override
    public List<RamBlock> blocks() {
        return List.of(ram);
    }

    @Override
    public DirtyLog dirtyLog() {
        return log;
    }

    @Override
    public Irq gsi(int n) {
        return Irq.NONE;
    }

    @Override
    public void signalMessage(long address, int data) {}

    @Override
    public StateRegistry state() {
        return vmm.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return this;
    }

    @Override
    public void onReset(Runnable reset) {}

    @Override
    public void dropReset(Runnable reset) {}

    @Override
    public void dropBlock(RamBlock block) {}

    @Override
    public void reset() {}

    @Override
    public void pauseAll() {}

    @Override
    public void resumeAll() {}

    @Override
    public void resetAll() {}

    @Override
    public void close() {}
}
