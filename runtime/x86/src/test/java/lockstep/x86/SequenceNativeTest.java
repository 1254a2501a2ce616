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
 * Programs of some instructions, with jumps, loops and calls, faults in the middle, flags that are looked at long after
 * they were set, parts of registers, and writes to their own code: interpreted, translated, and on this machine's
 * processor they leave the same. The property {@code lockstep.native.programs} says how many are tried, {@code
 * lockstep.native.seed} which.
 */
final class SequenceNativeTest {
    private static final int PROGRAMS = Integer.getInteger("lockstep.native.programs", 1000);
    private static final long SEED = Long.getLong("lockstep.native.seed", 20263);
    private static final int STATES = 8;
    private static final int CHECKED = Cpu.ARITHMETIC & ~Cpu.AF;

    /** The counter of loops, which nothing else changes; R14 is an address that may be bad, RBX one that is good. */
    private static final int COUNTER = 15;

    private static final int DOUBTFUL = 14;

    private static final int[] FREE = {0, 1, 2, 6, 7, 5, 8, 9, 10, 11, 12, 13};

    private final Operands random = new Operands(SEED);
    private final Interpreted interpreted = new Interpreted();
    private final Interpreted translated = new Interpreted(true);

    /** An instruction, or a jump to a label as long as that is not known. */
    private record Piece(byte[] bytes, int label) {}

    private final List<Piece> pieces = new ArrayList<>();
    private final List<Integer> labels = new ArrayList<>();

    @Test
    void programsDoWhatTheProcessorDoes() throws IOException {
        assumeTrue(NativeRunner.available(), "no x86-64 Linux to compare with");
        List<String> wrong = new ArrayList<>();
        try (NativeRunner oracle = NativeRunner.start()) {
            for (int i = 0; i < PROGRAMS && wrong.size() < 8; i++) {
                String difference = compare(oracle, program());
                if (difference != null) {
                    wrong.add("program " + i + ": " + difference);
                }
            }
        }
        assertEquals(List.of(), wrong);
    }

    private @Nullable String compare(NativeRunner oracle, byte[] code) {
        List<NativeRunner.State> given = new ArrayList<>();
        List<NativeRunner.State> wanted = new ArrayList<>();
        for (int i = 0; i < STATES; i++) {
            NativeRunner.State s = state();
            given.add(s);
            wanted.add(s.copy());
        }
        oracle.run(code, wanted);
        for (int i = 0; i < STATES; i++) {
            NativeRunner.State one = given.get(i).copy();
            interpreted.runAll(code, one);
            NativeRunner.State two = given.get(i).copy();
            if (i == 0 || changesItself) {
                translated.runAll(code, two);
            } else {
                translated.runAgain(code, two);
            }
            NativeRunner.State want = wanted.get(i);
            String difference = difference(want, one, CHECKED);
            String tier = "interpreted ";
            if (difference == null) {
                tier = "translated ";
                difference = difference(one, two, Cpu.ARITHMETIC | Cpu.DF);
            }
            if (difference != null) {
                return tier + HexFormat.of().formatHex(code) + ": " + difference;
            }
        }
        return null;
    }

    private static @Nullable String difference(
            NativeRunner.State want, NativeRunner.State got, int flags) {
        if (want.fault() >= 0 && want.fault() == got.fault() && want.faultAt() != got.faultAt()) {
            return "fault at %x but at %x".formatted(want.faultAt(), got.faultAt());
        }
        return Difference.of(want, got, flags, false);
    }

    private NativeRunner.State state() {
        NativeRunner.State s = new NativeRunner.State();
        for (int r = 0; r < 16; r++) {
            s.general(r, random.integer());
        }
        for (int i = 0; i < 32; i++) {
            s.xmm(i, random.bits());
        }
        s.general(Cpu.RBX, NativeRunner.DATA + random.below(1900));
        s.general(
                DOUBTFUL,
                switch (random.below(4)) {
                    case 0 -> NativeRunner.DATA + NativeRunner.DATA_SIZE - random.below(128);
                    case 1 -> random.one(2) ? 0x10 : 0x800000000000L + random.below(64);
                    default -> NativeRunner.DATA + random.below(1900);
                });
        s.general(COUNTER, 1 + random.below(9));
        s.general(Cpu.RSP, NativeRunner.DATA + 2048 + random.below(64) * 8L);
        for (int at = 0; at < NativeRunner.DATA_SIZE; at += 8) {
            s.data(at, random.integer());
        }
        s.flags(2 | random.bits() & Cpu.ARITHMETIC);
        return s;
    }

    // ---- programs

    private boolean changesItself;
    private boolean inLoop;

    private byte[] program() {
        while (true) {
            pieces.clear();
            labels.clear();
            changesItself = false;
            int count = 3 + random.below(16);
            for (int i = 0; i < count; i++) {
                part();
            }
            add("eb00"); // ends the last block
            byte[] code = assemble();
            if (code.length <= NativeRunner.LONGEST) {
                return code;
            }
        }
    }

    private byte[] assemble() {
        int[] starts = new int[pieces.size() + 1];
        for (int i = 0; i < pieces.size(); i++) {
            starts[i + 1] = starts[i] + pieces.get(i).bytes.length;
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int i = 0; i < pieces.size(); i++) {
            byte[] bytes = pieces.get(i).bytes.clone();
            if (pieces.get(i).label >= 0) {
                int distance = starts[labels.get(pieces.get(i).label)] - starts[i + 1];
                int n = bytes[0] == (byte) 0xe8 ? 4 : 1;
                for (int k = 0; k < n; k++) {
                    bytes[bytes.length - n + k] = (byte) (distance >> k * 8);
                }
            }
            out.writeBytes(bytes);
        }
        return out.toByteArray();
    }

    private int newLabel() {
        labels.add(0);
        return labels.size() - 1;
    }

    private void bind(int label) {
        labels.set(label, pieces.size());
    }

    private void add(String hex) {
        pieces.add(new Piece(HexFormat.of().parseHex(hex), -1));
    }

    private void jump(String hex, int label) {
        pieces.add(new Piece(HexFormat.of().parseHex(hex), label));
    }

    /** One or some instructions that belong together. */
    private void part() {
        switch (random.below(24)) {
            case 0, 1, 2, 3, 4 -> operation();
            case 5, 6 -> immediate();
            case 7 -> single();
            case 8, 9 -> shift();
            case 10, 11 -> move();
            case 12 -> condition();
            case 13 -> stack();
            case 14, 15, 16 -> {
                int over = newLabel();
                jump("7%x00".formatted(random.below(16)), over);
                for (int i = random.below(3); i >= 0; i--) {
                    part();
                }
                bind(over);
            }
            case 17, 18 -> loop();
            case 19 -> {
                int callee = newLabel();
                int over = newLabel();
                jump("e800000000", callee);
                jump("eb00", over);
                bind(callee);
                operation();
                add("c3");
                bind(over);
            }
            case 20 -> strings();
            case 21 -> product();
            case 22 -> vector();
            default -> ownCode();
        }
    }

    /** Not in another one: there is one counter. */
    private void loop() {
        if (inLoop) {
            operation();
            return;
        }
        inLoop = true;
        int again = newLabel();
        bind(again);
        for (int i = random.below(3); i >= 0; i--) {
            part();
        }
        add(random.one(2) ? "41ffcf" : "4983ef01"); // dec r15d; sub r15, 1
        jump(random.one(2) ? "7f00" : "7500", again); // jg, jnz
        add("41bf" + HexFormat.of().toHexDigits((byte) (1 + random.below(5))) + "000000");
        inLoop = false;
    }

    private int free() {
        return FREE[random.below(FREE.length)];
    }

    private int size() {
        return new int[] {1, 2, 4, 4, 8, 8}[random.below(6)];
    }

    /** An instruction with a ModRM byte; {@code opcode} as for 32 bits, its last bit cleared for bytes. */
    private void modrm(int size, String opcode, boolean bytes, int reg, boolean extension, String tail) {
        boolean memory = random.one(2);
        int rm = memory ? (random.one(3) ? DOUBTFUL : Cpu.RBX) : free();
        modrm(size, opcode, bytes, reg, extension, rm, memory, tail);
    }

    private void modrm(
            int size,
            String opcode,
            boolean bytes,
            int reg,
            boolean extension,
            int rm,
            boolean memory,
            String tail) {
        StringBuilder b = new StringBuilder();
        if (size == 2) {
            b.append("66");
        }
        int rex =
                (size == 8 ? 8 : 0)
                        | (!extension && reg >= 8 ? 4 : 0)
                        | (rm >= 8 ? 1 : 0);
        // BH stays out, as it is a part of RBX.
        if (rex != 0 || size == 1 && (reg == 7 || rm == 7) || random.one(4)) {
            b.append("%02x".formatted(0x40 | rex));
        }
        String op = opcode;
        if (size == 1 && bytes) {
            int last = Integer.parseInt(op.substring(op.length() - 2), 16) & ~1;
            op = op.substring(0, op.length() - 2) + "%02x".formatted(last);
        }
        b.append(op);
        int field = reg & 7;
        if (memory) {
            b.append("%02x%02x".formatted(0x40 | field << 3 | rm & 7, random.below(64)));
        } else {
            b.append("%02x".formatted(0xc0 | field << 3 | rm & 7));
        }
        add(b + tail);
    }

    private void operation() {
        String[] codes = {
            "01", "03", "09", "0b", "11", "13", "19", "1b", "21", "23", "29", "2b", "31", "33", "39",
            "3b", "85", "89", "8b", "87", "39", "3b", "85", "01", "29", "0fb1", "0fc1"
        };
        modrm(size(), codes[random.below(codes.length)], true, free(), false, "");
    }

    private void immediate() {
        int size = size();
        if (random.one(2)) {
            modrm(size, size == 1 ? "81" : "83", true, random.below(8), true, "%02x".formatted(random.below(256)));
            return;
        }
        StringBuilder tail = new StringBuilder();
        long v = random.integer();
        for (int i = 0; i < Math.min(size, 4); i++) {
            tail.append("%02x".formatted((int) (v >> i * 8) & 0xff));
        }
        if (random.one(3)) {
            modrm(size, "c7", true, 0, true, tail.toString());
        } else {
            modrm(size, "81", true, random.below(8), true, tail.toString());
        }
    }

    private void single() {
        if (random.one(2)) {
            modrm(size(), "ff", true, random.below(2), true, "");
        } else {
            modrm(size(), "f7", true, 2 + random.below(2), true, "");
        }
    }

    /** What a shift leaves undefined is defined right behind it. */
    private void shift() {
        int kind = new int[] {0, 1, 2, 3, 4, 5, 7}[random.below(7)];
        int size = size();
        switch (random.below(3)) {
            case 0 -> modrm(size, "d1", true, kind, true, "");
            case 1 -> {
                modrm(size, "c1", true, kind, true, "%02x".formatted(random.below(256)));
                define();
            }
            default -> {
                modrm(size, "d3", true, kind, true, "");
                define();
            }
        }
    }

    private void define() {
        modrm(size(), random.one(2) ? "85" : "01", true, free(), false, free(), false, "");
    }

    private void move() {
        switch (random.below(8)) {
            case 0 -> modrm(new int[] {2, 4, 8}[random.below(3)], "0fb6", false, free(), false, "");
            case 1 -> modrm(new int[] {4, 8}[random.below(2)], "0fb7", false, free(), false, "");
            case 2 -> modrm(new int[] {2, 4, 8}[random.below(3)], "0fbe", false, free(), false, "");
            case 3 -> modrm(8, "63", false, free(), false, "");
            case 4 -> modrm(4, "8d", false, free(), false, DOUBTFUL, true, "");
            case 5 -> add(new String[] {"98", "99", "6698", "6699", "4898", "4899"}[random.below(6)]);
            case 6 -> add(new String[] {"0fc8", "480fc9", "490fca", "4891", "93", "0f1f4000"}[random.below(6)].replace("93", "92"));
            default -> add("488d05" + "%02x".formatted(random.below(64)) + "000000"); // lea rax, [rip + n]
        }
    }

    private void condition() {
        String cc = "%x".formatted(random.below(16));
        if (random.one(2)) {
            modrm(1, "0f9" + cc, false, 0, true, "");
        } else {
            modrm(new int[] {2, 4, 8}[random.below(3)], "0f4" + cc, false, free(), false, "");
        }
    }

    private void stack() {
        int r = free();
        String rex = r >= 8 ? "41" : "";
        switch (random.below(6)) {
            case 0 -> add(rex + "%02x".formatted(0x50 | r & 7));
            case 1 -> add(rex + "%02x".formatted(0x58 | r & 7));
            case 2 -> add("6a%02x".formatted(random.below(256)));
            case 3 -> add("41ff76%02x".formatted(random.below(64))); // push [r14 + n]
            case 4 -> add("54"); // push rsp
            default -> add("66" + rex + "%02x".formatted(0x50 | r & 7));
        }
    }

    private void strings() {
        add("498d7e%02x".formatted(random.below(64))); // lea rdi, [r14 + n]
        add("488d73%02x".formatted(random.below(64))); // lea rsi, [rbx + n]
        add("b9%02x000000".formatted(random.below(40)));
        add(new String[] {"f3aa", "f348ab", "f3a4", "f3a5", "aa", "a5", "f3a6", "f2ae", "ac"}[random.below(9)]);
    }

    private void product() {
        switch (random.below(5)) {
            case 0 -> modrm(new int[] {2, 4, 8}[random.below(3)], "0faf", false, free(), false, "");
            case 1 -> modrm(new int[] {4, 8}[random.below(2)], "6b", false, free(), false, "%02x".formatted(random.below(256)));
            case 2 -> modrm(size(), "f7", true, 4 + random.below(2), true, "");
            case 3 -> modrm(new int[] {2, 4, 8}[random.below(3)], "0fba", false, 4 + random.below(4), true, "%02x".formatted(random.below(256)));
            default -> modrm(new int[] {4, 8}[random.below(2)], "0fbc", false, free(), false, "");
        }
        define();
    }

    private void vector() {
        add(
                new String[] {
                    "f30f6f43" + "%02x".formatted(random.below(64)),
                    "f3410f7f46" + "%02x".formatted(random.below(64)),
                    "660fd4c1",
                    "66480f7ec0",
                    "66480f6ec9",
                    "660fd7c2",
                    "f8",
                    "f9",
                    "f5"
                }[random.below(9)]);
    }

    /** Changes the immediate byte of the instruction behind, or of one further on. */
    private void ownCode() {
        changesItself = true;
        add("c605%02x000000%02x".formatted(1, random.below(128))); // mov byte [rip + 1], n
        add("3c00"); // cmp al, n
    }
}
