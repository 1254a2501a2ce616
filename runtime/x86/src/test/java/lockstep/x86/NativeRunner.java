package lockstep.x86;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Runs single instructions on the processor of this machine: the oracle for the interpreter. A
 * child process, a static ELF executable whose bytes are made here, takes {@link State states} with
 * an instruction, loads all registers, runs it and gives back the registers, the data page, and the
 * exception where there was one.
 */
final class NativeRunner implements AutoCloseable {
    /** Where an instruction runs. */
    static final long CODE = 0x420000;

    /** The page that an instruction can read and write. Behind it there is none. */
    static final long DATA = 0x411000;

    static final int DATA_SIZE = 4096;

    private static final int HEADER = 768;
    private static final int GENERAL = 8;
    private static final int FAULT = 136;
    private static final int FAULT_AT = 140;
    private static final int INSTRUCTION = 144;

    /** As many bytes of code as a state takes. */
    static final int LONGEST = 96;

    private static final int FX = 256;
    private static final int RECORD = HEADER + DATA_SIZE;
    private static final int RECORD_AT = (int) DATA - HEADER;

    /** Registers and memory before or after an instruction. */
    static final class State {
        /** All of it, as it goes through the pipe. */
        final ByteBuffer bytes = ByteBuffer.allocate(RECORD).order(ByteOrder.LITTLE_ENDIAN);

        State() {
            fx16(0, 0x37f);
            fx32(24, 0x1f80);
        }

        long flags() {
            return bytes.getLong(0);
        }

        void flags(long v) {
            bytes.putLong(0, v);
        }

        /** RAX to R15 by number. */
        long general(int r) {
            return bytes.getLong(GENERAL + r * 8);
        }

        void general(int r, long v) {
            bytes.putLong(GENERAL + r * 8, v);
        }

        /** The vector of the exception that the instruction raised, or -1. */
        int fault() {
            return bytes.getInt(FAULT) - 1;
        }

        void fault(int vector) {
            bytes.putInt(FAULT, vector + 1);
        }

        /** Where the instruction is that raised it, from the first one. */
        int faultAt() {
            return bytes.getInt(FAULT_AT) - (int) CODE;
        }

        void faultAt(long address) {
            bytes.putInt(FAULT_AT, (int) address);
        }

        /** The low or high half of an SSE register. */
        long xmm(int half) {
            return bytes.getLong(FX + 160 + half * 8);
        }

        void xmm(int half, long v) {
            bytes.putLong(FX + 160 + half * 8, v);
        }

        int fx16(int at) {
            return bytes.getShort(FX + at) & 0xffff;
        }

        void fx16(int at, int v) {
            bytes.putShort(FX + at, (short) v);
        }

        int fx32(int at) {
            return bytes.getInt(FX + at);
        }

        void fx32(int at, int v) {
            bytes.putInt(FX + at, v);
        }

        /** The significand of ST(i). */
        long mantissa(int i) {
            return bytes.getLong(FX + 32 + i * 16);
        }

        int exponent(int i) {
            return fx16(40 + i * 16);
        }

        void stack(int i, long mantissa, int exponent) {
            bytes.putLong(FX + 32 + i * 16, mantissa);
            fx16(40 + i * 16, exponent);
        }

        long data(int at) {
            return bytes.getLong(HEADER + at);
        }

        void data(int at, long v) {
            bytes.putLong(HEADER + at, v);
        }

        byte dataByte(int at) {
            return bytes.get(HEADER + at);
        }

        void dataByte(int at, int v) {
            bytes.put(HEADER + at, (byte) v);
        }

        State copy() {
            State s = new State();
            s.bytes.put(0, bytes, 0, RECORD);
            return s;
        }

        private void instruction(byte[] code) {
            if (code.length > LONGEST) {
                throw new IllegalArgumentException("too long");
            }
            bytes.put(INSTRUCTION, code);
            // jmp [rip]; and where to.
            byte[] back = HexFormat.of().parseHex("ff2500000000");
            bytes.put(INSTRUCTION + code.length, back);
            bytes.putLong(INSTRUCTION + code.length + 6, FINISH);
        }
    }

    /** The address where the program goes on behind the instruction: a fixed place in its image. */
    private static final long FINISH = 0x400800;

    private static final long HANDLER = 0x400c00;
    private static final long RESTORER = 0x400c80;
    private static final long BASE = 0x400000;
    private static final int SAVED_STACK = 0x410000;
    private static final int ENTRY_POINTER = 0x410008;
    private static final int ALTERNATE_STACK = 0x430000;

    private final Path file;
    private final Process process;
    private final OutputStream out;
    private final DataInputStream in;

    private NativeRunner(Path file, Process process) {
        this.file = file;
        this.process = process;
        out = process.getOutputStream();
        in = new DataInputStream(process.getInputStream());
    }

    /** Whether this machine can run it. */
    static boolean available() {
        return System.getProperty("os.name").equals("Linux")
                && List.of("amd64", "x86_64").contains(System.getProperty("os.arch"));
    }

    static NativeRunner start() throws IOException {
        Path file =
                Files.createTempFile(
                        "native-runner",
                        "",
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rwx------")));
        Files.write(file, new Image().bytes());
        Process process =
                new ProcessBuilder(file.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        return new NativeRunner(file, process);
    }

    /** Runs an instruction on each state, which become what it leaves. */
    void run(byte[] code, List<State> states) {
        try {
            // As much at a time as a pipe is sure to take on the way back.
            int most = 8;
            for (int first = 0; first < states.size(); first += most) {
                List<State> some = states.subList(first, Math.min(first + most, states.size()));
                for (State s : some) {
                    s.instruction(code);
                    out.write(s.bytes.array());
                }
                out.flush();
                for (State s : some) {
                    in.readFully(s.bytes.array());
                }
            }
        } catch (IOException e) {
            String what = HexFormat.of().formatHex(code) + exitStatus();
            throw new UncheckedIOException(what, e);
        }
    }

    private String exitStatus() {
        try {
            boolean ended = process.waitFor(1, TimeUnit.SECONDS);
            return ended ? ": the runner ended with " + process.exitValue() : ": no answer";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return ": interrupted";
        }
    }

    @Override
    public void close() throws IOException {
        out.close();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            process.destroy();
        }
        Files.deleteIfExists(file);
    }

    /** The program, assembled by hand. */
    private static final class Image {
        private final ByteArrayOutputStream code = new ByteArrayOutputStream();

        byte[] bytes() {
            header();
            main();
            padTo(FINISH);
            finish();
            padTo(HANDLER);
            handler();
            padTo(RESTORER);
            hex("b80f000000"); // mov eax, 15: rt_sigreturn
            hex("0f05");
            return code.toByteArray();
        }

        private void hex(String bytes) {
            code.writeBytes(HexFormat.of().parseHex(bytes));
        }

        private void int32(long v) {
            for (int i = 0; i < 4; i++) {
                code.write((int) (v >> i * 8));
            }
        }

        private void int64(long v) {
            int32(v);
            int32(v >>> 32);
        }

        private long here() {
            return BASE + code.size();
        }

        private void padTo(long address) {
            if (here() > address) {
                throw new IllegalStateException("code too long");
            }
            while (here() < address) {
                code.write(0x90);
            }
        }

        /** The last operand is memory at an address, the reg field and REX.R from {@code reg}. */
        private void memory(String opcode, int reg, long address, boolean wide) {
            if (wide || reg >= 8) {
                code.write(0x40 | (wide ? 8 : 0) | (reg >= 8 ? 4 : 0));
            }
            hex(opcode);
            code.write(0x04 | (reg & 7) << 3);
            code.write(0x25);
            int32(address);
        }

        private void header() {
            hex("7f454c46020101000000000000000000");
            hex("02003e0001000000"); // executable, x86-64
            int64(BASE + 64 + 4 * 56);
            int64(64);
            int64(0);
            int32(0);
            hex("4000380004000000");
            hex("00000000");
            segment(5, 0, BASE, 0x1000, 0x1000);
            segment(6, 0x1000, 0x410000, 0, 0x2000);
            segment(7, 0x1000, CODE, 0, 0x1000);
            segment(6, 0x1000, ALTERNATE_STACK, 0, 0x20000);
        }

        private void segment(int flags, long offset, long address, long size, long memory) {
            int32(1);
            int32(flags);
            int64(offset);
            int64(address);
            int64(address);
            int64(size == 0 ? 0 : RESTORER - BASE + 7);
            int64(memory);
            int64(0x1000);
        }

        private void main() {
            // sigaltstack
            hex("4883ec40");
            hex("48c70424");
            int32(ALTERNATE_STACK);
            hex("48c744240800000000");
            hex("48c7442410");
            int32(0x20000);
            hex("b883000000"); // 131
            hex("4889e7");
            hex("31f6");
            hex("0f05");
            for (int signal : new int[] {4, 5, 7, 8, 11}) {
                hex("48c70424");
                int32(HANDLER);
                hex("48c7442408");
                int32(0x4 | 0x04000000 | 0x08000000 | 0x40000000);
                hex("48c7442410");
                int32(RESTORER);
                hex("48c744241800000000");
                hex("b80d000000"); // rt_sigaction
                hex("bf");
                int32(signal);
                hex("4889e6");
                hex("31d2");
                hex("41ba08000000");
                hex("0f05");
            }
            hex("48c7c0");
            int32(CODE);
            memory("89", 0, ENTRY_POINTER, true);
            long loop = here();
            // alarm(600): what never ends does, also when nobody is there any more to end it
            hex("bf58020000");
            hex("b825000000");
            hex("0f05");
            hex("31db"); // xor ebx, ebx
            long read = here();
            transfer(0, 0);
            hex("81fb");
            int32(RECORD);
            jump("0f82", read);
            hex("be"); // copy the instruction
            int32(RECORD_AT + INSTRUCTION);
            hex("bf");
            int32(CODE);
            hex("b970000000");
            hex("f3a4");
            memory("89", 4, SAVED_STACK, true);
            memory("c7", 0, RECORD_AT + FAULT, false);
            int32(0);
            memory("0fae", 1, RECORD_AT + FX, true); // fxrstor64
            memory("ff", 6, RECORD_AT, false); // push flags
            hex("9d");
            for (int r = 0; r < 16; r++) {
                memory("8b", r, RECORD_AT + GENERAL + r * 8, true);
            }
            memory("ff", 4, ENTRY_POINTER, false);
            loopAt = loop;
        }

        private long loopAt;

        /**
         * read or write of what is left of the record; rbx counts. Ends the program at the end of
         * the pipe.
         */
        private void transfer(int call, int descriptor) {
            hex("b8");
            int32(call);
            hex("bf");
            int32(descriptor);
            hex("48c7c6"); // mov rsi, record; add rsi, rbx
            int32(RECORD_AT);
            hex("4801de");
            hex("ba");
            int32(RECORD);
            hex("29da");
            hex("0f05");
            hex("4885c0"); // test rax, rax; jg on; exit
            hex("7f09");
            hex("b83c000000");
            hex("31ff");
            hex("0f05");
            hex("01c3");
        }

        private void jump(String opcode, long target) {
            hex(opcode);
            int32(target - (here() + 4));
        }

        private void finish() {
            for (int r = 0; r < 16; r++) {
                memory("89", r, RECORD_AT + GENERAL + r * 8, true);
            }
            memory("8b", 4, SAVED_STACK, true);
            hex("9c"); // pushf
            memory("8f", 0, RECORD_AT, false);
            memory("0fae", 0, RECORD_AT + FX, true); // fxsave64
            hex("fc");
            hex("31db");
            long write = here();
            transfer(1, 1);
            hex("81fb");
            int32(RECORD);
            jump("0f82", write);
            jump("e9", loopAt);
        }

        /** Notes the exception and has the program go on where the instruction would have ended. */
        private void handler() {
            hex("8b82c8000000"); // mov eax, [rdx + 200]: the vector
            hex("ffc0");
            memory("89", 0, RECORD_AT + FAULT, false);
            hex("8b82a8000000"); // mov eax, [rdx + 168]: the instruction pointer
            memory("89", 0, RECORD_AT + FAULT_AT, false);
            hex("48c782a8000000"); // mov qword [rdx + 168], finish: the instruction pointer
            int32(FINISH);
            hex("c3");
        }
    }
}
