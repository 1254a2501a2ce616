package lockstep.devices.pc;

import lockstep.api.MachineOptions;
import lockstep.api.OnOffAuto;
import lockstep.api.PcMachineOptions;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** One version of the PC board as the user names it. */
record PcType(PcVersion version) implements MachineType<PcMachineOptions> {
    private static final int MAX_CPUS = 255;

    static final RecordType<PcMachineOptions> OPTIONS =
            new RecordType<PcMachineOptions>(
                            PcMachineOptions::read,
                            PcMachineOptions::write,
                            PcMachineOptions.builder()
                                    .acpi(OnOffAuto.AUTO)
                                    .pic(OnOffAuto.AUTO)
                                    .pit(OnOffAuto.AUTO)
                                    .smm(OnOffAuto.AUTO)
                                    .firmware("bios-256k.bin")
                                    .vmport(OnOffAuto.AUTO)
                                    .fdBootchk(true)
                                    .nvdimm(false)
                                    .hpet(true)
                                    .i8042(true)
                                    .sata(true)
                                    .smbus(true)
                                    .defaultBusBypassIommu(false)
                                    .xOemId("BOCHS ")
                                    .xOemTableId("BXPC    ")
                                    .maxFwSize(8L << 20)
                                    .maxRamBelow4g(0xe000_0000L)
                                    .build())
                    .over(MachineProperties.COMMON.usual(), MachineOptions::write);

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
    public RecordType<PcMachineOptions> options() {
        return OPTIONS;
    }

    @Override
    public Machine create(MachineConfig config, PcMachineOptions options, Vmm vmm)
            throws DeviceException {
        Accelerator accelerator = vmm.accelerator();
        if (accelerator == null) {
            throw new DeviceException("no accelerator selected");
        }
        checkOptions(options);
        MemoryBackend backend = memoryBackend(options, vmm);
        String model = config.cpuModel() == null ? CpuModel.DEFAULT : config.cpuModel();
        try {
            AcceleratedMachine core =
                    new AcceleratedMachine(
                            vmm,
                            accelerator,
                            name(),
                            config.ramSize(),
                            backend,
                            config.cpus(),
                            model);
            try {
                return PcMachine.build(core, vmm, config, options);
            } catch (DeviceException | RuntimeException e) {
                core.close();
                throw e;
            }
        } catch (AcceleratorException | GuestMemoryException | IllegalArgumentException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static @Nullable MemoryBackend memoryBackend(PcMachineOptions options, Vmm vmm) {
        String id = options.memoryBackend();
        return id == null || id.isEmpty() ? null : vmm.objects().object(id, MemoryBackend.class);
    }

    /** What this board does not have is refused, so that nobody relies on it. */
    static void checkOptions(PcMachineOptions o) throws DeviceException {
        refuse(given(o.dtb()), "dtb", "a PC has no device tree");
        refuse(given(o.dumpdtb()), "dumpdtb", "a PC has no device tree");
        refuse(given(o.dtCompatible()), "dt-compatible", "a PC has no device tree");
        refuse(o.acpi() == OnOffAuto.OFF, "acpi", "the board always has its ACPI tables");
        refuse(o.pic() == OnOffAuto.OFF, "pic", "the board always has its 8259");
        refuse(o.pit() == OnOffAuto.OFF, "pit", "the board always has its 8254");
        refuse(o.smm() == OnOffAuto.ON, "smm", "there is no system management mode");
        refuse(o.vmport() == OnOffAuto.ON, "vmport", "there is no VMware backdoor port");
        refuse(isOff(o.i8042()), "i8042", "the board always has its keyboard controller");
        refuse(isOff(o.smbus()), "smbus", "the board always has its SMBus");
        refuse(
                Boolean.TRUE.equals(o.suppressVmdesc()),
                "suppress-vmdesc",
                "streams always end with their description");
        PcMachineOptions usual = OPTIONS.usual();
        refuse(
                !Objects.equals(o.maxRamBelow4g(), usual.maxRamBelow4g()),
                "max-ram-below-4g",
                "the split is at 3 GiB, or all below 3.5 GiB");
        refuse(
                !Objects.equals(o.maxFwSize(), usual.maxFwSize()),
                "max-fw-size",
                "the limit is fixed");
        boolean names =
                Objects.equals(o.xOemId(), usual.xOemId())
                        && Objects.equals(o.xOemTableId(), usual.xOemTableId());
        refuse(!names, "x-oem-id", "the ACPI tables have names of their own");
    }

    private static boolean given(@Nullable String text) {
        return text != null && !text.isEmpty();
    }

    private static boolean isOff(@Nullable Boolean flag) {
        return Boolean.FALSE.equals(flag);
    }

    private static void refuse(boolean wanted, String option, String reason)
            throws DeviceException {
        if (wanted) {
            throw new DeviceException(
                    "Machine option '" + option + "' is not supported like that: " + reason);
        }
    }
}
