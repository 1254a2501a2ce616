package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * Integer instructions of 64-bit mode do what this machine's processor does: registers, defined flags, memory and
 * exceptions. Each form runs in all operand sizes, on registers and on memory, with as many sets of random operands as
 * the property {@code lockstep.native.sets} says.
 */
final class IntegerNativeTest {
    private static final int SETS = Integer.getInteger("lockstep.native.sets", 200);
    private static final int ALL = Cpu.ARITHMETIC;
    private static final int CF_OF = Cpu.CF | Cpu.OF;
    private static final int NO_AF = ALL & ~Cpu.AF;

    /**
     * Opcodes with a ModRM byte: "b" has bytes, "/n" an opcode in the reg field, "i" an immediate byte, "I" one of the
     * operand's size (four bytes at most), "c" counts with CL, "m" memory alone, "r" registers alone; "=" names the
     * flags that are defined: a(ll), n(ot AF), c(arry and overflow), z(ero), C(arry alone), - (none), s(hift).
     */
    private static final String[] FORMS = {
        "00 b=a", "01 =a", "02 b=a", "03 =a", "08 b=n", "09 =n", "0a b=n", "0b =n", "10 b=a",
        "11 =a", "12 b=a", "13 =a", "18 b=a", "19 =a", "1a b=a", "1b =a", "20 b=n", "21 =n",
        "22 b=n", "23 =n", "28 b=a", "29 =a", "2a b=a", "2b =a", "30 b=n", "31 =n", "32 b=n",
        "33 =n", "38 b=a", "39 =a", "3a b=a", "3b =a", "80/0 bi=a", "80/1 bi=n", "80/2 bi=a",
        "80/3 bi=a", "80/4 bi=n", "80/5 bi=a", "80/6 bi=n", "80/7 bi=a", "81/0 I=a", "81/1 I=n",
        "81/2 I=a", "81/3 I=a", "81/4 I=n", "81/5 I=a", "81/6 I=n", "81/7 I=a", "83/0 i=a",
        "83/1 i=n", "83/2 i=a", "83/3 i=a", "83/4 i=n", "83/5 i=a", "83/6 i=n", "83/7 i=a",
        "84 b=n", "85 =n", "86 b=a", "87 =a", "88 b=a", "89 =a", "8a b=a", "8b =a", "8d m=a",
        "63 =a", "69 I=c", "6b i=c", "0faf =c", "f6/0 bi=n", "f7/0 I=n", "f6/2 b=a", "f7/2 =a",
        "f6/3 b=a", "f7/3 =a", "f6/4 b=c", "f7/4 =c", "f6/5 b=c", "f7/5 =c", "f6/6 b=-",
        "f7/6 =-", "f6/7 b=-", "f7/7 =-", "fe/0 b=a", "ff/0 =a", "fe/1 b=a", "ff/1 =a",
        "c0/0 bi=r", "c0/1 bi=r", "c0/2 bi=r", "c0/3 bi=r", "c0/4 bi=s", "c0/5 bi=s", "c0/7 bi=s",
        "c1/0 i=r", "c1/1 i=r", "c1/2 i=r", "c1/3 i=r", "c1/4 i=s", "c1/5 i=s", "c1/6 i=s",
        "c1/7 i=s", "d0/0 b=R", "d0/1 b=R", "d0/2 b=R", "d0/3 b=R", "d0/4 b=S", "d0/5 b=S",
        "d0/7 b=S", "d1/0 =R", "d1/1 =R", "d1/2 =R", "d1/3 =R", "d1/4 =S", "d1/5 =S", "d1/7 =S",
        "d2/0 bc=r", "d2/1 bc=r", "d2/2 bc=r", "d2/3 bc=r", "d2/4 bc=s", "d2/5 bc=s", "d2/7 bc=s",
        "d3/0 c=r", "d3/1 c=r", "d3/2 c=r", "d3/3 c=r", "d3/4 c=s", "d3/5 c=s", "d3/7 c=s",
        "0fa4 i=d", "0fa5 c=d", "0fac i=d", "0fad c=d", "0fa3 r=C", "0fab r=C", "0fb3 r=C",
        "0fbb r=C", "0fba/4 i=C", "0fba/5 i=C", "0fba/6 i=C", "0fba/7 i=C", "0fbc =z", "0fbd =z",
        "0fb0 b=a", "0fb1 =a", "0fc0 b=a", "0fc1 =a", "0fb6 =a", "0fb7 =a", "0fbe =a", "0fbf =a",
        "f30fb8 =a", "f20f38f0 =a", "f20f38f1 =a", "0f38f0 m=a", "0f38f1 m=a", "0fc3 m=a",
        "c6/0 bi=a", "c7/0 I=a", "0f40 =a", "0f41 =a", "0f42 =a", "0f43 =a", "0f44 =a", "0f45 =a",
        "0f46 =a", "0f47 =a", "0f48 =a", "0f49 =a", "0f4a =a", "0f4b =a", "0f4c =a", "0f4d =a",
        "0f4e =a", "0f4f =a", "0f90 =a", "0f92 =a", "0f94 =a", "0f96 =a", "0f98 =a", "0f9a =a",
        "0f9c =a", "0f9e =a", "0fc7/1 m=a"
    };

    /** Instructions without operands: bytes, then the flags that are defined. */
    private static final String[] PLAIN = {
        "98=a", "99=a", "6698=a", "6699=a", "4898=a", "4899=a", "9e=a", "9f=a", "f5=a", "f8=a",
        "f9=a", "90=a", "4891=a", "4993=a", "0fc8=a", "480fc9=a", "490fca=a", "a812=n",
        "a978563412=n", "480541ffffff=a", "b8ffeeddcc=a", "48b88877665544332211=a", "b412=a",
        "40b412=a", "a4=a", "48a5=a", "66a5=a", "aa=a", "48ab=a", "ac=a", "48ad=a", "ae=a",
        "48af=a", "a6=a", "48a7=a", "50=a", "58=a", "6650=a", "6a81=a", "6881000000=a"
    };

    private final Operands random = new Operands(20261);
    private final Interpreted interpreted = new Interpreted();
    private final Interpreted translated = new Interpreted(true);
    private final List<String> wrong = new ArrayList<>();

    @Test
    void instructionsDoWhatTheProcessorDoes() throws IOException {
        assumeTrue(NativeRunner.available(), "no x86-64 Linux to compare with");
        try (NativeRunner oracle = NativeRunner.start()) {
            for (String form : FORMS) {
                for (int size : form.contains(" b") ? new int[] {1} : new int[] {2, 4, 8}) {
                    for (boolean memory : new boolean[] {false, true}) {
                        if (form.contains(memory ? "r=" : "m=")) {
                            continue;
                        }
                        for (int variant = 0; variant < 4; variant++) {
                            compare(oracle, form, encode(form, size, memory), size, SETS / 4);
                        }
                    }
                }
            }
            for (String plain : PLAIN) {
                String[] parts = plain.split("=");
                compare(oracle, plain, HexFormat.of().parseHex(parts[0]), 8, SETS);
            }
        }
        assertEquals(List.of(), wrong);
    }

    private byte[] encode(String form, int size, boolean memory) {
        String opcode = form.substring(0, form.indexOf(' '));
        String options = form.substring(form.indexOf(' ') + 1, form.indexOf('='));
        int field = -1;
        if (opcode.contains("/")) {
            field = opcode.charAt(opcode.length() - 1) - '0';
            opcode = opcode.substring(0, opcode.indexOf('/'));
        }
        byte[] bytes = HexFormat.of().parseHex(opcode);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (size == 2) {
            out.write(0x66);
        }
        int at = 0;
        if (bytes.length > 1 && (bytes[0] & 0xf6) == 0xf2) {
            out.write(bytes[at++]);
        }
        int reg = field >= 0 ? field : random.below(16);
        int rm = random.below(16);
        // RSP stays out: what it is when the instruction is over, the program behind it relies on.
        if (field < 0 && reg == Cpu.RSP) {
            reg = Cpu.RAX;
        }
        if (rm == Cpu.RSP && !options.contains("b")) {
            rm = Cpu.RDX;
        }
        int rex = (size == 8 ? 8 : 0) | (reg >= 8 ? 4 : 0) | (!memory && rm >= 8 ? 1 : 0);
        if (rex != 0 || random.one(3)) {
            out.write(0x40 | rex);
        }
        out.write(bytes, at, bytes.length - at);
        if (memory) {
            // [rbx + disp8]
            out.write(0x40 | (reg & 7) << 3 | Cpu.RBX);
            out.write(random.below(64));
        } else {
            out.write(0xc0 | (reg & 7) << 3 | rm & 7);
        }
        if (options.contains("i")) {
            out.write(random.below(256));
        } else if (options.contains("I")) {
            int v = (int) random.integer();
            for (int i = 0; i < Math.min(size, 4); i++) {
                out.write(v >> i * 8);
            }
        }
        return out.toByteArray();
    }

    private int flags(String form, NativeRunner.State s, byte[] code, int size) {
        char kind = form.charAt(form.indexOf('=') + 1);
        int count =
                form.contains("c=") ? (int) s.general(Cpu.RCX) & 0xff : code[code.length - 1] & 0xff;
        count &= size == 8 ? 63 : 31;
        return switch (kind) {
            case 'a' -> ALL;
            case 'n' -> NO_AF;
            case 'c' -> CF_OF;
            case 'C' -> Cpu.CF;
            case 'z' -> Cpu.ZF;
            case 'S' -> NO_AF;
            case 'R' -> ALL;
            // With a count above one OF is not defined, with one above the size CF is not either.
            case 's' ->
                    count == 0
                            ? ALL
                            : count == 1
                                    ? NO_AF
                                    : count > size * 8
                                            ? NO_AF & ~CF_OF
                                            : NO_AF & ~Cpu.OF;
            case 'r' -> count == 0 || count == 1 ? ALL : ALL & ~Cpu.OF;
            case 'd' ->
                    count == 0
                            ? ALL
                            : count > size * 8
                                    ? 0
                                    : count == 1 ? NO_AF : NO_AF & ~Cpu.OF;
            default -> 0;
        };
    }

    private void compare(NativeRunner oracle, String form, byte[] code, int size, int sets) {
        List<NativeRunner.State> given = new ArrayList<>();
        List<NativeRunner.State> states = new ArrayList<>();
        for (int i = 0; i < sets; i++) {
            NativeRunner.State s = new NativeRunner.State();
            for (int r = 0; r < 16; r++) {
                s.general(r, random.integer());
            }
            s.general(Cpu.RBX, NativeRunner.DATA + random.below(2000));
            if (form.startsWith("a") || form.startsWith("48a") || form.startsWith("66a")) {
                s.general(Cpu.RSI, NativeRunner.DATA + 64 + random.below(1900));
                s.general(Cpu.RDI, NativeRunner.DATA + 2100 + random.below(1900));
            }
            s.general(Cpu.RSP, NativeRunner.DATA + 2048);
            for (int at = 0; at < NativeRunner.DATA_SIZE; at += 8) {
                s.data(at, random.integer());
            }
            s.flags(2 | random.bits() & ALL);
            given.add(s);
            states.add(s.copy());
        }
        oracle.run(code, states);
        for (int i = 0; i < sets; i++) {
            NativeRunner.State got = given.get(i).copy();
            interpreted.run(code, got);
            NativeRunner.State second = given.get(i).copy();
            translated.run(code, second);
            NativeRunner.State wanted = states.get(i);
            int mask =
                    wanted.fault() >= 0 ? 0 : flags(form, given.get(i), code, size);
            // Of a shift of 16 bits by more the result is not defined.
            if (form.contains("=d") && size == 2) {
                String options = form.substring(form.indexOf(' '));
                int count =
                        options.contains("c=")
                                ? (int) given.get(i).general(Cpu.RCX) & 31
                                : code[code.length - 1] & 31;
                if (count > 16) {
                    continue;
                }
            }
            String difference = Difference.of(wanted, got, mask, false);
            if (difference == null) {
                difference = Difference.of(wanted, second, mask, false);
            }
            if (difference != null) {
                if (wrong.size() < 40) {
                    wrong.add(form + " " + HexFormat.of().formatHex(code) + ": " + difference);
                }
                return;
            }
        }
    }
}
