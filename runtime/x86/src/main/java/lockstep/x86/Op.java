package lockstep.x86;

/**
 * One decoded instruction. A record, so that the compiler takes its fields for constants where the object itself is one.
 *
 * @param action what it does
 * @param offset bytes from the block's start to its first byte
 * @param end bytes from the block's start to the byte behind it
 * @param size operand size in bytes
 * @param a the register of the ModRM byte's reg field, or whatever the action says
 * @param b the register of its rm field, {@link #MEMORY} where that is memory, or whatever the action says
 * @param address how the address of a memory operand is formed: {@link #A64} and so on
 * @param segment index of its segment, {@link Cpu#NONE} for none
 * @param base index of its base register
 * @param index index of its index register
 * @param scale shift of the index register
 * @param disp its displacement
 * @param imm immediate operand
 * @param repeat the prefix 0xf2 or 0xf3, else 0
 * @param plain whether it touches no memory but by its memory operand
 */
record Op(
        Action action,
        int offset,
        int end,
        int size,
        int a,
        int b,
        int address,
        int segment,
        int base,
        int index,
        int scale,
        long disp,
        long imm,
        int repeat,
        boolean plain) {
    /** Address of 64 bits, in 64-bit mode. */
    static final int A64 = 0;

    /** Address of 32 bits, in 64-bit mode. */
    static final int A32_LONG = 1;

    /** Address of 32 bits with a segment. */
    static final int A32 = 2;

    /** Address of 16 bits with a segment. */
    static final int A16 = 3;

    /** In {@link #b}: the operand is in memory. */
    static final int MEMORY = -1;

    /** The same with another action. */
    Op with(Action other) {
        return new Op(
                other, offset, end, size, a, b, address, segment, base, index, scale, disp, imm,
                repeat, plain);
    }

    /** Whether the rm operand is memory. */
    boolean inMemory() {
        return b == MEMORY;
    }

    /** Whether it may write memory: all with a memory operand, and those that have one without saying so. */
    boolean writes() {
        return b == MEMORY || !plain;
    }

    /** What an instruction does. */
    @FunctionalInterface
    interface Action {
        void run(Cpu c, Op o);
    }
}
