package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * The x87's instructions do what this machine's processor does, for all rounding and precision
 * controls, full and empty stacks, and every kind of number. The transcendental ones may differ
 * from it in the last bit, as the manuals allow.
 */
final class FpuNativeTest {
    /** Bits that transcendental instructions leave open here: whether the result was rounded up. */
    private static final int ROUNDED = Fpu.C1;

    /** How far the last bits of two results of a transcendental instruction may be apart. */
    private static final long NEAR = 1;

    static List<String> forms() {
        List<String> all = new ArrayList<>();
        // With memory at RBX: opcode and reg field.
        int[][] memory = {
            {0xd8, 0xff},
            {0xd9, 0xed},
            {0xda, 0xff},
            {0xdb, 0xaf},
            {0xdc, 0xff},
            {0xdd, 0xcf},
            {0xde, 0xff},
            {0xdf, 0xff}
        };
        for (int[] m : memory) {
            for (int reg = 0; reg < 8; reg++) {
                if ((m[1] >> reg & 1) != 0) {
                    all.add("m %02x%02x".formatted(m[0], 3 | reg << 3));
                }
            }
        }
        for (int opcode = 0xd8; opcode <= 0xdf; opcode++) {
            for (int second = 0xc0; second < 0x100; second += 8) {
                boolean single =
                        opcode == 0xd9 && second >= 0xd0
                                || opcode == 0xda && second >= 0xe0
                                || opcode == 0xdb && (second == 0xe0 || second == 0xf8)
                                || opcode == 0xde && second == 0xd8
                                || opcode == 0xdf && (second == 0xe0 || second == 0xf8);
                if (!single && !(opcode == 0xdd && second >= 0xf0)) {
                    all.add("r %02x%02x".formatted(opcode, second));
                }
            }
        }
        for (int second :
                new int[] {
                    0xd0, 0xe0, 0xe1, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xf4,
                    0xf5, 0xf6, 0xf7, 0xf8, 0xfa, 0xfc, 0xfd
                }) {
            all.add("n d9%02x".formatted(second));
        }
        all.addAll(List.of("n dae9", "n ded9", "n dbe2", "n dbe3", "n dfe0", "n 9b"));
        for (int second : new int[] {0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff}) {
            all.add("t d9%02x".formatted(second));
        }
        // Environments and whole states, of 32 and of 16 bits, and as FXSAVE has them.
        all.addAll(
                List.of(
                        "e d933",
                        "e dd33",
                        "e d923",
                        "e dd23",
                        "e 66d933",
                        "e 66dd33",
                        "e 66d923",
                        "e 66dd23",
                        "x 0fae03",
                        "x 480fae03",
                        "x 0fae0b",
                        "x 480fae0b"));
        return all;
    }

    @Test
    void allFormsDoWhatTheProcessorDoes() throws IOException {
        assumeTrue(NativeRunner.available());
        assertEquals(List.of(), compare(forms(), SseNativeTest.SETS, 1));
    }

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
        Operands random = new Operands(seed * 31 + form.hashCode());
        int together = 8;
        for (int done = 0; done < sets; done += together) {
            byte[] code = HexFormat.of().parseHex(form.substring(2));
            if (form.charAt(0) == 'r') {
                code[1] = (byte) (code[1] | random.below(8));
            }
            List<NativeRunner.State> before = new ArrayList<>();
            List<NativeRunner.State> expected = new ArrayList<>();
            for (int i = 0; i < together; i++) {
                NativeRunner.State s = state(form, random);
                before.add(s);
                expected.add(s.copy());
            }
            runner.run(code, expected);
            for (int i = 0; i < together; i++) {
                NativeRunner.State was = before.get(i).copy();
                NativeRunner.State now = before.get(i);
                interpreted.run(code, now);
                NativeRunner.State wanted = expected.get(i);
                switch (form.charAt(0)) {
                    case 't' -> near(wanted, now);
                    case 'e' -> {
                        withoutPointers(form, wanted);
                        withoutPointers(form, now);
                    }
                    case 'x' -> {
                        withoutReserved(wanted);
                        withoutReserved(now);
                    }
                    default -> {}
                }
                String d = Difference.of(wanted, now, Cpu.ARITHMETIC, false);
                if (d != null) {
                    return HexFormat.of().formatHex(code) + " " + d + operands(was);
                }
            }
        }
        return null;
    }

    private static String operands(NativeRunner.State s) {
        StringBuilder b =
                new StringBuilder(
                        "\n      with control %04x status %04x tags %02x"
                                .formatted(s.fx16(0), s.fx16(2), s.fx16(4)));
        for (int i = 0; i < 8; i++) {
            b.append(" st%d=%04x %016x".formatted(i, s.exponent(i), s.mantissa(i)));
        }
        int at = (int) (s.general(Cpu.RBX) - NativeRunner.DATA);
        b.append(" m=%016x:%016x".formatted(s.data(at + 8), s.data(at)));
        return b.toString();
    }

    /** Takes what may differ for equal. */
    private static void near(NativeRunner.State wanted, NativeRunner.State got) {
        got.fx16(2, got.fx16(2) & ~ROUNDED | wanted.fx16(2) & ROUNDED);
        for (int i = 0; i < 2; i++) {
            // Exponent and significand in one number, so that the step to the next exponent is one
            // too.
            long apart = (wanted.mantissa(i) << 1) - (got.mantissa(i) << 1) >> 1;
            int exponents = Math.abs(wanted.exponent(i) - got.exponent(i));
            if (exponents <= 1 && Math.abs(apart) <= NEAR) {
                got.stack(i, wanted.mantissa(i), wanted.exponent(i));
            }
        }
    }

    /**
     * Blanks the pointers to the last instruction, which AMD's processors store for exceptions
     * only.
     */
    private static void withoutPointers(String form, NativeRunner.State s) {
        int from = form.startsWith("e 66") ? 6 : 12;
        int to = form.startsWith("e 66") ? 14 : 28;
        int at = (int) (s.general(Cpu.RBX) - NativeRunner.DATA);
        for (int i = from; i < to; i++) {
            s.dataByte(at + i, 0);
        }
    }

    /** Blanks in an FXSAVE image the pointers and what is reserved. */
    private static void withoutReserved(NativeRunner.State s) {
        int at = (int) (s.general(Cpu.RBX) - NativeRunner.DATA);
        for (int i = 0; i < 512; i++) {
            boolean kept =
                    i < 5 || i >= 24 && i < 28 || i >= 32 && i < 416 && (i >= 160 || (i & 15) < 10);
            if (!kept) {
                s.dataByte(at + i, 0);
            }
        }
    }

    private static NativeRunner.State state(String form, Operands random) {
        NativeRunner.State s = SseNativeTest.state('i', random);
        s.general(Cpu.RBX, NativeRunner.DATA + random.below(3500));
        s.fx32(24, 0x1f80);
        int control = 0x40 | random.below(4) << 10;
        control |= random.one(2) ? 0x300 : random.below(4) << 8;
        control |= random.one(6) ? random.below(64) : 0x3f;
        s.fx16(0, control);
        // No exception is pending before.
        int flags = random.below(64) & control;
        s.fx16(2, random.below(8) << 11 | random.below(8) << 8 | random.below(2) << 14 | flags);
        s.fx16(4, random.one(4) ? random.below(256) : random.one(2) ? 0xff : tags(s));
        for (int i = 0; i < 8; i++) {
            int e = random.exponent80();
            s.stack(i, random.mantissa80(e), e);
            if (i > 0 && random.one(4)) {
                // Near the one before it.
                s.stack(
                        i,
                        s.mantissa(i - 1) + random.below(3) - 1,
                        s.exponent(i - 1) ^ (random.one(2) ? 0x8000 : 0));
            }
            if (random.one(6)) {
                long v = Double.doubleToRawLongBits(random.below(4000) / 64.0 - 20);
                Float80 f = new Float80();
                f.x.load64(v, false);
                f.take(f.x, f.x.negative);
                s.stack(i, f.mantissa80(), f.exponent80());
            }
        }
        if (form.equals("t d9f0") || form.equals("t d9f9")) {
            // Defined for operands near 0 only.
            int most = form.equals("t d9f0") ? 0x3ffe : 0x3ffc;
            int e = s.exponent(0) & 0x7fff;
            if (e > most && e < 0x7fff) {
                s.stack(0, s.mantissa(0), s.exponent(0) & 0x8000 | most - random.below(80));
            }
        }
        if (form.charAt(0) == 'x') {
            s.general(
                    Cpu.RBX, NativeRunner.DATA + random.below(160) * 16 + (random.one(8) ? 8 : 0));
        }
        int at = (int) (s.general(Cpu.RBX) - NativeRunner.DATA);
        if (form.charAt(0) == 'x' || form.charAt(0) == 'e') {
            for (int i = 0; i < 512; i += 8) {
                s.data(at + i, random.integer());
            }
            // Bit 17 of MXCSR exists on AMD's processors only.
            s.data(at + 24, s.data(at + 24) & (random.one(8) ? ~0x20000L : 0xffff));
            return s;
        }
        memory(form, s, at, random);
        return s;
    }

    /** Six registers in use, so that there is room. */
    private static int tags(NativeRunner.State s) {
        int top = s.fx16(2) >> 11 & 7;
        int tags = 0;
        for (int i = 0; i < 6; i++) {
            tags |= 1 << (top + i & 7);
        }
        return tags;
    }

    private static void memory(String form, NativeRunner.State s, int at, Operands random) {
        switch (form) {
            case "m db2b" -> {
                int e = random.exponent80();
                s.data(at, random.mantissa80(e));
                s.dataByte(at + 8, e);
                s.dataByte(at + 9, e >> 8);
            }
            case "m df23" -> {
                for (int i = 0; i < 10; i++) {
                    s.dataByte(at + i, random.below(10) | random.below(10) << 4);
                }
            }
            default -> {
                boolean single = form.startsWith("m d8") || form.startsWith("m d9");
                boolean doubled = form.startsWith("m dc") || form.equals("m dd03");
                s.data(
                        at,
                        single ? random.singles() : doubled ? random.doubled() : random.integer());
                if (form.equals("m d92b")) {
                    s.data(at, random.one(2) ? random.bits() | 0x3f : random.bits());
                }
            }
        }
    }
}
