package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.kvm_cpuid2;
import lockstep.linux.abi.kvm_cpuid_entry2;
import lockstep.linux.abi.kvm_msr_list;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileCalls;
import lockstep.runtime.linux.FileIo;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The kernel's virtualisation module: what it can do, and the way to a virtual machine. Any thread. */
final class Kvm implements AutoCloseable {
    /** The only version of the interface there is (KVM_GET_API_VERSION). */
    private static final int API_VERSION = 12;

    private static final int MAXIMUM_CPUID_LEAVES = 1024;

    private final Fd device;
    private final int runSize;

    private Kvm(Fd device, int runSize) {
        this.device = device;
        this.runSize = runSize;
    }

    /**
     * Opens {@code /dev/kvm}.
     *
     * @throws KvmException {@code Could not access KVM kernel module: No such file or directory} and the
     *     like, or when the kernel lacks something that is needed
     */
    public static Kvm open() throws KvmException {
        int fd = FileIo.tryOpen("/dev/kvm", O_RDWR(), 0);
        if (fd < 0) {
            throw new KvmException("Could not access KVM kernel module: " + Errno.text(-fd));
        }
        Fd device = new Fd(fd);
        try {
            int version = FileCalls.ioctl(fd, KVM_GET_API_VERSION(), 0);
            if (version < 0) {
                throw new KvmException(
                        "KVM: /dev/kvm is not the KVM device: " + Errno.text(-version));
            }
            if (version != API_VERSION) {
                throw new KvmException(
                        version < API_VERSION
                                ? "kvm version too old"
                                : "kvm version not supported");
            }
            int size =
                    KvmException.check(
                            FileCalls.ioctl(fd, KVM_GET_VCPU_MMAP_SIZE(), 0),
                            "KVM_GET_VCPU_MMAP_SIZE");
            Kvm kvm = new Kvm(device, size);
            kvm.require(KVM_CAP_USER_MEMORY(), "KVM_CAP_USER_MEMORY");
            kvm.require(KVM_CAP_IRQCHIP(), "KVM_CAP_IRQCHIP");
            kvm.require(KVM_CAP_PIT2(), "KVM_CAP_PIT2");
            kvm.require(KVM_CAP_PIT_STATE2(), "KVM_CAP_PIT_STATE2");
            kvm.require(KVM_CAP_EXT_CPUID(), "KVM_CAP_EXT_CPUID");
            kvm.require(KVM_CAP_MP_STATE(), "KVM_CAP_MP_STATE");
            kvm.require(KVM_CAP_VCPU_EVENTS(), "KVM_CAP_VCPU_EVENTS");
            kvm.require(KVM_CAP_IMMEDIATE_EXIT(), "KVM_CAP_IMMEDIATE_EXIT");
            return kvm;
        } catch (KvmException e) {
            device.close();
            throw e;
        }
    }

    private void require(int capability, String name) throws KvmException {
        if (extension(capability) <= 0) {
            throw new KvmException(
                    "KVM does not support " + name + "; please upgrade the host's kernel");
        }
    }

    /** What the kernel says of a capability (KVM_CAP_*): 0 for no, else yes or a number. */
    public int extension(int capability) {
        return Math.max(0, FileCalls.ioctl(device.number(), KVM_CHECK_EXTENSION(), capability));
    }

    /** Bytes of a vCPU's shared area. */
    int runSize() {
        return runSize;
    }

    /** Makes an empty virtual machine; returns its descriptor. */
    Fd createVm() throws KvmException {
        int fd;
        do {
            fd = FileCalls.ioctl(device.number(), KVM_CREATE_VM(), 0);
        } while (fd == -Errno.EINTR);
        return new Fd(KvmException.check(fd, "KVM_CREATE_VM"));
    }

    /** The CPUID leaves that host and kernel can give to a guest. */
    public List<CpuidLeaf> supportedCpuid() throws KvmException {
        try (Arena arena = Arena.ofConfined()) {
            long entry = kvm_cpuid_entry2.sizeof();
            long header = kvm_cpuid2.entries$offset();
            // The kernel says E2BIG until there is room for all.
            for (int room = 64; room <= MAXIMUM_CPUID_LEAVES; room *= 2) {
                MemorySegment all = arena.allocate(header + room * entry, 8);
                kvm_cpuid2.nent(all, room);
                int result =
                        FileCalls.ioctlPointer(device.number(), KVM_GET_SUPPORTED_CPUID(), all);
                if (result == -Errno.E2BIG) {
                    continue;
                }
                KvmException.check(result, "KVM_GET_SUPPORTED_CPUID");
                List<CpuidLeaf> leaves = new ArrayList<>();
                for (int i = 0; i < kvm_cpuid2.nent(all); i++) {
                    MemorySegment e = all.asSlice(header + i * entry, entry);
                    leaves.add(
                            new CpuidLeaf(
                                    kvm_cpuid_entry2.function(e),
                                    kvm_cpuid_entry2.index(e),
                                    kvm_cpuid_entry2.flags(e),
                                    kvm_cpuid_entry2.eax(e),
                                    kvm_cpuid_entry2.ebx(e),
                                    kvm_cpuid_entry2.ecx(e),
                                    kvm_cpuid_entry2.edx(e)));
                }
                return leaves;
            }
            throw new KvmException("KVM has more CPUID leaves than " + MAXIMUM_CPUID_LEAVES);
        }
    }

    /** The model-specific registers that belong to a vCPU's state. */
    Set<Integer> msrs() throws KvmException {
        try (Arena arena = Arena.ofConfined()) {
            int room = 1024;
            MemorySegment list =
                    arena.allocate(kvm_msr_list.indices$offset() + room * Integer.BYTES, 8);
            kvm_msr_list.nmsrs(list, room);
            KvmException.check(
                    FileCalls.ioctlPointer(device.number(), KVM_GET_MSR_INDEX_LIST(), list),
                    "KVM_GET_MSR_INDEX_LIST");
            Set<Integer> out = new HashSet<>();
            for (int i = 0; i < kvm_msr_list.nmsrs(list); i++) {
                out.add(
                        list.get(
                                ValueLayout.JAVA_INT,
                                kvm_msr_list.indices$offset() + i * Integer.BYTES));
            }
            return out;
        }
    }

    /** The machine-check abilities (MCG_CAP) that the kernel can give to a guest. */
    long machineCheckAbilities() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(8, 8);
            int result =
                    FileCalls.ioctlPointer(device.number(), KVM_X86_GET_MCE_CAP_SUPPORTED(), value);
            return result < 0 ? 0 : value.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    @Override
    public void close() {
        device.close();
    }
}
