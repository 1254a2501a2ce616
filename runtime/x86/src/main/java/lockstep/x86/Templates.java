package lockstep.x86;

import lockstep.x86.Op.Action;

import org.jspecify.annotations.Nullable;

import java.util.IdentityHashMap;
import java.util.Map;

/**
 * How the frequent instructions of 64-bit mode become bytecode: their second definition, which the tests hold against
 * the first, the {@link Action}. What is not here is called.
 */
final class Templates {
    // Which registers an instruction uses, and how.
    static final int READ_A = 1;
    static final int READ_B = 1 << 1;
    static final int WRITE_A = 1 << 2;
    static final int WRITE_B = 1 << 3;
    static final int READ_CX = 1 << 4;
    static final int AX = 1 << 5;
    static final int DX = 1 << 6;
    static final int BP = 1 << 7;

    /** It uses the stack in memory, and its pointer. */
    static final int STACK = 1 << 8;

    static final int READ_FLAGS = 1 << 9;

    /** It sets all of the arithmetic flags. */
    static final int WRITE_FLAGS = 1 << 10;

    /** Its memory operand is not accessed. */
    static final int NO_ACCESS = 1 << 11;

    /** It says itself where to go on. */
    static final int BRANCH = 1 << 12;

    /** It may fail without a memory operand. */
    static final int FAULTS = 1 << 13;

    /** It reads flags where the operation is ADC or SBB. */
    static final int OPERATION = 1 << 14;

    /** Writes an instruction. */
    @FunctionalInterface
    interface Emission {
        void write(TraceWriter w, Op o);
    }

    /**
     * How an action is written. Sets of registers have bit n for register n.
     *
     * @param emission null: it is called, but touches no registers beside those that the uses say
     */
    record Template(int uses, @Nullable Emission emission) {
        private boolean uses(int what) {
            return (uses & what) != 0;
        }

        private static int bit(int r) {
            return 1 << ((r & 0x20) != 0 ? r & 3 : r);
        }

        /** The registers that it reads; those of which it changes a part belong to them. */
        int reads(Op o) {
            int all = writes(o);
            if (o.base() < 16) {
                all |= bit(o.base());
            }
            if (o.index() < 16) {
                all |= bit(o.index());
            }
            all |= uses(READ_A) ? bit(o.a()) : 0;
            all |= uses(READ_B) && !o.inMemory() ? bit(o.b()) : 0;
            return all | (uses(READ_CX) ? bit(Cpu.RCX) : 0);
        }

        /** The registers that it changes. */
        int writes(Op o) {
            return (uses(WRITE_A) ? bit(o.a()) : 0)
                    | (uses(WRITE_B) && !o.inMemory() ? bit(o.b()) : 0)
                    | (uses(AX) ? bit(Cpu.RAX) : 0)
                    | (uses(DX) ? bit(Cpu.RDX) : 0)
                    | (uses(BP) ? bit(Cpu.RBP) : 0)
                    | (uses(STACK) ? bit(Cpu.RSP) : 0);
        }

        boolean faults(Op o) {
            return o.inMemory() && !uses(NO_ACCESS) || uses(STACK | FAULTS);
        }

        boolean readsFlags(Op o) {
            return uses(READ_FLAGS)
                    || uses(OPERATION) && (o.repeat() == Alu.ADC || o.repeat() == Alu.SBB);
        }

        boolean writesFlags() {
            return uses(WRITE_FLAGS);
        }

        boolean branches() {
            return uses(BRANCH);
        }
    }

    private static final Map<Action, Template> ALL = new IdentityHashMap<>();

    static {
        MoveTemplates.install();
        ArithmeticTemplates.install();
        BranchTemplates.install();
    }

    private Templates() {}

    static void put(int uses, Emission emission, Action... actions) {
        for (Action a : actions) {
            ALL.put(a, new Template(uses, emission));
        }
    }

    /** These actions are called, but touch no registers beside those that the uses say. */
    static void call(int uses, Action... actions) {
        for (Action a : actions) {
            ALL.put(a, new Template(uses | READ_FLAGS | FAULTS, null));
        }
    }

    /** How an operation is written in 64-bit mode, or null for as a call. */
    static @Nullable Template of(Op o) {
        return ALL.get(o.action());
    }
}
