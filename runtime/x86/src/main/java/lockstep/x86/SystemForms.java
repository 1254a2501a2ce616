package lockstep.x86;

import lockstep.x86.Op.Action;

/** The instructions of operating systems, but for those of {@link FlagForms} and {@link PortForms}. */
final class SystemForms {
    private SystemForms() {}

    static void install(Decoder.Form[] one, Decoder.Form[] two) {
        one[0xf4] =
                d ->
                        d.last(
                                (c, o) -> {
                                    privileged(c);
                                    c.halted = true;
                                });
        one[0x62] =
                d -> {
                    ArithmeticForms.legacy(d).modrm();
                    if (!d.memoryOperand()) {
                        throw d.none();
                    }
                    return d.op(BOUND);
                };
        two[0x00] = SystemForms::group6;
        two[0x01] = SystemForms::group7;
        two[0x02] = d -> d.modrm().op(LOAD_ACCESS_RIGHTS);
        two[0x03] = d -> d.modrm().op(LOAD_LIMIT);
        two[0x05] = d -> d.last(SYSCALL);
        two[0x06] =
                d ->
                        d.last(
                                (c, o) -> {
                                    privileged(c);
                                    c.cr0 &= ~Cpu.TS;
                                });
        two[0x07] = d -> d.last(SYSRET);
        two[0x08] = d -> d.op((c, o) -> privileged(c));
        two[0x09] = d -> d.op((c, o) -> privileged(c));
        two[0x0b] =
                d -> {
                    throw d.none();
                };
        two[0x0d] = d -> d.modrm().op(MoveForms.NOTHING);
        for (int n = 0x18; n < 0x20; n++) {
            two[n] = d -> d.modrm().op(MoveForms.NOTHING);
        }
        control(two);
        two[0x30] =
                d ->
                        d.last(
                                (c, o) -> {
                                    privileged(c);
                                    long v = c.regs[Cpu.RDX] << 32 | c.regs[Cpu.RAX] & 0xffffffffL;
                                    SystemRegisters.writeMsr(c, (int) c.regs[Cpu.RCX], v);
                                });
        two[0x31] = d -> d.op(READ_TSC);
        two[0x32] =
                d ->
                        d.op(
                                (c, o) -> {
                                    privileged(c);
                                    pair(c, SystemRegisters.readMsr(c, (int) c.regs[Cpu.RCX]));
                                });
        two[0x33] =
                d ->
                        d.op(
                                (c, o) -> {
                                    throw c.gp(0); // there are no counters
                                });
        two[0x34] = d -> d.last(SYSENTER);
        two[0x35] = d -> d.last(SYSEXIT);
        two[0xa2] = d -> d.op(CPUID);
        two[0xc7] = SystemForms::group9;
    }

    static void privileged(Cpu c) {
        if (c.cpl != 0) {
            throw c.gp(0);
        }
    }

    private static void pair(Cpu c, long v) {
        c.regs[Cpu.RAX] = v & 0xffffffffL;
        c.regs[Cpu.RDX] = v >>> 32;
    }

    // ---- descriptor tables and selectors

    private static final Action BOUND =
            (c, o) -> {
                int size = o.size();
                long la = c.source(o, size * 2);
                long low = Alu.signExtend(c.read(la, size), size);
                long high = Alu.signExtend(c.read(la + size, size), size);
                long v = Alu.signExtend(c.get(o.a(), size), size);
                if (v < low || v > high) {
                    throw c.fault(GuestFault.BR, GuestFault.NONE);
                }
            };

    private static int selector(Cpu c, Op o) {
        return o.inMemory() ? c.read16(c.source(o, 2)) : c.get16(o.b());
    }

    private static void store(Cpu c, Op o, long v) {
        if (o.inMemory()) {
            c.write16(c.target(o, 2), (int) v);
        } else {
            c.set(o.b(), o.size(), v);
        }
    }

    private static void needProtected(Cpu c) {
        if (c.realOrVirtual()) {
            throw c.undefined();
        }
    }

    private static Op group6(Decoder d) {
        d.modrm();
        return switch (d.reg & 7) {
            case 0 ->
                    d.op(
                            (c, o) -> {
                                needProtected(c);
                                store(c, o, c.selector[Cpu.LDTR] & 0xffff);
                            });
            case 1 ->
                    d.op(
                            (c, o) -> {
                                needProtected(c);
                                store(c, o, c.selector[Cpu.TR] & 0xffff);
                            });
            case 2 ->
                    d.op(
                            (c, o) -> {
                                needProtected(c);
                                privileged(c);
                                Segments.loadLdt(c, selector(c, o));
                            });
            case 3 ->
                    d.op(
                            (c, o) -> {
                                needProtected(c);
                                privileged(c);
                                Segments.loadTask(c, selector(c, o));
                            });
            case 4 -> d.op((c, o) -> verify(c, selector(c, o), false));
            case 5 -> d.op((c, o) -> verify(c, selector(c, o), true));
            default -> throw d.none();
        };
    }

    /** The descriptor of a selector that LAR, LSL, VERR or VERW may see, or 0. */
    private static long visible(Cpu c, int selector) {
        if ((selector & 0xfffc) == 0) {
            return 0;
        }
        long at = Segments.descriptorAddress(c, selector, 8);
        if (at == -1) {
            return 0;
        }
        long d = c.systemRead(at, 8);
        int a = Segments.attributesOf(d);
        boolean conforming = Segments.code(a) && Segments.conforming(a);
        int dpl = Segments.dpl(a);
        if (!conforming && (dpl < c.cpl || dpl < (selector & 3))) {
            return 0;
        }
        return d;
    }

    private static void verify(Cpu c, int selector, boolean write) {
        needProtected(c);
        long d = visible(c, selector);
        int a = Segments.attributesOf(d);
        boolean ok = d != 0 && (a & Cpu.S) != 0;
        if (ok) {
            ok =
                    write
                            ? !Segments.code(a) && (a & Cpu.TYPE_WRITE) != 0
                            : !Segments.code(a) || (a & Cpu.TYPE_WRITE) != 0;
        }
        c.setZero(ok);
    }

    private static final Action LOAD_ACCESS_RIGHTS =
            (c, o) -> {
                needProtected(c);
                long d = visible(c, selector(c, o));
                int a = Segments.attributesOf(d);
                boolean ok = d != 0;
                if (ok && (a & Cpu.S) == 0) {
                    ok =
                            switch (Segments.type(a)) {
                                case Segments.LDT, Segments.TSS, Segments.TSS_BUSY,
                                        Segments.CALL_GATE ->
                                        true;
                                case Segments.TSS16, Segments.TSS16_BUSY, Segments.CALL_GATE16,
                                        Segments.TASK_GATE ->
                                        !c.longMode();
                                default -> false;
                            };
                }
                if (ok) {
                    c.set(o.a(), o.size(), d >>> 32 & 0x00f0ff00L);
                }
                c.setZero(ok);
            };

    private static final Action LOAD_LIMIT =
            (c, o) -> {
                needProtected(c);
                long d = visible(c, selector(c, o));
                int a = Segments.attributesOf(d);
                boolean ok = d != 0;
                if (ok && (a & Cpu.S) == 0) {
                    ok =
                            switch (Segments.type(a)) {
                                case Segments.LDT, Segments.TSS, Segments.TSS_BUSY -> true;
                                case Segments.TSS16, Segments.TSS16_BUSY -> !c.longMode();
                                default -> false;
                            };
                }
                if (ok) {
                    c.set(o.a(), o.size(), Segments.limitOf(d));
                }
                c.setZero(ok);
            };

    /** ARPL, which in 64-bit mode is another instruction. */
    static Op adjustPrivilege(Decoder d) {
        d.modrm();
        return d.op(
                (c, o) -> {
                    needProtected(c);
                    int to = selector(c, o);
                    int rpl = c.get16(o.a()) & 3;
                    boolean change = (to & 3) < rpl;
                    if (change) {
                        int v = to & ~3 | rpl;
                        if (o.inMemory()) {
                            c.write16(c.target(o, 2), v);
                        } else {
                            c.set16(o.b(), v);
                        }
                    }
                    c.setZero(change);
                });
    }

    private static Op group7(Decoder d) {
        d.modrm();
        int reg = d.reg & 7;
        if (!d.memoryOperand()) {
            return group7Register(d, reg);
        }
        int bytes = d.long64() ? 8 : 4;
        d.a = bytes;
        return switch (reg) {
            case 0 -> d.op((c, o) -> storeTable(c, o, c.gdtBase, c.gdtLimit));
            case 1 -> d.op((c, o) -> storeTable(c, o, c.idtBase, c.idtLimit));
            case 2 ->
                    d.op(
                            (c, o) -> {
                                privileged(c);
                                long la = c.source(o, 2 + o.a());
                                int limit = c.read16(la);
                                c.gdtBase = tableBase(c, o, la);
                                c.gdtLimit = limit;
                            });
            case 3 ->
                    d.op(
                            (c, o) -> {
                                privileged(c);
                                long la = c.source(o, 2 + o.a());
                                int limit = c.read16(la);
                                c.idtBase = tableBase(c, o, la);
                                c.idtLimit = limit;
                            });
            case 4 -> d.op((c, o) -> store(c, o, c.cr0 & 0xffff));
            case 6 -> d.last(LOAD_STATUS);
            case 7 ->
                    d.last(
                            (c, o) -> {
                                privileged(c);
                                long la = c.offset(o) + c.base[o.segment()];
                                c.flushPage(c.longMode() ? la : la & 0xffffffffL);
                            });
            default -> throw d.none();
        };
    }

    private static void storeTable(Cpu c, Op o, long base, int limit) {
        long la = c.target(o, 2 + o.a());
        c.checkWrite(la, 2 + o.a());
        c.write16(la, limit);
        c.write(la + 2, o.a(), base);
    }

    private static long tableBase(Cpu c, Op o, long la) {
        long base = c.read(la + 2, o.a());
        if (o.a() == 8) {
            if (!Paging.canonical(base)) {
                throw c.gp(0);
            }
            return base;
        }
        return o.size() == 2 ? base & 0xffffff : base;
    }

    private static final Action LOAD_STATUS =
            (c, o) -> {
                privileged(c);
                int v = selector(c, o);
                // PE can be set, not cleared.
                SystemRegisters.loadCr0(
                        c, c.cr0 & 0xffffffffL & ~0xeL | v & 0xf);
            };

    private static Op group7Register(Decoder d, int reg) {
        int low = d.rm & 7;
        switch (reg) {
            case 4 -> {
                return d.op(
                        (c, o) -> c.set(o.b(), o.size(), c.cr0 & 0xffffffffL));
            }
            case 6 -> {
                return d.last(LOAD_STATUS);
            }
            case 2 -> {
                if (low == 0) {
                    return d.op(XGETBV);
                }
                if (low == 1) {
                    return d.last(XSETBV);
                }
            }
            case 1 -> {
                if (low < 2) {
                    return d.last(low == 0 ? MONITOR : MWAIT);
                }
            }
            case 7 -> {
                if (low == 0 && d.long64()) {
                    return d.op(
                            (c, o) -> {
                                privileged(c);
                                long v = c.base[Cpu.GS];
                                c.base[Cpu.GS] = c.kernelGsBase;
                                c.kernelGsBase = v;
                            });
                }
                if (low == 1) {
                    return d.op(
                            (c, o) -> {
                                if (!c.cpuid.edxExtended(27)) {
                                    throw c.undefined();
                                }
                                READ_TSC.run(c, o);
                                c.regs[Cpu.RCX] = c.tscAux & 0xffffffffL;
                            });
                }
            }
            default -> {}
        }
        throw d.none();
    }

    private static final Action MONITOR =
            (c, o) -> {
                if (!c.cpuid.ecx1(3) || c.cpl != 0) {
                    throw c.undefined();
                }
            };

    /** Waits for an interrupt at the most: a store to the monitored line may not be seen, so it does not wait at all. */
    private static final Action MWAIT = MONITOR;

    private static final Action XGETBV =
            (c, o) -> {
                if ((c.cr4 & Cpu.OSXSAVE) == 0) {
                    throw c.undefined();
                }
                if ((int) c.regs[Cpu.RCX] != 0) {
                    throw c.gp(0);
                }
                pair(c, c.xcr0);
            };

    private static final Action XSETBV =
            (c, o) -> {
                if ((c.cr4 & Cpu.OSXSAVE) == 0) {
                    throw c.undefined();
                }
                privileged(c);
                long v = c.regs[Cpu.RDX] << 32 | c.regs[Cpu.RAX] & 0xffffffffL;
                if ((int) c.regs[Cpu.RCX] != 0 || (v & ~3L) != 0 || (v & 1) == 0) {
                    throw c.gp(0);
                }
                c.xcr0 = v;
            };

    // ---- control and debug registers

    private static void control(Decoder.Form[] two) {
        two[0x20] = d -> move(d, false, READ_CONTROL);
        two[0x21] = d -> move(d, false, READ_DEBUG);
        two[0x22] = d -> move(d, true, WRITE_CONTROL);
        two[0x23] = d -> move(d, true, WRITE_DEBUG);
    }

    private static Op move(Decoder d, boolean write, Action action) {
        d.modrm();
        // The mod field does not count: the operand is a register always.
        d.b = d.rm & 7 | (d.rex & 1) << 3;
        d.size = d.long64() ? 8 : 4;
        if (d.lock && !d.long64() && d.reg == 0) {
            d.reg = 8; // AMD's way to CR8 outside 64-bit mode
            d.a = 8;
            d.lockable = true;
        }
        return write ? d.last(action) : d.op(action);
    }

    private static final Action READ_CONTROL =
            (c, o) -> {
                privileged(c);
                c.set(o.b(), o.size(), SystemRegisters.readControl(c, o.a()));
            };

    private static final Action WRITE_CONTROL =
            (c, o) -> {
                privileged(c);
                SystemRegisters.writeControl(c, o.a(), c.get(o.b(), o.size()));
            };

    private static final Action READ_DEBUG =
            (c, o) -> {
                privileged(c);
                c.set(o.b(), o.size(), SystemRegisters.readDebug(c, o.a()));
            };

    private static final Action WRITE_DEBUG =
            (c, o) -> {
                privileged(c);
                SystemRegisters.writeDebug(c, o.a(), c.get(o.b(), o.size()));
            };

    private static final Action READ_TSC =
            (c, o) -> {
                if (c.cpl != 0 && (c.cr4 & Cpu.TSD) != 0) {
                    throw c.gp(0);
                }
                pair(c, c.bus.timestamp());
            };

    private static final Action CPUID =
            (c, o) -> {
                int function = (int) c.regs[Cpu.RAX];
                CpuidTable.Leaf l = c.cpuid.find(function, (int) c.regs[Cpu.RCX]);
                int ecx = l.ecx();
                if (function == 1) {
                    ecx = ecx & ~(1 << 27) | ((c.cr4 & Cpu.OSXSAVE) != 0 ? 1 << 27 : 0);
                }
                c.regs[Cpu.RAX] = l.eax() & 0xffffffffL;
                c.regs[Cpu.RBX] = l.ebx() & 0xffffffffL;
                c.regs[Cpu.RCX] = ecx & 0xffffffffL;
                c.regs[Cpu.RDX] = l.edx() & 0xffffffffL;
            };

    private static Op group9(Decoder d) {
        d.modrm();
        if (!d.memoryOperand() || (d.reg & 7) != 1) {
            throw d.none();
        }
        d.lockable = true;
        return d.op(BitForms.COMPARE_EXCHANGE_PAIR);
    }

    // ---- fast system calls

    private static void flatSegment(Cpu c, int s, int selector, int attributes) {
        Segments.set(c, s, selector, 0, 0xffffffffL, attributes);
    }

    private static final int CODE_64 = Cpu.G | Cpu.L | Cpu.P | Cpu.S | 0xb00;
    private static final int CODE_32 = Cpu.G | Cpu.DB | Cpu.P | Cpu.S | 0xb00;
    private static final int DATA = Cpu.G | Cpu.DB | Cpu.P | Cpu.S | 0x300;
    private static final int USER = 3 << 13;

    private static final Action SYSCALL =
            (c, o) -> {
                if ((c.efer & Cpu.SCE) == 0) {
                    throw c.undefined();
                }
                int cs = (int) (c.star >>> 32) & 0xfffc;
                long next = c.rip;
                if (c.longMode()) {
                    boolean wide = c.codeSize == 64;
                    c.regs[Cpu.RCX] = next;
                    c.regs[11] = c.flags() & ~Cpu.RF & 0xffffffffL;
                    int f = c.flags() & ~(int) c.fmask & ~Cpu.RF;
                    c.setArithmeticFlags(f);
                    c.eflags = f & ~Cpu.ARITHMETIC | 2;
                    flatSegment(c, Cpu.CS, cs, CODE_64);
                    flatSegment(c, Cpu.SS, cs + 8, DATA);
                    c.cpl = 0;
                    c.deriveMode();
                    c.rip = wide ? c.lstar : c.cstar;
                } else {
                    c.regs[Cpu.RCX] = next & 0xffffffffL;
                    c.eflags &= ~(Cpu.IF | Cpu.RF | Cpu.VM);
                    flatSegment(c, Cpu.CS, cs, CODE_32);
                    flatSegment(c, Cpu.SS, cs + 8, DATA);
                    c.cpl = 0;
                    c.deriveMode();
                    c.rip = c.star & 0xffffffffL;
                }
            };

    private static final Action SYSRET =
            (c, o) -> {
                if ((c.efer & Cpu.SCE) == 0) {
                    throw c.undefined();
                }
                if (c.cpl != 0 || !c.protectedMode()) {
                    throw c.gp(0);
                }
                int base = (int) (c.star >>> 48) & 0xffff;
                if (c.codeSize == 64) {
                    boolean wide = o.size() == 8;
                    long to = c.regs[Cpu.RCX];
                    if (wide && !Paging.canonical(to)) {
                        throw c.gp(0);
                    }
                    int f = (int) c.regs[11] & 0x3c7fd7;
                    c.setArithmeticFlags(f);
                    c.eflags = f & ~Cpu.ARITHMETIC | 2;
                    flatSegment(
                            c,
                            Cpu.CS,
                            (wide ? base + 16 : base) | 3,
                            (wide ? CODE_64 : CODE_32) | USER);
                    c.rip = wide ? to : to & 0xffffffffL;
                } else {
                    c.eflags |= Cpu.IF;
                    flatSegment(c, Cpu.CS, base | 3, CODE_32 | USER);
                    c.rip = c.regs[Cpu.RCX] & 0xffffffffL;
                }
                flatSegment(c, Cpu.SS, base + 8 | 3, DATA | USER);
                c.cpl = 3;
                c.deriveMode();
            };

    private static final Action SYSENTER =
            (c, o) -> {
                if (!c.protectedMode() || (c.sysenterCs & 0xfffc) == 0) {
                    throw c.gp(0);
                }
                if (!c.cpuid.edx1(11)) {
                    throw c.undefined();
                }
                c.eflags &= ~(Cpu.VM | Cpu.IF | Cpu.RF);
                boolean wide = c.longMode();
                int cs = c.sysenterCs & 0xfffc;
                flatSegment(c, Cpu.CS, cs, wide ? CODE_64 : CODE_32);
                flatSegment(c, Cpu.SS, cs + 8, DATA);
                c.cpl = 0;
                c.deriveMode();
                c.regs[Cpu.RSP] = wide ? c.sysenterEsp : c.sysenterEsp & 0xffffffffL;
                c.rip = wide ? c.sysenterEip : c.sysenterEip & 0xffffffffL;
            };

    private static final Action SYSEXIT =
            (c, o) -> {
                if (!c.protectedMode() || c.cpl != 0 || (c.sysenterCs & 0xfffc) == 0) {
                    throw c.gp(0);
                }
                boolean wide = c.codeSize == 64 && o.size() == 8;
                int cs = c.sysenterCs & 0xfffc;
                long to = c.regs[Cpu.RDX];
                long sp = c.regs[Cpu.RCX];
                if (wide && (!Paging.canonical(to) || !Paging.canonical(sp))) {
                    throw c.gp(0);
                }
                flatSegment(
                        c,
                        Cpu.CS,
                        cs + (wide ? 32 : 16) | 3,
                        (wide ? CODE_64 : CODE_32) | USER);
                flatSegment(c, Cpu.SS, cs + (wide ? 40 : 24) | 3, DATA | USER);
                c.cpl = 3;
                c.deriveMode();
                c.regs[Cpu.RSP] = wide ? sp : sp & 0xffffffffL;
                c.rip = wide ? to : to & 0xffffffffL;
            };
}
