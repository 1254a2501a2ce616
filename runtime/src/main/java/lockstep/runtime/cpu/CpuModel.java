package lockstep.runtime.cpu;

import lockstep.runtime.cpu.CpuFeature.Word;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A processor model as {@code -cpu} names it, with features switched on and off. {@code qemu64} is QEMU's
 * model of that name, version 1: a plain 64-bit processor every host can give. {@code host} and {@code
 * max} pass on what the host has.
 */
public final class CpuModel {
    /** The model of machines for which none is named. */
    public static final String DEFAULT = "qemu64";

    /** What the names of the types of processors end with. */
    public static final String TYPE_SUFFIX = "-x86_64-cpu";

    /** The model without any features, from which every other one can be told apart. */
    public static final String BASE = "base";

    /** The names {@code -cpu} takes. */
    public static final List<String> NAMES = List.of(BASE, "qemu64", "host", "max");

    /** Switches that are no features of a processor. */
    private static final Set<String> SWITCHES =
            Set.of("check", "enforce", "hv-passthrough", "kvm", "migratable");

    private static final String BRAND = "QEMU Virtual CPU version 2.5+";
    private static final int INDEXED = 1;

    // qemu64: AMD family 15, model 107, stepping 1
    private static final int QEMU64_SIGNATURE = 0x00060fb1;
    private static final int BASIC_LEAVES = 0xd;
    private static final int EXTENDED_LEAVES = 0x8000000a;
    private static final int SIGNATURE_LEAF = 0x40000000;
    private static final int HYPERTHREADING = 1 << 28;
    private static final int CMP_LEGACY = 1 << 1;

    private static final int X2APIC = 1 << 21;

    private final String name;
    private final Map<Word, Integer> words;
    private final boolean kvmVisible;

    private CpuModel(String name, Map<Word, Integer> words, boolean kvmVisible) {
        this.name = name;
        this.words = words;
        this.kvmVisible = kvmVisible;
    }

    /**
     * Reads the text of {@code -cpu}.
     *
     * @param text such as {@code qemu64,kvmclock=on,-x2apic}
     * @param supported what the accelerator can give
     * @param accelerator what messages call it
     * @param problems gets a sentence for each feature asked for that it cannot give
     * @throws IllegalArgumentException unknown model or property, in QEMU's words
     */
    public static CpuModel parse(
            String text, List<CpuidLeaf> supported, String accelerator, List<String> problems) {
        String[] parts = text.split(",", -1);
        String name = parts[0];
        if (!NAMES.contains(name)) {
            throw new IllegalArgumentException("unable to find CPU model '" + name + "'");
        }
        boolean passed = passed(name);
        Map<Word, Integer> words = new EnumMap<>(Word.class);
        for (Word w : Word.values()) {
            words.put(w, passed ? supported(supported, w) : name.equals(BASE) ? 0 : qemu64(w));
        }
        // Only under KVM do guests find KVM's clocks and its other devices, and x2APIC without
        // asking for it.
        boolean onHost = isNative(supported);
        String giver = onHost ? "host" : accelerator;
        boolean kvm = onHost;
        if (!kvm) {
            words.put(Word.KVM, 0);
        }
        boolean check = true;
        boolean enforce = false;
        if (!kvm || (supported(supported, Word.F1_ECX) & X2APIC) == 0) {
            words.merge(Word.F1_ECX, ~X2APIC, (bits, mask) -> bits & mask);
        }
        for (int i = 1; i < parts.length; i++) {
            String part = parts[i];
            boolean on = true;
            String key = part;
            if (part.isEmpty()) {
                continue;
            }
            if (part.startsWith("+") || part.startsWith("-")) {
                on = part.startsWith("+");
                key = part.substring(1);
            } else {
                int equals = part.indexOf('=');
                if (equals >= 0) {
                    key = part.substring(0, equals);
                    on = switched(name, key, part.substring(equals + 1));
                }
            }
            switch (key) {
                case "check" -> check = on;
                case "enforce" -> enforce = on;
                case "kvm" -> kvm &= on;
                case "hv-passthrough" -> {
                    if (on) {
                        problems.add("there are no Hyper-V enlightenments to pass through");
                    }
                }
                case "migratable" -> {}
                default -> set(words, name, key, on);
            }
        }
        if (name.equals("host") && !onHost) {
            throw new IllegalArgumentException("CPU model 'host' requires KVM");
        }
        List<String> missing = new ArrayList<>();
        words.replaceAll((w, bits) -> restrict(w, bits, supported(supported, w), missing));
        if (check || enforce) {
            missing.forEach(m -> problems.add(giver + " doesn't support requested feature: " + m));
        }
        if (enforce && !missing.isEmpty()) {
            throw new IllegalArgumentException(giver + " doesn't support requested features");
        }
        return new CpuModel(name, words, kvm);
    }

    /** Whether the host's processor runs the guest, by KVM. */
    private static boolean isNative(List<CpuidLeaf> supported) {
        return supported.stream().anyMatch(l -> l.function() == SIGNATURE_LEAF + 1);
    }

    /** Whether a model is what the host has. */
    private static boolean passed(String name) {
        return name.equals("host") || name.equals("max");
    }

    /** A {@code key=value}, which QEMU takes as said of all processors of the model. */
    private static boolean switched(String model, String key, String value) {
        try {
            if (!SWITCHES.contains(key)) {
                feature(model, key);
            }
            return onOff(key, value);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "can't apply global %s.%s=%s: %s"
                            .formatted(typeName(model), key, value, e.getMessage()),
                    e);
        }
    }

    private static boolean onOff(String key, String value) {
        return switch (value) {
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default ->
                    throw new IllegalArgumentException(
                            "Parameter '" + key + "' expects 'on' or 'off'");
        };
    }

    private static CpuFeature feature(String model, String key) {
        CpuFeature f = CpuFeature.named(key);
        if (f == null) {
            throw new IllegalArgumentException(
                    "Property '" + typeName(model) + "." + key + "' not found");
        }
        return f;
    }

    private static void set(Map<Word, Integer> words, String model, String key, boolean on) {
        CpuFeature f = feature(model, key);
        int mask = 1 << f.bit();
        if (key.equals("kvmclock")) {
            mask |= 1 << 3; // the clock has two sets of registers, an old and a new one
        }
        int bits = mask;
        words.merge(f.word(), 0, (old, none) -> on ? old | bits : old & ~bits);
    }

    private static int restrict(Word w, int bits, int can, List<String> told) {
        int missing = bits & ~(can | always(w));
        for (int bit = 0; bit < 32; bit++) {
            if ((missing & 1 << bit) != 0) {
                CpuFeature f = CpuFeature.at(w, bit);
                told.add(
                        String.format(
                                "CPUID[eax=%02Xh].%s%s [bit %d]",
                                w.function, w.registerName, f == null ? "" : "." + f.name(), bit));
            }
        }
        return bits & ~missing;
    }

    /** The sign of a hypervisor does not depend on the host's processor. */
    private static int always(Word w) {
        return w == Word.F1_ECX ? 1 << 31 : 0;
    }

    private static int qemu64(Word w) {
        return switch (w) {
            case F1_EDX -> 0x078bfbfd;
            case F1_ECX -> 0x80202001; // SSE3, CMPXCHG16B, x2APIC, hypervisor
            case EXT1_EDX -> 0x2193fbfd;
            case EXT1_ECX -> 1;
            case KVM -> 0x0100007b; // clocks, no I/O delay, async faults, steal time, EOI
            default -> 0;
        };
    }

    private static int supported(List<CpuidLeaf> leaves, Word w) {
        for (CpuidLeaf leaf : leaves) {
            if (leaf.function() == w.function && leaf.index() == w.index) {
                return w.of(leaf);
            }
        }
        return 0;
    }

    /** Answers with every feature, for a processor of which nobody asks anything. */
    public static List<CpuidLeaf> everything() {
        return Arrays.stream(Word.values())
                .map(w -> indexed(w.function, w.index, -1, -1, -1, -1))
                .distinct()
                .toList();
    }

    /** The type of the objects of a model as {@code -cpu} names it, or of the default model. */
    public static String typeName(@Nullable String cpu) {
        return (cpu == null ? DEFAULT : cpu.split(",", 2)[0]) + TYPE_SUFFIX;
    }

    /** The model's name. */
    public String name() {
        return name;
    }

    /** The names of all features and whether the guest sees them, in the order of names. */
    public Map<String, Boolean> features() {
        Map<String, Boolean> out = new LinkedHashMap<>();
        for (CpuFeature f : CpuFeature.all()) {
            out.put(f.name(), (word(f.word()) & 1 << f.bit()) != 0);
        }
        return out;
    }

    /** The names of all that a user may set on a model. */
    public static List<String> properties() {
        List<String> names =
                new ArrayList<>(List.of("check", "enforce", "hv-passthrough", "kvm", "migratable"));
        CpuFeature.all().forEach(f -> names.add(f.name()));
        return names;
    }

    /** The features that a model has of its own and these answers of host and kernel cannot give. */
    public static List<String> unavailable(String name, List<CpuidLeaf> supported) {
        if (name.equals("host") && !isNative(supported)) {
            return List.of("kvm");
        }
        if (!name.equals(DEFAULT)) {
            return List.of();
        }
        return CpuFeature.all().stream()
                .filter(
                        f -> {
                            int bit = 1 << f.bit();
                            int can = supported(supported, f.word()) | always(f.word());
                            return (qemu64(f.word()) & bit) != 0 && (can & bit) == 0;
                        })
                .map(CpuFeature::name)
                .toList();
    }

    private int word(Word w) {
        return words.getOrDefault(w, 0);
    }

    /** Whether the guest sees kvmclock, and so whether its state travels. */
    public boolean kvmclock() {
        return kvmVisible && (word(Word.KVM) & (1 | 1 << 3)) != 0;
    }

    /** CPUID.1.EAX, which the processor also has in EDX after a reset. */
    public int signature(List<CpuidLeaf> supported) {
        if (passed(name)) {
            for (CpuidLeaf leaf : supported) {
                if (leaf.function() == 1) {
                    return leaf.eax();
                }
            }
        }
        return QEMU64_SIGNATURE;
    }

    /** Bits of a guest physical address, 36 to 52. */
    public int physicalBits(List<CpuidLeaf> supported) {
        if (passed(name)) {
            for (CpuidLeaf leaf : supported) {
                if (leaf.function() == 0x80000008) {
                    return Math.clamp(leaf.eax() & 0xff, 36, 52);
                }
            }
        }
        return 40;
    }

    /** All answers for the vCPU with that APIC id, one of {@code count} cores of one socket. */
    public List<CpuidLeaf> leaves(int apicId, int count, List<CpuidLeaf> supported) {
        List<CpuidLeaf> out = new ArrayList<>();
        if (kvmVisible) {
            out.add(
                    leaf(
                            SIGNATURE_LEAF,
                            SIGNATURE_LEAF + 1,
                            letters("KVMK"),
                            letters("VMKV"),
                            letters("M\0\0\0")));
            out.add(leaf(SIGNATURE_LEAF + 1, word(Word.KVM), 0, 0, 0));
        }
        if (!passed(name)) {
            addQemu64(out, apicId, count);
        } else {
            addHost(out, apicId, count, supported);
        }
        return out;
    }

    private static CpuidLeaf leaf(int function, int eax, int ebx, int ecx, int edx) {
        return new CpuidLeaf(function, 0, 0, eax, ebx, ecx, edx);
    }

    private static CpuidLeaf indexed(int function, int index, int eax, int ebx, int ecx, int edx) {
        return new CpuidLeaf(function, index, INDEXED, eax, ebx, ecx, edx);
    }

    private static int letters(String four) {
        return ByteBuffer.wrap(four.getBytes(StandardCharsets.ISO_8859_1))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getInt();
    }

    private CpuidLeaf first(int signature, int apicId, int count) {
        int cores = count > 1 ? count << 16 : 0;
        return leaf(
                1,
                signature,
                apicId << 24 | cores | 8 << 8,
                word(Word.F1_ECX),
                word(Word.F1_EDX) | (count > 1 ? HYPERTHREADING : 0));
    }

    private static void addTopology(List<CpuidLeaf> out, int apicId, int count) {
        int width = 32 - Integer.numberOfLeadingZeros(count - 1);
        out.add(indexed(0xb, 0, 0, 1, 0x100, apicId));
        out.add(indexed(0xb, 1, width, count, 0x201, apicId));
        out.add(indexed(0xb, 2, 0, 0, 2, apicId));
    }

    private void addQemu64(List<CpuidLeaf> out, int apicId, int count) {
        int b = letters("Auth");
        int d = letters("enti");
        int c = letters("cAMD");
        out.add(leaf(0, BASIC_LEAVES, b, c, d));
        out.add(first(QEMU64_SIGNATURE, apicId, count));
        out.add(leaf(2, 0, 0, 0, 0));
        out.add(indexed(4, 0, 0, 0, 0, 0));
        out.add(leaf(5, 0, 0, 3, 0));
        out.add(leaf(6, word(Word.F6_EAX), 0, 0, 0));
        out.add(indexed(7, 0, 0, word(Word.F7_EBX), word(Word.F7_ECX), word(Word.F7_EDX)));
        addTopology(out, apicId, count);
        out.add(indexed(0xd, 0, 0, 0, 0, 0));
        out.add(leaf(0x80000000, EXTENDED_LEAVES, b, c, d));
        out.add(
                leaf(
                        0x80000001,
                        QEMU64_SIGNATURE,
                        0,
                        word(Word.EXT1_ECX) | (count > 1 ? CMP_LEGACY : 0),
                        word(Word.EXT1_EDX)));
        byte[] brand = new byte[48];
        byte[] text = BRAND.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(text, 0, brand, 0, text.length);
        ByteBuffer words4 = ByteBuffer.wrap(brand).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < 3; i++) {
            out.add(
                    leaf(
                            0x80000002 + i,
                            words4.getInt(),
                            words4.getInt(),
                            words4.getInt(),
                            words4.getInt()));
        }
        // Caches and TLBs of an early 64-bit processor: 64 KiB first level, 512 KiB and 16 MiB.
        out.add(leaf(0x80000005, 0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140));
        out.add(leaf(0x80000006, 0, 0x42004200, 0x02008140, 0x00808140));
        out.add(leaf(0x80000007, 0, 0, 0, word(Word.EXT7_EDX)));
        int width = 32 - Integer.numberOfLeadingZeros(count - 1);
        out.add(leaf(0x80000008, 0x3028, 0, count > 1 ? width << 12 | (count - 1) : 0, 0));
        out.add(leaf(0x8000000a, 0, 0, 0, 0));
    }

    private void addHost(List<CpuidLeaf> out, int apicId, int count, List<CpuidLeaf> supported) {
        for (CpuidLeaf l : supported) {
            int f = l.function();
            if ((f & 0xffffff00) == SIGNATURE_LEAF || f == 0xb || f == 0x1f) {
                continue;
            }
            if (f == 1) {
                out.add(first(l.eax(), apicId, count));
            } else if (f == 7 && l.index() == 0) {
                out.add(
                        indexed(
                                7,
                                0,
                                l.eax(),
                                word(Word.F7_EBX),
                                word(Word.F7_ECX),
                                word(Word.F7_EDX)));
            } else if (f == 0x80000001) {
                out.add(leaf(f, l.eax(), l.ebx(), word(Word.EXT1_ECX), word(Word.EXT1_EDX)));
            } else {
                out.add(l);
            }
        }
        addTopology(out, apicId, count);
    }
}
