package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.KVM_GET_MSRS;
import static lockstep.linux.abi.LinuxAbi.KVM_SET_MSRS;

import lockstep.linux.abi.kvm_msr_entry;
import lockstep.linux.abi.kvm_msrs;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.linux.FileCalls;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.ToLongFunction;

/**
 * The model-specific registers of a vCPU. Which of them a host can read and write differs from kernel to
 * kernel; what it refuses once is left out from then on. Numbers are those of the Intel SDM volume 4, the
 * AMD APM volume 2 and, for the paravirtual ones, the kernel's kvm_para.h.
 */
final class VcpuMsrs {
    private interface Setter {
        void set(VcpuState s, long value);
    }

    private record Msr(int number, ToLongFunction<VcpuState> get, Setter set) {}

    private static final int TSC_DEADLINE = 0x6e0;
    // 52 bits of address
    private static final long WIDEST = (1L << 52) - 1;
    private static final long HEADER = kvm_msrs.entries$offset();
    private static final long ENTRY = kvm_msr_entry.sizeof();

    private final int fd;
    private final MemorySegment buffer;
    private final List<Msr> readable = new ArrayList<>();
    private final List<Msr> writable = new ArrayList<>();

    VcpuMsrs(int fd, Arena arena, Set<Integer> offered) {
        this.fd = fd;
        for (Msr m : table(offered)) {
            readable.add(m);
            if (m.number != TSC_DEADLINE) {
                writable.add(m);
            }
        }
        buffer = arena.allocate(HEADER + readable.size() * ENTRY, 8);
    }

    /** What every KVM has, and of the rest what this one lists. */
    private static List<Msr> table(Set<Integer> offered) {
        List<Msr> all = new ArrayList<>();
        add(all, 0x174, s -> s.sysenterCs & 0xffffffffL, (s, v) -> s.sysenterCs = (int) v);
        add(all, 0x175, s -> s.sysenterEsp, (s, v) -> s.sysenterEsp = v);
        add(all, 0x176, s -> s.sysenterEip, (s, v) -> s.sysenterEip = v);
        add(all, 0x277, s -> s.pat, (s, v) -> s.pat = v);
        add(all, 0xc0000081, s -> s.star, (s, v) -> s.star = v);
        add(all, 0xc0000082, s -> s.lstar, (s, v) -> s.lstar = v);
        add(all, 0xc0000083, s -> s.cstar, (s, v) -> s.cstar = v);
        add(all, 0xc0000084, s -> s.fmask, (s, v) -> s.fmask = v);
        add(all, 0xc0000102, s -> s.kernelGsBase, (s, v) -> s.kernelGsBase = v);
        List<Msr> some = new ArrayList<>();
        add(some, 0xc0010117, s -> s.vmHsave, (s, v) -> s.vmHsave = v);
        add(some, 0xc0000103, s -> s.tscAux, (s, v) -> s.tscAux = v);
        add(some, 0x3b, s -> s.tscAdjust, (s, v) -> s.tscAdjust = v);
        add(some, 0x1a0, s -> s.miscEnable, (s, v) -> s.miscEnable = v);
        add(some, 0x3a, s -> s.featureControl, (s, v) -> s.featureControl = v);
        add(some, 0x9e, s -> s.smbase & 0xffffffffL, (s, v) -> s.smbase = (int) v);
        add(some, 0x34, s -> s.smiCount, (s, v) -> s.smiCount = v);
        add(some, 0x48, s -> s.specCtrl, (s, v) -> s.specCtrl = v);
        add(some, 0xc001011f, s -> s.virtSsbd, (s, v) -> s.virtSsbd = v);
        add(some, 0xda0, s -> s.xss, (s, v) -> s.xss = v);
        add(some, 0xe1, s -> s.umwait & 0xffffffffL, (s, v) -> s.umwait = (int) v);
        add(some, 0x6e1, s -> s.pkrs & 0xffffffffL, (s, v) -> s.pkrs = (int) v);
        add(some, 0xc0010015, s -> s.hwcr, (s, v) -> s.hwcr = v);
        add(some, 0x4b564d02, s -> s.asyncPf, (s, v) -> s.asyncPf = v);
        add(some, 0x4b564d06, s -> s.asyncPfInt, (s, v) -> s.asyncPfInt = v);
        add(some, 0x4b564d03, s -> s.stealTime, (s, v) -> s.stealTime = v);
        add(some, 0x4b564d04, s -> s.pvEoi, (s, v) -> s.pvEoi = v);
        add(some, 0x4b564d05, s -> s.pollControl, (s, v) -> s.pollControl = v);
        add(some, TSC_DEADLINE, s -> s.tscDeadline, (s, v) -> s.tscDeadline = v);
        some.removeIf(m -> !offered.contains(m.number));
        all.addAll(some);
        addMemoryTypes(all);
        addMachineCheck(all);
        add(all, 0x10, s -> s.tsc, (s, v) -> s.tsc = v);
        // Last, as the kernel looks at the guest's memory and the TSC when they are written.
        add(all, 0x12, s -> s.systemTime, (s, v) -> s.systemTime = v);
        add(all, 0x11, s -> s.wallClock, (s, v) -> s.wallClock = v);
        return all;
    }

    private static void addMemoryTypes(List<Msr> all) {
        add(all, 0x2ff, s -> s.mtrrDefault, (s, v) -> s.mtrrDefault = v);
        int[] fixed = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
        for (int i = 0; i < fixed.length; i++) {
            int n = i;
            add(all, fixed[i], s -> s.mtrrFixed[n], (s, v) -> s.mtrrFixed[n] = v);
        }
        for (int i = 0; i < 8; i++) {
            int n = i;
            // The stream has the mask's bits above the guest's address width set, as for the widest
            // of processors; the kernel takes only what the guest's processor has.
            add(
                    all,
                    0x200 + 2 * i,
                    s -> s.mtrrBase[n] & addressMask(s),
                    (s, v) -> s.mtrrBase[n] = v);
            add(
                    all,
                    0x201 + 2 * i,
                    s -> s.mtrrMask[n] & addressMask(s),
                    (s, v) -> s.mtrrMask[n] = v | ~addressMask(s) & WIDEST);
        }
    }

    private static long addressMask(VcpuState s) {
        return (1L << s.physicalBits) - 1;
    }

    private static void addMachineCheck(List<Msr> all) {
        add(all, 0x17a, s -> s.mcgStatus, (s, v) -> s.mcgStatus = v);
        add(all, 0x17b, s -> s.mcgCtl, (s, v) -> s.mcgCtl = v);
        for (int i = 0; i < 40; i++) {
            int n = i;
            add(all, 0x400 + i, s -> s.mceBanks[n], (s, v) -> s.mceBanks[n] = v);
        }
    }

    private static void add(List<Msr> list, int number, ToLongFunction<VcpuState> get, Setter set) {
        list.add(new Msr(number, get, set));
    }

    /** Reads all registers the host has into {@code s}. */
    void fetch(VcpuState s) throws KvmException {
        int first = 0;
        while (first < readable.size()) {
            int n = readable.size() - first;
            kvm_msrs.nmsrs(buffer, n);
            for (int i = 0; i < n; i++) {
                kvm_msr_entry.index(entry(i), readable.get(first + i).number);
                kvm_msr_entry.reserved(entry(i), 0);
            }
            int done =
                    KvmException.check(
                            FileCalls.ioctlPointer(fd, KVM_GET_MSRS(), buffer), "KVM_GET_MSRS");
            for (int i = 0; i < done; i++) {
                readable.get(first + i).set.set(s, kvm_msr_entry.data(entry(i)));
            }
            first += done;
            if (done < n) {
                readable.remove(first);
            }
        }
    }

    /** Writes all registers but the deadline timer, which has to follow the APIC's timer mode. */
    void store(VcpuState s) throws KvmException {
        int first = 0;
        while (first < writable.size()) {
            int n = writable.size() - first;
            kvm_msrs.nmsrs(buffer, n);
            for (int i = 0; i < n; i++) {
                Msr m = writable.get(first + i);
                kvm_msr_entry.index(entry(i), m.number);
                kvm_msr_entry.reserved(entry(i), 0);
                kvm_msr_entry.data(entry(i), m.get.applyAsLong(s));
            }
            int done =
                    KvmException.check(
                            FileCalls.ioctlPointer(fd, KVM_SET_MSRS(), buffer), "KVM_SET_MSRS");
            first += done;
            if (done < n) {
                // Refused for its value or not there: a stream may hold what this host cannot take.
                first++;
            }
        }
    }

    void storeDeadline(VcpuState s) {
        kvm_msrs.nmsrs(buffer, 1);
        kvm_msr_entry.index(entry(0), TSC_DEADLINE);
        kvm_msr_entry.reserved(entry(0), 0);
        kvm_msr_entry.data(entry(0), s.tscDeadline);
        // A host without the register has no deadline to lose.
        FileCalls.ioctlPointer(fd, KVM_SET_MSRS(), buffer);
    }

    private MemorySegment entry(int i) {
        return buffer.asSlice(HEADER + i * ENTRY, ENTRY);
    }
}
