package lockstep.runtime.command;

import lockstep.api.CpuInfoFast;
import lockstep.api.CpuInstanceProperties;
import lockstep.api.KvmInfo;
import lockstep.api.MachineCommands;
import lockstep.api.MachineInfo;
import lockstep.api.NameInfo;
import lockstep.api.QueryMachinesArguments;
import lockstep.api.SysEmuTarget;
import lockstep.api.TargetInfo;
import lockstep.api.UuidInfo;
import lockstep.runtime.VmmProcess;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.MachineType;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

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
    public TargetInfo queryTarget() {
        return new TargetInfo(SysEmuTarget.X86_64);
    }

    @Override
    public KvmInfo queryKvm() {
        boolean present = java.nio.file.Files.exists(java.nio.file.Path.of("/dev/kvm"));
        return new KvmInfo(kvmEnabled(vmm), present);
    }

    static boolean kvmEnabled(VmmProcess vmm) {
        return vmm.machine() != null
                || (vmm.settings().accelerators().stream().anyMatch(a -> a.startsWith("kvm"))
                        && java.nio.file.Files.isWritable(java.nio.file.Path.of("/dev/kvm")));
    }

    @Override
    public List<MachineInfo> queryMachines(QueryMachinesArguments arguments) {
        List<MachineInfo> list = new ArrayList<>();
        for (MachineType type : vmm.machineTypes()) {
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
    public List<CpuInfoFast> queryCpusFast() {
        Machine machine = vmm.machine();
        List<CpuInfoFast> list = new ArrayList<>();
        if (machine != null) {
            List<Integer> threads = machine.vcpus().threads();
            for (int i = 0; i < threads.size(); i++) {
                list.add(
                        CpuInfoFast.builder()
                                .cpuIndex(i)
                                .qomPath("/machine/unattached/device[" + i + "]")
                                .threadId(threads.get(i))
                                .props(
                                        CpuInstanceProperties.builder()
                                                .socketId((long) i)
                                                .coreId(0L)
                                                .threadId(0L)
                                                .build())
                                .target(SysEmuTarget.X86_64)
                                .build());
            }
        }
        return list;
    }
}
