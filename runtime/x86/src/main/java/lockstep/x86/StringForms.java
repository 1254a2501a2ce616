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

    private static long count(Cpu c, Op o, int width) {
        return o.repeat() == 0 ? 1 : c.get(Cpu.RCX, width);
    }

    /** After some repetitions: counts them off, and has the instruction run again when some are left. */
    private static void counted(Cpu c, Op o, int width, long done, boolean again) {
        if (o.repeat() == 0) {
            return;
        }
        long left = Alu.zeroExtend(c.get(Cpu.RCX, width) - done, width);
        c.set(Cpu.RCX, width, left);
        if (again && left != 0) {
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
            (c, o) -> {
                int width = width(o);
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long step = step(c, o);
                boolean fast = o.repeat() != 0 && step > 0;
                long done = 0;
                try {
                    for (; done < n; done++) {
                        if (fast && (done += BlockMove.move(c, o, width, n - done)) == n) {
                            break;
                        }
                        long v = c.read(source(c, o, width), o.size());
                        c.write(target(c, o, width, true), o.size(), v);
                        advance(c, Cpu.RSI, width, step);
                        advance(c, Cpu.RDI, width, step);
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, true);
            };

    private static final Action STORE =
            (c, o) -> {
                int width = width(o);
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long step = step(c, o);
                long v = c.get(Cpu.RAX, o.size());
                boolean fast = o.repeat() != 0 && step > 0;
                long done = 0;
                try {
                    for (; done < n; done++) {
                        if (fast && (done += BlockMove.fill(c, o, width, n - done, v)) == n) {
                            break;
                        }
                        c.write(target(c, o, width, true), o.size(), v);
                        advance(c, Cpu.RDI, width, step);
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, true);
            };

    private static final Action LOAD =
            (c, o) -> {
                int width = width(o);
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long done = 0;
                try {
                    for (; done < n; done++) {
                        c.set(Cpu.RAX, o.size(), c.read(source(c, o, width), o.size()));
                        advance(c, Cpu.RSI, width, step(c, o));
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, true);
            };

    private static final Action COMPARE =
            (c, o) -> {
                int width = width(o);
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long done = 0;
                boolean again = true;
                try {
                    while (done < n) {
                        long a = c.read(source(c, o, width), o.size());
                        long b = c.read(target(c, o, width, false), o.size());
                        advance(c, Cpu.RSI, width, step(c, o));
                        advance(c, Cpu.RDI, width, step(c, o));
                        Alu.op(c, Alu.CMP, o.size(), a, b);
                        done++;
                        if (ends(c, o)) {
                            again = false;
                            break;
                        }
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, again);
            };

    private static final Action SCAN =
            (c, o) -> {
                int width = width(o);
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long done = 0;
                boolean again = true;
                try {
                    while (done < n) {
                        long b = c.read(target(c, o, width, false), o.size());
                        advance(c, Cpu.RDI, width, step(c, o));
                        Alu.op(c, Alu.CMP, o.size(), c.get(Cpu.RAX, o.size()), b);
                        done++;
                        if (ends(c, o)) {
                            again = false;
                            break;
                        }
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, again);
            };

    /** REPE ends at a difference, REPNE at a match. */
    private static boolean ends(Cpu c, Op o) {
        return o.repeat() != 0 && c.zero() == (o.repeat() == 0xf2);
    }

    private static final Action INPUT =
            (c, o) -> {
                int width = width(o);
                int port = c.get16(Cpu.RDX);
                SystemForms.checkPort(c, port, o.size());
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long done = 0;
                try {
                    for (; done < n; done++) {
                        long la = target(c, o, width, true);
                        // What a port gives must not be lost to a fault.
                        c.checkWrite(la, o.size());
                        c.write(la, o.size(), c.bus.readPort(port, o.size()));
                        advance(c, Cpu.RDI, width, step(c, o));
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, true);
            };

    private static final Action OUTPUT =
            (c, o) -> {
                int width = width(o);
                int port = c.get16(Cpu.RDX);
                SystemForms.checkPort(c, port, o.size());
                long n = count(c, o, width);
                n = n < 0 ? RUN : Math.min(n, RUN);
                long done = 0;
                try {
                    for (; done < n; done++) {
                        long v = c.read(source(c, o, width), o.size());
                        c.bus.writePort(port, o.size(), (int) v);
                        advance(c, Cpu.RSI, width, step(c, o));
                    }
                } catch (GuestFault f) {
                    counted(c, o, width, done, false);
                    throw f;
                }
                counted(c, o, width, done, true);
            };
}
