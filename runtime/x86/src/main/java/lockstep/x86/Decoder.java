package lockstep.x86;

import java.util.ArrayList;
import java.util.List;

/**
 * From bytes to operations (Intel SDM volume 2, chapter 2). A {@link Form} per opcode reads what follows the opcode and
 * chooses the action.
 */
final class Decoder {
    /** In a block's mode, beside the code size over 32: the stack pointer has 16 bits. */
    static final int STACK16 = 4;

    /** In a block's mode: it has one instruction. */
    static final int SINGLE = 8;

    private static final int LONGEST = 15;

    /** What an opcode stands for. */
    @FunctionalInterface
    interface Form {
        Op decode(Decoder d);
    }

    /** Raised where an opcode is none in this mode; caught here. */
    private static final class NoInstruction extends RuntimeException {
        private static final long serialVersionUID = 1;

        NoInstruction() {
            super(null, null, false, false);
        }
    }

    private static final NoInstruction NO_INSTRUCTION = new NoInstruction();

    private final Cpu cpu;

    // ---- where the bytes come from
    private long linear;
    private long host;
    private long secondHost;
    private int inPage;
    private int pos;
    private boolean crossed;

    // ---- of the block
    int codeSize;
    boolean stack16;

    // ---- of the instruction
    int offset;

    /** Operand size in bytes, 2, 4 or 8; forms for bytes set it to 1. */
    int size;

    /** The prefix 0x66 was there. */
    boolean operandPrefix;

    int address;
    boolean rexThere;
    int rex;

    /** The segment that a prefix names, or -1. */
    int override;

    /** 0xf2, 0xf3 or 0. */
    int repeat;

    boolean lock;
    int opcode;

    /** Cleared by a form whose instruction uses the stack or strings. */
    boolean plain;

    /** Set by a form that takes the prefix LOCK. */
    boolean lockable;

    /** Set by a form after which the block ends. */
    boolean ends;

    private int taken;
    private boolean falls;
    private boolean calls;

    // ---- operands
    int mod;
    int reg;
    int rm;
    int a;
    int b;
    int segment;
    int base;
    int index;
    int scale;
    long disp;
    private boolean ripRelative;
    long imm;

    Decoder(Cpu cpu) {
        this.cpu = cpu;
    }

    /**
     * Decodes the instructions from a linear address to the first that may jump, to the end of the page, or {@code most}
     * of them. At least one; faults as the fetch of the first one does.
     */
    Block decode(long la, long at, int mode, int most) {
        linear = la;
        host = at;
        secondHost = -1;
        inPage = (int) (la & PhysicalMemory.OFFSET);
        codeSize = Math.max(16, (mode & 3) << 5);
        stack16 = (mode & STACK16) != 0;
        pos = 0;
        crossed = false;
        List<Op> ops = new ArrayList<>();
        int length = 0;
        ends = false;
        taken = Block.NOWHERE;
        falls = true;
        calls = false;
        while (!ends && ops.size() < most && inPage + pos < PhysicalMemory.PAGE) {
            Op op;
            try {
                op = one();
            } catch (GuestFault f) {
                if (ops.isEmpty()) {
                    throw f;
                }
                break;
            }
            if (crossed && !ops.isEmpty()) {
                taken = Block.NOWHERE;
                falls = true;
                calls = false;
                break;
            }
            ops.add(op);
            length = pos;
        }
        return new Block(ops.toArray(new Op[0]), length, mode, inPage, taken, falls, calls);
    }

    private Op one() {
        offset = pos;
        start();
        prefixes();
        try {
            Op op;
            if (opcode == 0x0f) {
                opcode = next();
                if (opcode == 0x38) {
                    opcode = next();
                    op = form(Forms.THREE_38);
                } else if (opcode == 0x3a) {
                    opcode = next();
                    op = form(Forms.THREE_3A);
                } else {
                    op = form(Forms.TWO);
                }
            } else {
                op = form(Forms.ONE);
            }
            if (lock && !lockable) {
                throw NO_INSTRUCTION;
            }
            return AtomicForms.of(op, lock);
        } catch (NoInstruction e) {
            ends = true;
            return op(UNDEFINED);
        }
    }

    private static final Op.Action UNDEFINED =
            (c, o) -> {
                throw c.undefined();
            };

    private Op form(Form[] table) {
        Form f = table[opcode];
        if (f == null) {
            throw NO_INSTRUCTION;
        }
        return f.decode(this);
    }

    private void start() {
        rexThere = false;
        rex = 0;
        override = -1;
        repeat = 0;
        lock = false;
        lockable = false;
        plain = true;
        operandPrefix = false;
        a = 0;
        b = 0;
        mod = 3;
        segment = Cpu.NONE;
        base = Cpu.ZERO;
        index = Cpu.ZERO;
        scale = 0;
        disp = 0;
        ripRelative = false;
        imm = 0;
    }

    private void prefixes() {
        boolean addressPrefix = false;
        while (true) {
            opcode = next();
            switch (opcode) {
                case 0x26 -> override = Cpu.ES;
                case 0x2e -> override = Cpu.CS;
                case 0x36 -> override = Cpu.SS;
                case 0x3e -> override = Cpu.DS;
                case 0x64 -> override = Cpu.FS;
                case 0x65 -> override = Cpu.GS;
                case 0x66 -> operandPrefix = true;
                case 0x67 -> addressPrefix = true;
                case 0xf0 -> lock = true;
                case 0xf2, 0xf3 -> repeat = opcode;
                default -> {
                    if (codeSize == 64 && (opcode & 0xf0) == 0x40) {
                        rexThere = true;
                        rex = opcode;
                        opcode = next();
                        if (isPrefix(opcode)) {
                            // A REX prefix counts only right before the opcode.
                            rexThere = false;
                            rex = 0;
                            pos--;
                            continue;
                        }
                    }
                    if (codeSize == 64) {
                        size = (rex & 8) != 0 ? 8 : operandPrefix ? 2 : 4;
                        address = addressPrefix ? Op.A32_LONG : Op.A64;
                    } else {
                        size = codeSize == 32 != operandPrefix ? 4 : 2;
                        address = codeSize == 32 != addressPrefix ? Op.A32 : Op.A16;
                    }
                    return;
                }
            }
        }
    }

    private static boolean isPrefix(int b) {
        return switch (b) {
            case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3 -> true;
            default -> (b & 0xf0) == 0x40;
        };
    }

    // ---- for the forms

    boolean long64() {
        return codeSize == 64;
    }

    /** The opcode is none after all. */
    RuntimeException none() {
        return NO_INSTRUCTION;
    }

    /** The next byte, unsigned. */
    int next() {
        int at = pos++;
        if (pos - offset > LONGEST) {
            throw cpu.gp(0);
        }
        if (host == 0) {
            return cpu.paging.fetchDevice(linear + at, cpu.cpl == 3);
        }
        if (inPage + at < PhysicalMemory.PAGE) {
            return CodeCache.peek(host + at);
        }
        crossed = true;
        if (secondHost == -1) {
            long la = linear + at & ~PhysicalMemory.OFFSET;
            secondHost = cpu.fetchHost(codeSize == 64 ? la : la & 0xffffffffL);
        }
        if (secondHost == 0) {
            return cpu.paging.fetchDevice(linear + at, cpu.cpl == 3);
        }
        return CodeCache.peek(
                (secondHost & ~PhysicalMemory.OFFSET) + inPage + at - PhysicalMemory.PAGE);
    }

    /** The next bytes, little endian, sign-extended from {@code bytes}. */
    long signed(int bytes) {
        long v = 0;
        for (int i = 0; i < bytes; i++) {
            v |= (long) next() << i * 8;
        }
        int drop = 64 - bytes * 8;
        return v << drop >> drop;
    }

    long unsigned(int bytes) {
        long v = 0;
        for (int i = 0; i < bytes; i++) {
            v |= (long) next() << i * 8;
        }
        return v;
    }

    /** An immediate of the operand size, at most four bytes, sign-extended. */
    Decoder immediate() {
        imm = signed(Math.min(size, 4));
        return this;
    }

    /** An immediate byte, sign-extended. */
    Decoder immediate8() {
        imm = signed(1);
        return this;
    }

    /** Index for tables by operand size: 1, 2, 4, 8 bytes. */
    int sizeIndex() {
        return 31 - Integer.numberOfLeadingZeros(size);
    }

    /** In 64-bit mode, instructions that use the stack have 64-bit operands. */
    void size64() {
        plain = false;
        if (codeSize == 64) {
            size = operandPrefix && (rex & 8) == 0 ? 2 : 8;
        }
    }

    /** Reads the ModRM byte and what belongs to it. */
    Decoder modrm() {
        int m = next();
        mod = m >> 6;
        reg = m >> 3 & 7 | (rex & 4) << 1;
        rm = m & 7;
        a = reg;
        if (mod == 3) {
            rm |= (rex & 1) << 3;
            b = rm;
            return this;
        }
        b = Op.MEMORY;
        if (address == Op.A16) {
            memory16();
        } else {
            memory();
        }
        if (override >= 0) {
            segment = override;
        }
        if (codeSize == 64 && segment < Cpu.FS) {
            segment = Cpu.NONE;
        }
        return this;
    }

    private void memory16() {
        segment = Cpu.DS;
        switch (rm) {
            case 0 -> pair(Cpu.RBX, Cpu.RSI);
            case 1 -> pair(Cpu.RBX, Cpu.RDI);
            case 2 -> pair(Cpu.RBP, Cpu.RSI);
            case 3 -> pair(Cpu.RBP, Cpu.RDI);
            case 4 -> pair(Cpu.RSI, Cpu.ZERO);
            case 5 -> pair(Cpu.RDI, Cpu.ZERO);
            case 6 -> {
                if (mod == 0) {
                    disp = unsigned(2);
                    return;
                }
                pair(Cpu.RBP, Cpu.ZERO);
            }
            default -> pair(Cpu.RBX, Cpu.ZERO);
        }
        if (base == Cpu.RBP) {
            segment = Cpu.SS;
        }
        disp = mod == 1 ? signed(1) : mod == 2 ? signed(2) : 0;
    }

    private void pair(int first, int second) {
        base = first;
        index = second;
    }

    private void memory() {
        segment = Cpu.DS;
        int low = rm;
        if (low == 4) {
            int sib = next();
            scale = sib >> 6;
            index = sib >> 3 & 7 | (rex & 2) << 2;
            if (index == 4) {
                index = Cpu.ZERO;
                scale = 0;
            }
            low = sib & 7;
            base = low | (rex & 1) << 3;
            if (low == 5 && mod == 0) {
                base = Cpu.ZERO;
                disp = signed(4);
                return;
            }
        } else {
            base = low | (rex & 1) << 3;
            if (low == 5 && mod == 0) {
                base = Cpu.ZERO;
                disp = signed(4);
                if (codeSize == 64) {
                    base = Cpu.BLOCK;
                    ripRelative = true;
                }
                return;
            }
        }
        if (base == Cpu.RSP || base == Cpu.RBP) {
            segment = Cpu.SS;
        }
        disp = mod == 1 ? signed(1) : mod == 2 ? signed(4) : 0;
    }

    /** Whether the rm operand is memory. */
    boolean memoryOperand() {
        return mod != 3;
    }

    /** Makes reg and rm name byte registers. */
    Decoder bytes() {
        size = 1;
        a = byteRegister(reg);
        b = mod == 3 ? byteRegister(rm) : b;
        return this;
    }

    int byteRegister(int r) {
        return !rexThere && r >= 4 && r < 8 ? 0x20 | r & 3 : r;
    }

    /** The register that the low bits of the opcode name. */
    int opcodeRegister() {
        return opcode & 7 | (rex & 1) << 3;
    }

    /** The operation, with all that was read. */
    Op op(Op.Action action) {
        return new Op(
                action,
                offset,
                pos,
                size,
                a,
                b,
                address,
                segment,
                base,
                index,
                scale,
                ripRelative ? disp + pos : disp,
                imm,
                repeat,
                plain);
    }

    /** The operation, after which the block ends. */
    Op last(Op.Action action) {
        ends = true;
        falls = false;
        return op(action);
    }

    /** Marks the block as one that ends with a call. */
    Decoder calling() {
        calls = true;
        return this;
    }

    /** Likewise, for a jump by {@link #imm} from the instruction's end. */
    Op branch(Op.Action action, boolean conditional) {
        ends = true;
        falls = conditional;
        taken = (int) (pos + imm);
        return op(action);
    }
}
