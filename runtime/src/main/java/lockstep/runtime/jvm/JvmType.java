package lockstep.runtime.jvm;

import lockstep.qmp.QmpException;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.linux.HostTicks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.object.QomKind;

import java.util.List;
import java.util.Map;

/** A processor in software, which is there on every host. */
final class JvmType implements AcceleratorType {
    // What the engine has of the features of CPUID leaf 1 (ECX, EDX), 7 (EBX) and 0x80000001 (ECX,
    // EDX).
    private static final int FEATURES_1C =
            1 // SSE3
                    | 1 << 1 // PCLMULQDQ
                    | 1 << 9 // SSSE3
                    | 1 << 13 // CMPXCHG16B
                    | 1 << 19 // SSE4.1
                    | 1 << 20 // SSE4.2
                    | 1 << 22 // MOVBE
                    | 1 << 23 // POPCNT
                    | 1 << 24 // TSC deadline
                    | 1 << 25 // AES
                    | 1 << 31; // hypervisor
    private static final int FEATURES_1D = 0x078bfbfd;
    private static final int FEATURES_7B = 1 | 1 << 7 | 1 << 9; // FSGSBASE, SMEP, fast REP MOVSB
    private static final int EXTENDED_C = 1 | 1 << 8; // LAHF in 64-bit mode, PREFETCHW
    private static final int EXTENDED_D =
            FEATURES_1D & 0x0183fbff & ~(1 << 11)
                    | 1 << 11 // SYSCALL
                    | 1 << 20 // NX
                    | 1 << 27 // RDTSCP
                    | 1 << 29; // long mode

    private static final int SIGNATURE = 0x60fb1;
    private static final int PHYSICAL_BITS = 40;
    private static final int LINEAR_BITS = 48;

    @Override
    public String name() {
        return "jvm";
    }

    @Override
    public List<String> aliases() {
        return List.of("tcg");
    }

    @Override
    public Map<String, Property> properties() {
        String none = "no effect here: ";
        QomKind<String> threads =
                QomKind.STRING.checked(
                        word -> {
                            if (!word.equals("single") && !word.equals("multi")) {
                                throw new QmpException("Invalid 'thread' setting " + word);
                            }
                        });
        return Map.of(
                "one-insn-per-tb",
                new Property(QomKind.BOOL, none + "an interrupt is taken between any two blocks"),
                "split-wx",
                new Property(QomKind.BOOL, none + "the JVM keeps its own code"),
                "tb-size",
                new Property(
                        QomKind.UINT32.as("int"),
                        none + "the JVM bounds its code, and the heap what is decoded"),
                "thread",
                new Property(
                        threads,
                        "single: processors run one at a time, in rounds; multi: all at the same"
                                + " time (default)"));
    }

    @Override
    public String title() {
        return "JVM";
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() {
        return List.of(
                leaf(0, 0xd, 0x68747541, 0x444d4163, 0x69746e65), // AuthenticAMD
                leaf(1, SIGNATURE, 0, FEATURES_1C, FEATURES_1D),
                new CpuidLeaf(7, 0, 1, 0, FEATURES_7B, 0, 0),
                leaf(0x80000000, 0x80000008, 0x68747541, 0x444d4163, 0x69746e65),
                leaf(0x80000001, SIGNATURE, 0, EXTENDED_C, EXTENDED_D),
                leaf(0x80000008, LINEAR_BITS << 8 | PHYSICAL_BITS, 0, 0, 0));
    }

    private static CpuidLeaf leaf(int function, int eax, int ebx, int ecx, int edx) {
        return new CpuidLeaf(function, 0, 0, eax, ebx, ecx, edx);
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) {
        HostTicks.begin();
        boolean single = "single".equals(given.get("thread"));
        return new JvmAccelerator(this, loop, single ? 1 : Integer.MAX_VALUE);
    }
}
