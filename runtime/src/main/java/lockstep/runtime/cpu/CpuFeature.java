package lockstep.runtime.cpu;

import org.jspecify.annotations.Nullable;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * One bit of a CPUID answer under the name that {@code -cpu} uses. Positions are those of the Intel SDM
 * volume 2 (CPUID), the AMD APM volume 3 appendix E and the kernel's kvm_para.h.
 */
record CpuFeature(Word word, int bit, String name) {
    /** A register of a leaf that holds feature bits. */
    enum Word {
        F1_EDX(1, 0, 'd', "EDX"),
        F1_ECX(1, 0, 'c', "ECX"),
        F6_EAX(6, 0, 'a', "EAX"),
        F7_EBX(7, 0, 'b', "EBX"),
        F7_ECX(7, 0, 'c', "ECX"),
        F7_EDX(7, 0, 'd', "EDX"),
        EXT1_EDX(0x80000001, 0, 'd', "EDX"),
        EXT1_ECX(0x80000001, 0, 'c', "ECX"),
        EXT7_EDX(0x80000007, 0, 'd', "EDX"),
        KVM(0x40000001, 0, 'a', "EAX");

        final int function;
        final int index;
        final char register;
        final String registerName;

        Word(int function, int index, char register, String registerName) {
            this.function = function;
            this.index = index;
            this.register = register;
            this.registerName = registerName;
        }

        int of(CpuidLeaf leaf) {
            return switch (register) {
                case 'a' -> leaf.eax();
                case 'b' -> leaf.ebx();
                case 'c' -> leaf.ecx();
                default -> leaf.edx();
            };
        }
    }

    private static final Map<String, CpuFeature> BY_NAME = new HashMap<>();

    static {
        names(
                Word.F1_EDX,
                "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn"
                        + " clflush - ds acpi mmx fxsr sse sse2 ss ht tm ia64 pbe");
        names(
                Word.F1_ECX,
                "pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr"
                        + " pdcm - pcid dca sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes"
                        + " xsave osxsave avx f16c rdrand hypervisor");
        names(Word.F6_EAX, "- - arat");
        names(
                Word.F7_EBX,
                "fsgsbase tsc-adjust sgx bmi1 hle avx2 fdp-excptn-only smep bmi2 erms invpcid rtm"
                        + " - - mpx - avx512f avx512dq rdseed adx smap avx512ifma - clflushopt"
                        + " clwb intel-pt avx512pf avx512er avx512cd sha-ni avx512bw avx512vl");
        names(
                Word.F7_ECX,
                "- avx512vbmi umip pku ospke waitpkg avx512vbmi2 - gfni vaes vpclmulqdq"
                        + " avx512vnni avx512bitalg - avx512-vpopcntdq - la57 - - - - - rdpid");
        names(
                Word.F7_EDX,
                "- - - - fsrm - - - - - md-clear - - - serialize - - - - - - - - - - - spec-ctrl"
                        + " stibp flush-l1d arch-capabilities core-capability ssbd");
        names(
                Word.EXT1_EDX,
                "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr-opt pdpe1gb"
                        + " rdtscp - lm 3dnowext 3dnow");
        names(
                Word.EXT1_ECX,
                "lahf-lm cmp-legacy svm extapic cr8legacy abm sse4a misalignsse 3dnowprefetch osvw"
                        + " ibs xop skinit wdt - lwp fma4 tce - nodeid-msr - tbm topoext");
        names(Word.EXT7_EDX, "- - - - - - - - invtsc");
        names(
                Word.KVM,
                "kvmclock kvm-nopiodelay kvm-mmu kvmclock2 kvm-asyncpf kvm-steal-time kvm-pv-eoi"
                        + " kvm-pv-unhalt - kvm-pv-tlb-flush kvm-asyncpf-vmexit kvm-pv-ipi"
                        + " kvm-poll-control kvm-pv-sched-yield kvm-asyncpf-int"
                        + " kvm-msi-ext-dest-id - - - - - - - - kvmclock-stable-bit");
        alias("sse3", "pni");
        alias("ds_cpl", "ds-cpl");
        alias("cmpxchg16b", "cx16");
        alias("lahf_lm", "lahf-lm");
        alias("sse4_1", "sse4.1");
        alias("sse4-1", "sse4.1");
        alias("sse4_2", "sse4.2");
        alias("sse4-2", "sse4.2");
        alias("xd", "nx");
        alias("i64", "lm");
        alias("kvm_asyncpf", "kvm-asyncpf");
        alias("kvm_steal_time", "kvm-steal-time");
        alias("kvm_pv_eoi", "kvm-pv-eoi");
        alias("kvm_nopiodelay", "kvm-nopiodelay");
        alias("tsc_adjust", "tsc-adjust");
    }

    private static void names(Word word, String names) {
        int bit = 0;
        for (String name : names.split(" +")) {
            if (!name.equals("-")) {
                BY_NAME.put(name, new CpuFeature(word, bit, name));
            }
            bit++;
        }
    }

    private static void alias(String name, String target) {
        CpuFeature f = BY_NAME.get(target);
        if (f != null) {
            BY_NAME.put(name, f);
        }
    }

    /** The feature of that name, or null. */
    static @Nullable CpuFeature named(String name) {
        return BY_NAME.get(name);
    }

    /** All features, each under its main name, in the order of names. */
    static List<CpuFeature> all() {
        return BY_NAME.entrySet().stream()
                .filter(e -> e.getKey().equals(e.getValue().name))
                .map(Map.Entry::getValue)
                .sorted(Comparator.comparing(CpuFeature::name))
                .toList();
    }

    /** The name of a bit, or null. */
    static @Nullable CpuFeature at(Word word, int bit) {
        for (CpuFeature f : BY_NAME.values()) {
            if (f.word == word && f.bit == bit) {
                return f;
            }
        }
        return null;
    }
}
