package lockstep.runtime.testmachine;

import lockstep.api.MachineOptions;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.qtest.QtestType;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;
import lockstep.runtime.spi.Vmm;

import java.util.List;
import java.util.Map;

/** A board of RAM alone for a whole process, {@code -machine test}: what can migrate where there is no KVM. */
public final class StillBoard implements MachineType<MachineOptions> {
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
    public String memoryId() {
        return "ram";
    }

    @Override
    public RecordType<MachineOptions> options() {
        return MachineProperties.COMMON;
    }

    @Override
    public Machine create(MachineConfig config, MachineOptions options, Vmm vmm)
            throws DeviceException {
        try {
            AcceleratedMachine machine =
                    new AcceleratedMachine(
                            vmm,
                            new QtestType().open(Map.of(), vmm.mainLoop()),
                            name(),
                            config.ramSize(),
                            null,
                            1,
                            "qemu64,kvm=off");
            machine.memory().mapRam("ram", 0, config.ramSize(), machine.ram(), 0, 0);
            return machine;
        } catch (AcceleratorException e) {
            throw new DeviceException(e.getMessage());
        }
    }
}
