package lockstep.devices.pc;

import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** One version of the PC board as the user names it. */
record PcType(PcVersion version) implements MachineType {
    private static final int MAX_CPUS = 255;

    /** What {@code -machine} may say; most of it only has its default here and is accepted as such. */
    private static final Set<String> PROPERTIES =
            Set.of(
                    "accel",
                    "acpi",
                    "dump-guest-core",
                    "fd-bootchk",
                    "firmware",
                    "graphics",
                    "hpet",
                    "i8042",
                    "kernel-irqchip",
                    "mem-merge",
                    "memory-backend",
                    "pcspk-audiodev",
                    "pic",
                    "pit",
                    "smbus",
                    "smm",
                    "suppress-vmdesc",
                    "type",
                    "usb",
                    "vmport");

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
    public String memoryId() {
        return "pc.ram";
    }

    @Override
    public int maxCpus() {
        return MAX_CPUS;
    }

    @Override
    public Machine create(MachineConfig config, Vmm vmm) throws DeviceException {
        AcceleratorType accelerator = accelerator(config, vmm);
        checkProperties(config.properties());
        MemoryBackend backend = memoryBackend(config, vmm);
        String model = config.cpuModel() == null ? CpuModel.DEFAULT : config.cpuModel();
        try {
            CoreMachine core =
                    new AcceleratedMachine(
                            vmm,
                            accelerator,
                            name(),
                            config.ramSize(),
                            backend,
                            config.cpus(),
                            model);
            return new PcMachine(core, vmm, version, config);
        } catch (AcceleratorException | GuestMemoryException | IllegalArgumentException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static AcceleratorType accelerator(MachineConfig config, Vmm vmm)
            throws DeviceException {
        AcceleratorType chosen = null;
        for (String name : config.accelerators()) {
            AcceleratorType offered =
                    vmm.acceleratorTypes().stream()
                            .filter(t -> t.name().equals(name))
                            .findFirst()
                            .orElseThrow(() -> new DeviceException("invalid accelerator " + name));
            chosen = chosen == null ? offered : chosen;
        }
        if (chosen == null) {
            throw new DeviceException("no accelerator selected");
        }
        return chosen;
    }

    private static @Nullable MemoryBackend memoryBackend(MachineConfig config, Vmm vmm) {
        String id = config.properties().get("memory-backend");
        return id == null ? null : vmm.objects().object(id, MemoryBackend.class);
    }

    private void checkProperties(Map<String, String> properties) throws DeviceException {
        for (String key : properties.keySet()) {
            if (!PROPERTIES.contains(key)) {
                throw new DeviceException(
                        "Property '" + name() + "-machine." + key + "' not found");
            }
        }
    }
}
