package lockstep.runtime.command;

import lockstep.api.Accelerator;
import lockstep.api.AcceleratorInfo;
import lockstep.api.BalloonArguments;
import lockstep.api.BalloonInfo;
import lockstep.api.CpuDefinitionInfo;
import lockstep.api.CpuInfoFast;
import lockstep.api.CpuInstanceProperties;
import lockstep.api.CpuModelExpansionInfo;
import lockstep.api.CurrentMachineParams;
import lockstep.api.GuidInfo;
import lockstep.api.HotpluggableCPU;
import lockstep.api.KvmInfo;
import lockstep.api.MachineCommands;
import lockstep.api.MachineInfo;
import lockstep.api.Memdev;
import lockstep.api.MemoryDeviceInfo;
import lockstep.api.MemoryInfo;
import lockstep.api.MemsaveArguments;
import lockstep.api.NameInfo;
import lockstep.api.PmemsaveArguments;
import lockstep.api.QemuTargetInfo;
import lockstep.api.QueryCpuModelExpansionArguments;
import lockstep.api.QueryMachinesArguments;
import lockstep.api.SysEmuTarget;
import lockstep.api.UuidInfo;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.machine.CpuRegisters;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.MachineType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;

/** machine.json. */
final class MachineInfoCommands implements MachineCommands {
    private final VmmProcess vmm;

    MachineInfoCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    @Override
    public NameInfo queryName() {
        return new NameInfo(vmm.name());
    }

    @Override
    public UuidInfo queryUuid() {
        byte[] uuid = vmm.settings().uuid();
        return new UuidInfo(text(uuid == null ? new byte[16] : uuid));
    }

    static String text(byte[] uuid) {
        String hex = HexFormat.of().formatHex(uuid);
        return hex.substring(0, 8)
                + "-"
                + hex.substring(8, 12)
                + "-"
                + hex.substring(12, 16)
                + "-"
                + hex.substring(16, 20)
                + "-"
                + hex.substring(20);
    }

    @Override
    public QemuTargetInfo queryTarget() {
        return new QemuTargetInfo(SysEmuTarget.X86_64);
    }

    @Override
    public KvmInfo queryKvm() {
        boolean present = java.nio.file.Files.exists(java.nio.file.Path.of("/dev/kvm"));
        return new KvmInfo(kvmEnabled(vmm), present);
    }

    static boolean kvmEnabled(VmmProcess vmm) {
        var accelerator = vmm.accelerator();
        return accelerator != null && accelerator.type().name().equals("kvm");
    }

    /** What an accelerator is called where the names are a fixed list. */
    private static @Nullable Accelerator known(AcceleratorType type) {
        for (Accelerator a : Accelerator.values()) {
            if (type.name().equals(a.wireName()) || type.aliases().contains(a.wireName())) {
                return a;
            }
        }
        return null;
    }

    @Override
    public List<MachineInfo> queryMachines(QueryMachinesArguments arguments) {
        List<MachineInfo> list = new ArrayList<>();
        for (MachineType<?> type : vmm.machineTypes()) {
            list.add(
                    MachineInfo.builder()
                            .name(type.name())
                            .alias(type.aliases().isEmpty() ? null : type.aliases().getFirst())
                            .isDefault(type.isDefault() ? Boolean.TRUE : null)
                            .cpuMax(type.maxCpus())
                            .hotpluggableCpus(false)
                            .numaMemSupported(false)
                            .deprecated(false)
                            .defaultCpuType("qemu64-x86_64-cpu")
                            .defaultRamId("pc.ram")
                            .acpi(true)
                            .build());
        }
        list.add(
                MachineInfo.builder()
                        .name("none")
                        .cpuMax(1)
                        .hotpluggableCpus(false)
                        .numaMemSupported(false)
                        .deprecated(false)
                        .defaultRamId("ram")
                        .acpi(false)
                        .build());
        return list;
    }

    @Override
    public AcceleratorInfo queryAccelerators() {
        var accelerator = vmm.accelerator();
        Accelerator enabled = accelerator == null ? null : known(accelerator.type());
        List<Accelerator> present =
                vmm.acceleratorTypes().stream()
                        .map(MachineInfoCommands::known)
                        .filter(Objects::nonNull)
                        .toList();
        return new AcceleratorInfo(enabled == null ? Accelerator.QTEST : enabled, present);
    }

    private List<Integer> vcpuThreads() {
        Machine machine = vmm.machine();
        return machine == null ? List.of() : machine.vcpus().threads();
    }

    /** The type and, by index, the paths of the processors, which are the first devices of a board. */
    private String vcpuType() {
        return CpuModel.typeName(vmm.settings().cpuModel());
    }

    private static String vcpuPath(int index) {
        return "/machine/unattached/device[" + index + "]";
    }

    /** All processors are cores of one socket, as CPUID tells the guest. */
    private static CpuInstanceProperties place(int index) {
        return CpuInstanceProperties.builder()
                .socketId(0L)
                .coreId((long) index)
                .threadId(0L)
                .build();
    }

    @Override
    public List<CpuInfoFast> queryCpusFast() {
        List<Integer> threads = vcpuThreads();
        List<CpuInfoFast> list = new ArrayList<>();
        for (int i = 0; i < threads.size(); i++) {
            list.add(new CpuInfoFast.X8664(i, vcpuType(), vcpuPath(i), threads.get(i), place(i)));
        }
        return list;
    }

    @Override
    public List<HotpluggableCPU> queryHotpluggableCpus() throws QmpException {
        int count = vcpuThreads().size();
        if (count == 0) {
            throw new QmpException("machine does not support hot-plugging CPUs");
        }
        List<HotpluggableCPU> list = new ArrayList<>();
        for (int i = count - 1; i >= 0; i--) {
            list.add(new HotpluggableCPU(vcpuType(), 1, place(i), vcpuPath(i)));
        }
        return list;
    }

    @Override
    public List<CpuDefinitionInfo> queryCpuDefinitions() {
        return CpuModels.definitions(vmm);
    }

    @Override
    public CpuModelExpansionInfo queryCpuModelExpansion(QueryCpuModelExpansionArguments arguments)
            throws QmpException {
        return CpuModels.expand(vmm, arguments.type(), arguments.model());
    }

    @Override
    public List<Memdev> queryMemdev() {
        List<Memdev> list = new ArrayList<>();
        for (String id : vmm.objects().ids(MemoryObject.class)) {
            MemoryObject ram = vmm.objects().object(id, MemoryObject.class);
            if (ram != null) {
                list.add(ram.describe());
            }
        }
        return list;
    }

    @Override
    public List<MemoryDeviceInfo> queryMemoryDevices() {
        return List.of();
    }

    @Override
    public MemoryInfo queryMemorySizeSummary() {
        Machine machine = vmm.machine();
        return new MemoryInfo(machine == null ? vmm.settings().ramSize() : machine.ramSize(), 0L);
    }

    private static QmpException noBalloon() {
        return new QmpException(
                ErrorClass.DEVICE_NOT_ACTIVE, "No balloon device has been activated");
    }

    @Override
    public void balloon(BalloonArguments arguments) throws QmpException {
        throw noBalloon();
    }

    @Override
    public BalloonInfo queryBalloon() throws QmpException {
        throw noBalloon();
    }

    @Override
    public void pmemsave(PmemsaveArguments arguments) throws QmpException {
        MemoryFile.write(
                MemoryCommands.guest(vmm),
                null,
                arguments.val(),
                arguments.size(),
                arguments.filename());
    }

    @Override
    public void memsave(MemsaveArguments arguments) throws QmpException {
        Machine machine = vmm.machine();
        long index = arguments.cpuIndex() == null ? 0 : arguments.cpuIndex();
        CpuRegisters registers =
                machine == null || index != (int) index
                        ? null
                        : machine.vcpus().registers((int) index);
        if (machine == null || registers == null) {
            throw new QmpException("Parameter 'cpu-index' expects a CPU number");
        }
        MemoryFile.write(
                machine,
                MemoryCommands.tables(machine, registers),
                arguments.val(),
                arguments.size(),
                arguments.filename());
    }

    @Override
    public CurrentMachineParams queryCurrentMachine() {
        return new CurrentMachineParams(vmm.run().canSleep());
    }

    @Override
    public void injectNmi() throws QmpException {
        Machine machine = vmm.machine();
        if (machine == null) {
            throw new QmpException("machine does not provide NMIs");
        }
        machine.vcpus().injectNmi();
    }

    @Override
    public GuidInfo queryVmGenerationId() throws QmpException {
        throw new QmpException("VM Generation ID device not found");
    }
}
