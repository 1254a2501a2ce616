package lockstep.x86;

import lockstep.x86.Op.Action;

/**
 * String instructions. A repeated one runs in runs of bounded length and is entered again as long as something is left,
 * so that interrupts are served in between.
 */
final class StringForms {
    private static final int RUN = 16384;

    private StringForms() {}

    static void install(Decoder.Form[] one) {
        one[0xa4] = d -> form(bytes(d), MOVE);
        one[0xa5] = d -> form(d, MOVE);
        one[0xa6] = d -> form(bytes(d), COMPARE);
        one[0xa7] = d -> form(d, COMPARE);
        one[0xaa] = d -> form(bytes(d), STORE);
        one[0xab] = d -> form(d, STORE);
        one[0xac] = d -> form(bytes(d), LOAD);
        one[0xad] = d -> form(d, LOAD);
        one[0xae] = d -> form(bytes(d), SCAN);
        one[0xaf] = d -> form(d, SCAN);
        one[0x6c] = d -> form(bytes(d), INPUT);
        one[0x6d] = d -> form(ports(d), INPUT);
        one[0x6e] = d -> form(bytes(d), OUTPUT);
        one[0x6f] = d -> form(ports(d), OUTPUT);
    }

    private static Decoder bytes(Decoder d) {
        d.size = 1;
        return d;
    }

    private static Decoder ports(Decoder d) {
        d.size = Math.min(d.size, 4);
        return d;
    }

    private static Op form(Decoder d, Action action) {
        d.plain = false;
        d.segment = d.override >= 0 ? d.override : Cpu.DS;
        return d.repeat != 0 ? d.last(action) : d.op(action);
    }

    private static int width(Op o) {
        return o.address() == Op.A64 ? 8 : o.address() == Op.A16 ? 2 : 4;
    }

    /** What is repeated. */
    @FunctionalInterface
    private interface Step {
        /** Does at least one and at most {@code left} repetitions; how many, or the complement of that if it is over. */
        long run(Cpu c, Op o, int width, long left);
    }

    /** Runs repetitions, counts them off, also in front of a fault, and has the instruction run again when some are left. */
    private static void repeat(Cpu c, Op o, Step step) {
        int width = width(o);
        if (o.repeat() == 0) {
            step.run(c, o, width, 1);
            return;
        }
        long wanted = c.get(Cpu.RCX, width);
        long n = wanted < 0 ? RUN : Math.min(wanted, RUN);
        long done = 0;
        boolean over = false;
        try {
            while (done < n && !over) {
                long more = step.run(c, o, width, n - done);
                over = more < 0;
                done += over ? ~more : more;
            }
        } finally {
            c.set(Cpu.RCX, width, wanted - done);
        }
        if (!over && c.get(Cpu.RCX, width) != 0) {
            c.rip = c.regs[Cpu.BLOCK] + o.offset();
        }
    }

    private static long step(Cpu c, Op o) {
        return (c.eflags & Cpu.DF) != 0 ? -o.size() : o.size();
    }

    private static long source(Cpu c, Op o, int width) {
        return c.linear(o.segment(), c.get(Cpu.RSI, width), o.size(), false);
    }

    private static long target(Cpu c, Op o, int width, boolean write) {
        return c.linear(Cpu.ES, c.get(Cpu.RDI, width), o.size(), write);
    }

    private static void advance(Cpu c, int r, int width, long by) {
        c.set(r, width, c.get(r, width) + by);
    }

    private static final Action MOVE =
            (c, o) ->
                    repeat(
                            c,
                            o,
                            (cpu, op, width, left) -> {
                                long step = step(cpu, op);
                                if (left > 1 && step > 0) {
                                    long many = BlockMove.move(cpu, op, width, left);
                                    if (many != 0) {
                                        return many;
                                    }
                                }
                                long v = cpu.read(source(cpu, op, width), op.size());
                                cpu.write(target(cpu, op, width, true), op.size(), v);
                                advance(cpu, Cpu.RSI, width, step);
                                advance(cpu, Cpu.RDI, width, step);
                                return 1;
                            });

    private static final Action STORE =
            (c, o) ->
                    repeat(
                            c,
                            o,
                            (cpu, op, width, left) -> {
                                long step = step(cpu, op);
                                long v = cpu.get(Cpu.RAX, op.size());
                                if (left > 1 && step > 0) {
                                    long many = BlockMove.fill(cpu, op, width, left, v);
                                    if (many != 0) {
                                        return many;
                                    }
                                }
                                cpu.write(target(cpu, op, width, true), op.size(), v);
                                advance(cpu, Cpu.RDI, width, step);
                                return 1;
                            });

    private static final Action LOAD =
            (c, o) ->
                    repeat(
                            c,
                            o,
                            (cpu, op, width, left) -> {
                                long v = cpu.read(source(cpu, op, width), op.size());
                                cpu.set(Cpu.RAX, op.size(), v);
                                advance(cpu, Cpu.RSI, width, step(cpu, op));
                                return 1;
                            });

    private static final Action COMPARE =
            (c, o) ->
                    repeat(
                            c,
                            o,
                            (cpu, op, width, left) -> {
                                long a = cpu.read(source(cpu, op, width), op.size());
                                long b = cpu.read(target(cpu, op, width, false), op.size());
                                advance(cpu, Cpu.RSI, width, step(cpu, op));
                                advance(cpu, Cpu.RDI, width, step(cpu, op));
                                Alu.op(cpu, Alu.CMP, op.size(), a, b);
                                return compared(cpu, op);
                            });

    private static final Action SCAN =
            (c, o) ->
                    repeat(
                            c,
                            o,
                            (cpu, op, width, left) -> {
                                long b = cpu.read(target(cpu, op, width, false), op.size());
                                advance(cpu, Cpu.RDI, width, step(cpu, op));
                                long a = cpu.get(Cpu.RAX, op.size());
                                Alu.op(cpu, Alu.CMP, op.size(), a, b);
                                return compared(cpu, op);
                            });

    /** One repetition; REPE is over at a difference, REPNE at a match. */
    private static long compared(Cpu c, Op o) {
        return c.zero() == (o.repeat() == 0xf2) ? ~1 : 1;
    }

    private static void checkPort(Cpu c, Op o) {
        PortForms.checkPort(c, c.get16(Cpu.RDX), o.size());
    }

    private static final Action INPUT =
            (c, o) -> {
                checkPort(c, o);
                repeat(
                        c,
                        o,
                        (cpu, op, width, left) -> {
                            long la = target(cpu, op, width, true);
                            // What a port gives must not be lost to a fault.
                            cpu.checkWrite(la, op.size());
                            int v = cpu.bus.readPort(cpu.get16(Cpu.RDX), op.size());
                            cpu.write(la, op.size(), v);
                            advance(cpu, Cpu.RDI, width, step(cpu, op));
                            return 1;
                        });
            };

    private static final Action OUTPUT =
            (c, o) -> {
                checkPort(c, o);
                repeat(
                        c,
                        o,
                        (cpu, op, width, left) -> {
                            long v = cpu.read(source(cpu, op, width), op.size());
                            cpu.bus.writePort(cpu.get16(Cpu.RDX), op.size(), (int) v);
                            advance(cpu, Cpu.RSI, width, step(cpu, op));
                            return 1;
                        });
            };
}
