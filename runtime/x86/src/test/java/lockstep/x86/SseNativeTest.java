package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * MMX and SSE instructions do what this machine's processor does: registers, flags, MXCSR, memory
 * and exceptions. Each form runs with random operands, as many as the property {@code
 * lockstep.native.sets} says.
 */
final class SseNativeTest {
    static final int SETS = Integer.getInteger("lockstep.native.sets", 200);

    /**
     * The forms: hint of the operands' kind (i, s, d), then opcode with its mandatory prefix; then
     * options: "i" an immediate, "w" also with REX.W, "r" registers only, "m" memory only, "e" an
     * estimate.
     */
    static final String[] FORMS = {
        // SSE and SSE2 moves
        "s 0f10",
        "s 0f11",
        "s 660f10",
        "s 660f11",
        "s f30f10",
        "s f30f11",
        "s f20f10",
        "s f20f11",
        "s 0f12",
        "s 660f12 m",
        "s 0f13 m",
        "s 660f13 m",
        "s 0f14",
        "s 660f14",
        "s 0f15",
        "s 660f15",
        "s 0f16",
        "s 660f16 m",
        "s 0f17 m",
        "s 660f17 m",
        "s 0f28",
        "s 660f28",
        "s 0f29",
        "s 660f29",
        "s 0f2b m",
        "s 660f2b m",
        "s 0f50 r",
        "d 660f50 r",
        "i 660f6f",
        "i f30f6f",
        "i 660f7f",
        "i f30f7f",
        "i 0f6f",
        "i 0f7f",
        "i 660f6e w",
        "i 660f7e w",
        "i 0f6e w",
        "i 0f7e w",
        "i f30f7e",
        "i 660fd6",
        "i f20fd6 r",
        "i f30fd6 r",
        "i 660fd7 r",
        "i 0fd7 r",
        "i 660fe7 m",
        "i 0fe7 m",
        "i 0fc3 mw",
        "i 660ff7 r",
        "i 0ff7 r",
        "i f20ff0 m",
        "i 660f382a m",
        "s f20f12",
        "s f30f12",
        "s f30f16",
        "i 0f77 n",
        // shuffles
        "i 660f70 i",
        "i f20f70 i",
        "i f30f70 i",
        "i 0f70 i",
        "s 0fc6 i",
        "d 660fc6 i",
        "i 660f60",
        "i 660f61",
        "i 660f62",
        "i 660f68",
        "i 660f69",
        "i 660f6a",
        "i 660f6c",
        "i 660f6d",
        "i 660f63",
        "i 660f67",
        "i 660f6b",
        "i 0f60",
        "i 0f61",
        "i 0f62",
        "i 0f68",
        "i 0f69",
        "i 0f6a",
        "i 0f63",
        "i 0f67",
        "i 0f6b",
        "i 660fc4 i",
        "i 0fc4 i",
        "i 660fc5 ir",
        "i 0fc5 ir",
        "i 660f3800",
        "i 0f3800",
        "i 660f3a0f i",
        "i 0f3a0f i",
        "i 660f3801",
        "i 660f3802",
        "i 660f3803",
        "i 660f3805",
        "i 660f3806",
        "i 660f3807",
        "i 0f3801",
        "i 0f3802",
        "i 0f3803",
        "i 0f3805",
        "i 0f3806",
        "i 0f3807",
        "i 660f382b",
        // arithmetic
        "s 0f51",
        "d 660f51",
        "s f30f51",
        "d f20f51",
        "s 0f52 e",
        "s f30f52 e",
        "s 0f53 e",
        "s f30f53 e",
        "s 0f54",
        "s 660f54",
        "s 0f55",
        "s 660f55",
        "s 0f56",
        "s 660f56",
        "s 0f57",
        "s 660f57",
        "s 0f58",
        "d 660f58",
        "s f30f58",
        "d f20f58",
        "s 0f59",
        "d 660f59",
        "s f30f59",
        "d f20f59",
        "s 0f5c",
        "d 660f5c",
        "s f30f5c",
        "d f20f5c",
        "s 0f5d",
        "d 660f5d",
        "s f30f5d",
        "d f20f5d",
        "s 0f5e",
        "d 660f5e",
        "s f30f5e",
        "d f20f5e",
        "s 0f5f",
        "d 660f5f",
        "s f30f5f",
        "d f20f5f",
        "s f20fd0",
        "d 660fd0",
        "s f20f7c",
        "d 660f7c",
        "s f20f7d",
        "d 660f7d",
        "s 0fc2 i",
        "d 660fc2 i",
        "s f30fc2 i",
        "d f20fc2 i",
        "s 0f2e",
        "d 660f2e",
        "s 0f2f",
        "d 660f2f",
        // conversions
        "i f20f2a w",
        "i f30f2a w",
        "d f20f2c w",
        "d f20f2d w",
        "s f30f2c w",
        "s f30f2d w",
        "i 0f2a",
        "i 660f2a",
        "s 0f2c",
        "s 0f2d",
        "d 660f2c",
        "d 660f2d",
        "s 0f5a",
        "d 660f5a",
        "s f30f5a",
        "d f20f5a",
        "i 0f5b",
        "s 660f5b",
        "s f30f5b",
        "d 660fe6",
        "d f20fe6",
        "i f30fe6",
        // SSE4.1
        "i 660f3810",
        "s 660f3814",
        "d 660f3815",
        "i 660f3817",
        "i 660f3820",
        "i 660f3821",
        "i 660f3822",
        "i 660f3823",
        "i 660f3824",
        "i 660f3825",
        "i 660f3830",
        "i 660f3831",
        "i 660f3832",
        "i 660f3833",
        "i 660f3834",
        "i 660f3835",
        "i 660f3841",
        "s 660f3a08 i",
        "d 660f3a09 i",
        "s 660f3a0a i",
        "d 660f3a0b i",
        "s 660f3a0c i",
        "d 660f3a0d i",
        "i 660f3a0e i",
        "i 660f3a14 i",
        "i 660f3a15 i",
        "i 660f3a16 iw",
        "i 660f3a17 i",
        "i 660f3a20 i",
        "s 660f3a21 i",
        "i 660f3a22 iw",
        "s 660f3a40 i",
        "d 660f3a41 i",
        "i 660f3a42 i",
        // SSE4.2, AES, PCLMUL
        "i 660f3a60 iw",
        "i 660f3a61 iw",
        "i 660f3a62 i",
        "i 660f3a63 i",
        "i 660f3a44 i",
        "i 660f38db",
        "i 660f38dc",
        "i 660f38dd",
        "i 660f38de",
        "i 660f38df",
        "i 660f3adf i",
        // MXCSR
        "i 0fae/2 m",
        "i 0fae/3 m",
        // shifts by an immediate
        "i 660f71/2 ir",
        "i 660f71/4 ir",
        "i 660f71/6 ir",
        "i 660f72/2 ir",
        "i 660f72/4 ir",
        "i 660f72/6 ir",
        "i 660f73/2 ir",
        "i 660f73/3 ir",
        "i 660f73/6 ir",
        "i 660f73/7 ir",
        "i 0f71/2 ir",
        "i 0f71/4 ir",
        "i 0f71/6 ir",
        "i 0f72/2 ir",
        "i 0f72/4 ir",
        "i 0f72/6 ir",
        "i 0f73/2 ir",
        "i 0f73/6 ir"
    };

    /** The opcodes behind 0F that have an MMX form and, with 66, an SSE form on the same lanes. */
    private static final int[] LANES = {
        0x64, 0x65, 0x66, 0x74, 0x75, 0x76, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb,
        0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec,
        0xed, 0xee, 0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
        0xfe
    };

    private static final int[] LANES_38 = {0x04, 0x08, 0x09, 0x0a, 0x0b, 0x1c, 0x1d, 0x1e};

    private static final int[] WIDE_38 = {
        0x28, 0x29, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40
    };

    static List<String> forms() {
        List<String> all = new ArrayList<>(List.of(FORMS));
        for (int o : LANES) {
            all.add("i 0f%02x".formatted(o));
            all.add("i 660f%02x".formatted(o));
        }
        for (int o : LANES_38) {
            all.add("i 0f38%02x".formatted(o));
            all.add("i 660f38%02x".formatted(o));
        }
        for (int o : WIDE_38) {
            all.add("i 660f38%02x".formatted(o));
        }
        return all;
    }

    @Test
    void allFormsDoWhatTheProcessorDoes() throws IOException {
        assumeTrue(NativeRunner.available());
        List<String> wrong = compare(forms(), SETS, 1);
        assertEquals(List.of(), wrong);
    }

    /** Compares forms; one line for each that differs. */
    static List<String> compare(List<String> forms, int sets, long seed) throws IOException {
        List<String> wrong = new ArrayList<>();
        Interpreted interpreted = new Interpreted();
        try (NativeRunner runner = NativeRunner.start()) {
            for (String form : forms) {
                String difference = compare(form, runner, interpreted, sets, seed);
                if (difference != null) {
                    wrong.add(form + ": " + difference);
                }
            }
        }
        return wrong;
    }

    private static @Nullable String compare(
            String form, NativeRunner runner, Interpreted interpreted, int sets, long seed) {
        String[] parts = form.split(" ");
        char hint = parts[0].charAt(0);
        String options = parts.length > 2 ? parts[2] : "";
        Operands random = new Operands(seed * 31 + form.hashCode());
        // Some sets share an instruction.
        int together = 8;
        for (int done = 0; done < sets; done += together) {
            byte[] code = instruction(parts[1], options, random);
            List<NativeRunner.State> before = new ArrayList<>();
            List<NativeRunner.State> expected = new ArrayList<>();
            for (int i = 0; i < together; i++) {
                NativeRunner.State s = state(hint, random);
                if (parts[1].equals("0fae/2")) {
                    // Bit 17 of MXCSR exists on AMD's processors only.
                    s.general(Cpu.RBX, s.general(Cpu.RBX) & -8);
                    for (int at = 0; at < NativeRunner.DATA_SIZE; at += 8) {
                        long mask = random.one(8) ? 0xfffdfffffffdffffL : 0xffff0000ffffL;
                        s.data(at, s.data(at) & mask);
                    }
                }
                before.add(s);
                expected.add(s.copy());
            }
            runner.run(code, expected);
            for (int i = 0; i < together; i++) {
                NativeRunner.State was = before.get(i).copy();
                NativeRunner.State now = before.get(i);
                interpreted.run(code, now);
                String d =
                        Difference.of(expected.get(i), now, Cpu.ARITHMETIC, options.contains("e"));
                if (d != null) {
                    return HexFormat.of().formatHex(code) + " " + d + Difference.operands(was);
                }
            }
        }
        return null;
    }

    /** An instruction of a form with registers, or memory at RBX, that chance chooses. */
    private static byte[] instruction(String form, String options, Operands random) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int slash = form.indexOf('/');
        byte[] opcode = HexFormat.of().parseHex(slash < 0 ? form : form.substring(0, slash));
        int at = 0;
        if (opcode[0] != 0x0f) {
            out.write(opcode[at++]);
        }
        boolean memory = options.contains("m") || !options.contains("r") && random.one(3);
        int reg = slash < 0 ? random.below(16) : form.charAt(slash + 1) - '0';
        int rm = memory ? 3 : random.one(8) ? reg : random.below(16);
        boolean wide = options.contains("w") && random.one(2);
        int rex = (wide ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0);
        if (rex != 0 && !options.contains("n")) {
            out.write(0x40 | rex);
        }
        out.write(opcode, at, opcode.length - at);
        if (!options.contains("n")) {
            out.write((memory ? 0 : 0xc0) | (reg & 7) << 3 | rm & 7);
        }
        if (options.contains("i")) {
            out.write(random.one(2) ? random.below(16) : random.below(256));
        }
        return out.toByteArray();
    }

    static NativeRunner.State state(char hint, Operands random) {
        NativeRunner.State s = new NativeRunner.State();
        s.flags(0x202 | random.bits() & Cpu.ARITHMETIC);
        for (int r = 0; r < 16; r++) {
            s.general(r, random.one(3) ? random.below(20) - 2 : random.integer());
        }
        // A stack pointer that is no canonical address does not survive a signal.
        s.general(Cpu.RSP, NativeRunner.DATA + 2048);
        int at = random.below(200) * 16;
        s.general(Cpu.RBX, NativeRunner.DATA + at + (random.one(8) ? random.below(16) : 0));
        s.general(Cpu.RDI, NativeRunner.DATA + random.below(4080));
        for (int i = 0; i < 32; i++) {
            s.xmm(i, random.half(hint));
            if (hint == 'i' && random.one(4)) {
                // Bytes of few values, as strings have them.
                s.xmm(i, random.bits() & 0x0301010301020103L);
            }
        }
        for (int i = 0; i < 64; i += 8) {
            s.data(at + i, random.one(4) ? s.xmm(random.below(32)) : random.half(hint));
        }
        for (int i = 0; i < 8; i++) {
            s.stack(i, random.half(hint), random.exponent80());
        }
        s.fx16(2, random.below(8) << 11 | random.below(8) << 8);
        s.fx16(4, random.below(256));
        s.fx32(24, mxcsr(random));
        return s;
    }

    private static int mxcsr(Operands random) {
        if (random.one(4)) {
            return random.one(2) ? 0x1f80 : 0x1fa0;
        }
        int v = 0x1f80 | random.below(4) << 13 | random.below(64);
        v |= random.one(3) ? 0x40 : 0;
        v |= random.one(3) ? 0x8000 : 0;
        if (random.one(6)) {
            v &= ~(random.below(64) << 7);
        }
        return v;
    }
}
