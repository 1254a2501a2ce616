package lockstep.devices.pc;

import lockstep.runtime.Vmm;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.kvm.KvmException;
import lockstep.runtime.kvm.KvmMachine;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;

import java.util.List;

/** One version of the PC board as the user names it. */
record PcType(PcVersion version) implements MachineType {
    private static final int MAX_CPUS = 255;

    @Override
    public String name() {
        return version.name();
    }

    @Override
    public List<String> aliases() {
        return version.isDefault() ? List.of("pc") : List.of();
    }

    @Override
    public String description() {
        return "Standard PC (i440FX + PIIX, 1996)";
    }

    @Override
    public boolean isDefault() {
        return version.isDefault();
    }

    @Override
    public int maxCpus() {
        return MAX_CPUS;
    }

    @Override
    public Machine create(MachineConfig config, Vmm vmm) throws DeviceException {
        for (String accelerator : config.accelerators()) {
            if (!accelerator.equals("kvm")) {
                throw new DeviceException("invalid accelerator " + accelerator);
            }
        }
        String model = config.cpuModel() == null ? CpuModel.DEFAULT : config.cpuModel();
        try {
            KvmMachine kvm = new KvmMachine(vmm, name(), config.ramSize(), config.cpus(), model);
            return new PcMachine(new KvmCore(kvm), version, config);
        } catch (KvmException | IllegalArgumentException e) {
            throw new DeviceException(e.getMessage(), e);
        }
    }
}
