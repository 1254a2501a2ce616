package lockstep.x86;

import lockstep.x86.Op.Action;

import org.jspecify.annotations.Nullable;

import java.util.IdentityHashMap;
import java.util.Map;

/**
 * What is read, changed and written back in one step as others see it (Intel SDM volume 3, section 9.1.2): instructions
 * with the prefix LOCK, and XCHG. Each stands in for the action that does the same in several steps. Where the host has
 * no such step, because the bytes cross eight aligned ones, all other processors stand still.
 */
final class AtomicForms {
    /** From what was there to what shall be there; leaves the flags that follow. May be asked several times. */
    @FunctionalInterface
    private interface Change {
        long of(Cpu c, Op o, long old);
    }

    private AtomicForms() {}

    /** Makes the change at a linear address; gives what was there. */
    private static long change(Cpu c, Op o, long la, Change change) {
        int size = o.size();
        long host = c.hostForChange(la, size);
        if (host == 0) {
            return inSteps(c, o, la, change);
        }
        long carries = c.carries;
        long result = c.result;
        while (true) {
            long old = PhysicalMemory.load(host, size);
            if (PhysicalMemory.exchange(host, size, old, change.of(c, o, old))) {
                return old;
            }
            c.carries = carries;
            c.result = result;
        }
    }

    private static long inSteps(Cpu c, Op o, long la, Change change) {
        int size = o.size();
        c.checkWrite(la, size);
        long[] old = new long[1];
        alone(
                c,
                la,
                size,
                () -> {
                    old[0] = c.read(la, size);
                    c.write(la, size, change.of(c, o, old[0]));
                });
        return old[0];
    }

    private static void alone(Cpu c, long la, int size, Runnable steps) {
        boolean[] done = new boolean[1];
        c.bus.alone(
                () -> {
                    if (c.paging.inMemory(la, size, c.cpl == 3)) {
                        steps.run();
                        done[0] = true;
                    }
                });
        if (!done[0]) {
            steps.run(); // a device knows no such thing as one step
        }
    }

    private static final Change OPERATE_REG =
            (c, o, old) -> Alu.op(c, o.repeat(), o.size(), old, c.get(o.a(), o.size()));

    private static final Change OPERATE_IMM =
            (c, o, old) -> Alu.op(c, o.repeat(), o.size(), old, o.imm());

    private static final Change STEP = (c, o, old) -> Alu.step(c, o.repeat(), o.size(), old);

    private static final Change NOT = (c, o, old) -> ~old;

    private static final Change NEG = (c, o, old) -> Alu.op(c, Alu.SUB, o.size(), 0, old);

    private static final Change BIT_IMM =
            (c, o, old) -> BitForms.changed(o.repeat(), old, 1L << o.imm());

    private static final Change BIT_REG =
            (c, o, old) -> BitForms.changed(o.repeat(), old, bit(c, o));

    private static final Change COMPARE =
            (c, o, old) -> {
                long want = c.get(Cpu.RAX, o.size());
                Alu.op(c, Alu.CMP, o.size(), want, old);
                return old == want ? c.get(o.a(), o.size()) : old;
            };

    private static final Change ADD =
            (c, o, old) -> Alu.op(c, Alu.ADD, o.size(), old, c.get(o.a(), o.size()));

    private static final Change EXCHANGE = (c, o, old) -> c.get(o.a(), o.size());

    private static long bit(Cpu c, Op o) {
        return 1L << (c.regs[o.a()] & o.size() * 8 - 1);
    }

    static final Action MEM_REG = (c, o) -> change(c, o, c.target(o, o.size()), OPERATE_REG);

    static final Action MEM_IMM = (c, o) -> change(c, o, c.target(o, o.size()), OPERATE_IMM);

    static final Action STEP_MEM = (c, o) -> change(c, o, c.target(o, o.size()), STEP);

    static final Action NOT_MEM = (c, o) -> change(c, o, c.target(o, o.size()), NOT);

    static final Action NEG_MEM = (c, o) -> change(c, o, c.target(o, o.size()), NEG);

    static final Action TEST_IMM =
            (c, o) -> {
                long old = change(c, o, c.target(o, o.size()), BIT_IMM);
                c.setCarry((old & 1L << o.imm()) != 0);
            };

    static final Action TEST_MEM =
            (c, o) -> {
                long old = change(c, o, BitForms.bitAddress(c, o, true), BIT_REG);
                c.setCarry((old & bit(c, o)) != 0);
            };

    static final Action COMPARE_EXCHANGE_MEM =
            (c, o) -> {
                long old = change(c, o, c.target(o, o.size()), COMPARE);
                if (old != c.get(Cpu.RAX, o.size())) {
                    c.set(Cpu.RAX, o.size(), old);
                }
            };

    static final Action ADD_MEM =
            (c, o) -> {
                long old = change(c, o, c.target(o, o.size()), ADD);
                c.set(o.a(), o.size(), old);
            };

    static final Action EXCHANGE_MEM =
            (c, o) -> {
                long old = change(c, o, c.target(o, o.size()), EXCHANGE);
                c.set(o.a(), o.size(), old);
            };

    static final Action COMPARE_EXCHANGE_PAIR =
            (c, o) -> {
                int half = o.size() == 8 ? 8 : 4;
                long la = BitForms.pairAddress(c, o, half);
                long host = c.hostForChange(la, 8);
                PhysicalMemory.@Nullable PairExchange pairs = c.memory.pairs;
                if (host != 0 && half == 4) {
                    exchangeWord(c, host);
                } else if (host != 0 && pairs != null) {
                    exchangePair(c, host, pairs);
                } else {
                    c.checkWrite(la, half * 2);
                    alone(c, la, half * 2, () -> BitForms.COMPARE_EXCHANGE_PAIR.run(c, o));
                }
            };

    private static void exchangeWord(Cpu c, long host) {
        long want = c.get(Cpu.RDX, 4) << 32 | c.get(Cpu.RAX, 4);
        while (true) {
            long old = PhysicalMemory.load(host, 8);
            boolean same = old == want;
            long now = same ? c.get(Cpu.RCX, 4) << 32 | c.get(Cpu.RBX, 4) : old;
            if (PhysicalMemory.exchange(host, 8, old, now)) {
                if (!same) {
                    c.set(Cpu.RAX, 4, old);
                    c.set(Cpu.RDX, 4, old >>> 32);
                }
                c.setZero(same);
                return;
            }
        }
    }

    private static void exchangePair(Cpu c, long host, PhysicalMemory.PairExchange pairs) {
        while (true) {
            long low = PhysicalMemory.load(host, 8);
            long high = PhysicalMemory.load(host + 8, 8);
            boolean same = low == c.regs[Cpu.RAX] && high == c.regs[Cpu.RDX];
            // What differs is stored again, which shows that both halves were there at the same time.
            long newLow = same ? c.regs[Cpu.RBX] : low;
            long newHigh = same ? c.regs[Cpu.RCX] : high;
            if (pairs.exchange(host, low, high, newLow, newHigh)) {
                if (!same) {
                    c.regs[Cpu.RAX] = low;
                    c.regs[Cpu.RDX] = high;
                }
                c.setZero(same);
                return;
            }
        }
    }

    private static final Map<Action, Action> OF = new IdentityHashMap<>();

    static {
        for (Action a : ArithmeticForms.MEM_REG) {
            OF.put(a, MEM_REG);
        }
        for (Action a : ArithmeticForms.MEM_IMM) {
            OF.put(a, MEM_IMM);
        }
        OF.put(ArithmeticForms.STEP_MEM, STEP_MEM);
        OF.put(ArithmeticForms.NOT_MEM, NOT_MEM);
        OF.put(ArithmeticForms.NEG_MEM, NEG_MEM);
        OF.put(BitForms.TEST_IMM, TEST_IMM);
        OF.put(BitForms.TEST_MEM, TEST_MEM);
        OF.put(BitForms.COMPARE_EXCHANGE_MEM, COMPARE_EXCHANGE_MEM);
        OF.put(BitForms.COMPARE_EXCHANGE_PAIR, COMPARE_EXCHANGE_PAIR);
        OF.put(BitForms.ADD_MEM, ADD_MEM);
        OF.put(MoveForms.EXCHANGE_MEM, EXCHANGE_MEM);
    }

    /** The operation, in one step where it must be: with the prefix, and always where it exchanges. */
    static Op of(Op o, boolean lock) {
        if (!lock && o.action() != MoveForms.EXCHANGE_MEM) {
            return o;
        }
        Action atomic = OF.get(o.action());
        return atomic == null ? o : o.with(atomic);
    }
}
