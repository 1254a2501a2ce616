package lockstep.runtime;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.CpuRegisters;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.Collections;
import java.util.List;
import java.util.Optional;

/** A board without an accelerator: RAM at 0, a piece of ROM below 4 GiB, one vCPU that stands still. */
final class TestMachine implements Machine {
    private final Vmm vmm;
    private final RegionMap memory = RegionMap.memory(null);
    private final RegionMap ports = RegionMap.ports();
    private final BusMemory dma = new BusMemory(memory);
    private final AnonymousRam ram;
    private final AnonymousRam rom;
    CpuRegisters registers =
            new CpuRegisters(
                    Collections.nCopies(16, 0L),
                    0xfff0,
                    2,
                    List.of(
                            new CpuRegisters.Segment(0, 0, 0xffff),
                            new CpuRegisters.Segment(0xf000, 0xffff0000L, 0xffff),
                            new CpuRegisters.Segment(0, 0, 0xffff),
                            new CpuRegisters.Segment(0, 0, 0xffff),
                            new CpuRegisters.Segment(0, 0, 0xffff),
                            new CpuRegisters.Segment(0, 0, 0xffff)),
                    0x60000010,
                    0,
                    0,
                    0,
                    0);

    TestMachine(Vmm vmm, long size) throws LinuxException {
        this.vmm = vmm;
        ram = new AnonymousRam("pc.ram", size, size);
        rom = new AnonymousRam("pc.bios", 0x1000, 0x1000);
        memory.mapRam("pc.ram", 0, size, ram, 0, 0);
        memory.mapRam("pc.bios", 0xfffff000L, 0x1000, rom, 0, 0).readOnly(true);
    }

    /** Puts bytes into the ROM. */
    void rom(int offset, byte[] bytes) {
        for (int i = 0; i < bytes.length; i++) {
            rom.memory().set(java.lang.foreign.ValueLayout.JAVA_BYTE, offset + i, bytes[i]);
        }
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
        return dma;
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
        throw new UnsupportedOperationException();
    }

    @Override
    public Irq gsi(int n) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void signalMessage(long address, int data) {}

    @Override
    public StateRegistry state() {
        return vmm.state();
    }

    @Override
    public VcpuGroup vcpus() {
        return new VcpuGroup() {
            @Override
            public List<Integer> threads() {
                return List.of(1);
            }

            @Override
            public void pauseAll() {}

            @Override
            public void resumeAll() {}

            @Override
            public void resetAll() {}

            @Override
            public CpuRegisters registers(int index) {
                return registers;
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public void onReset(Runnable reset) {}

    @Override
    public void dropReset(Runnable reset) {}

    @Override
    public void dropBlock(RamBlock block) {}

    @Override
    public void reset() {}
}
