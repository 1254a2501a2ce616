package lockstep.x86;

import static lockstep.x86.Cpu.CS;
import static lockstep.x86.Cpu.IF;
import static lockstep.x86.Cpu.NT;
import static lockstep.x86.Cpu.RF;
import static lockstep.x86.Cpu.SS;
import static lockstep.x86.Cpu.TF;
import static lockstep.x86.Cpu.VM;

/** Delivery of exceptions and interrupts, and the return from them (Intel SDM volume 3, chapter 7). */
final class Interrupts {
    /** An exception whose return address is the instruction that caused it. */
    static final int FAULT = 0;

    /** An exception behind an instruction. */
    static final int TRAP = 1;

    /** From outside the processor. */
    static final int EXTERNAL = 2;

    /** INT n, INT3 or INTO. */
    static final int SOFTWARE = 3;

    private static final int INTERRUPT_GATE16 = 6;
    private static final int TRAP_GATE16 = 7;
    private static final int INTERRUPT_GATE = 14;
    private static final int TRAP_GATE = 15;

    private Interrupts() {}

    /** Goes to a vector's handler; {@code at} is the return address. */
    static void deliver(Cpu c, int vector, int error, int kind, long at) {
        if (!c.protectedMode()) {
            real(c, vector, at);
        } else if (c.longMode()) {
            wide(c, vector, error, kind, at);
        } else {
            legacy(c, vector, error, kind, at);
        }
        c.halted = false;
    }

    private static void real(Cpu c, int vector, long at) {
        if (vector * 4 + 3 > c.idtLimit) {
            throw c.gp(vector * 8 + 2);
        }
        long entry = c.systemRead(c.idtBase + vector * 4, 4);
        Stack s = new Stack(c);
        s.push(c.flags() & 0xffff, 2);
        s.push(c.selector[CS], 2);
        s.push(at & 0xffff, 2);
        s.commit();
        c.eflags &= ~(IF | TF | RF | Cpu.AC);
        Segments.setReal(c, CS, (int) (entry >>> 16));
        c.deriveMode();
        c.rip = entry & 0xffff;
    }

    private static int gateError(int vector, int kind) {
        return vector * 8 + 2 + (kind == SOFTWARE ? 0 : 1);
    }

    private static int savedFlags(Cpu c, int kind) {
        // A fault sets RF in what is saved, so that a breakpoint on the instruction does not hit again.
        return kind == FAULT ? c.flags() | RF : c.flags();
    }

    private static void wide(Cpu c, int vector, int error, int kind, long at) {
        int e = gateError(vector, kind);
        if (vector * 16 + 15 > c.idtLimit) {
            throw c.gp(e);
        }
        long low = c.systemRead(c.idtBase + vector * 16L, 8);
        long high = c.systemRead(c.idtBase + vector * 16L + 8, 8);
        int ga = (int) (low >>> 32);
        int type = Segments.type(ga);
        if (type != INTERRUPT_GATE && type != TRAP_GATE || (ga & Cpu.S) != 0) {
            throw c.gp(e);
        }
        if (kind == SOFTWARE && Segments.dpl(ga) < c.cpl) {
            throw c.gp(e);
        }
        if (!Segments.present(ga)) {
            throw c.fault(GuestFault.NP, e);
        }
        int selector = (int) (low >>> 16) & 0xffff;
        long offset = low & 0xffff | low >>> 32 & 0xffff0000L | high << 32;
        int ist = ga & 7;
        if ((selector & 0xfffc) == 0) {
            throw c.gp(kind == SOFTWARE ? 0 : 1);
        }
        long d = Segments.descriptor(c, selector, GuestFault.GP);
        int a = Segments.attributesOf(d);
        if (!Segments.code(a)
                || Segments.dpl(a) > c.cpl
                || (a & (Cpu.L | Cpu.DB)) != Cpu.L) {
            throw c.gp(selector & 0xfffc);
        }
        if (!Segments.present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        int level = Segments.conforming(a) ? c.cpl : Segments.dpl(a);
        int oldSs = c.selector[SS];
        long oldSp = c.regs[Cpu.RSP];
        int flags = savedFlags(c, kind);
        Stack s =
                level < c.cpl || ist != 0
                        ? Stack.inner(c, level, ist)
                        : Stack.wide(c, level);
        s.align16();
        s.push(oldSs, 8);
        s.push(oldSp, 8);
        s.push(flags & 0xffffffffL, 8);
        s.push(c.selector[CS], 8);
        s.push(at, 8);
        if (error != GuestFault.NONE) {
            s.push(error & 0xffffffffL, 8);
        }
        if (!Paging.canonical(offset)) {
            throw c.gp(0);
        }
        s.commit();
        c.eflags &= ~(TF | NT | RF | VM);
        if (type == INTERRUPT_GATE) {
            c.eflags &= ~IF;
        }
        Segments.enter(c, selector, d, level, offset);
    }

    private static void legacy(Cpu c, int vector, int error, int kind, long at) {
        int e = gateError(vector, kind);
        if (vector * 8 + 7 > c.idtLimit) {
            throw c.gp(e);
        }
        long gate = c.systemRead(c.idtBase + vector * 8L, 8);
        int ga = (int) (gate >>> 32);
        int type = Segments.type(ga);
        boolean known =
                type == INTERRUPT_GATE16
                        || type == TRAP_GATE16
                        || type == INTERRUPT_GATE
                        || type == TRAP_GATE
                        || type == Segments.TASK_GATE;
        if (!known || (ga & Cpu.S) != 0 || kind == SOFTWARE && Segments.dpl(ga) < c.cpl) {
            throw c.gp(e);
        }
        if (!Segments.present(ga)) {
            throw c.fault(GuestFault.NP, e);
        }
        int selector = (int) (gate >>> 16) & 0xffff;
        if (type == Segments.TASK_GATE) {
            Tasks.switchTo(c, selector, Tasks.INTERRUPT, at);
            if (error != GuestFault.NONE) {
                Stack s = new Stack(c);
                s.push(error, (Segments.type(c.attributes[Cpu.TR]) & 8) != 0 ? 4 : 2);
                s.commit();
            }
            return;
        }
        boolean wide = (type & 8) != 0;
        int size = wide ? 4 : 2;
        long offset = wide ? gate & 0xffff | gate >>> 32 & 0xffff0000L : gate & 0xffff;
        int external = kind == SOFTWARE ? 0 : 1;
        if ((selector & 0xfffc) == 0) {
            throw c.gp(external);
        }
        long d = Segments.descriptor(c, selector, GuestFault.GP);
        int a = Segments.attributesOf(d);
        if (!Segments.code(a) || Segments.dpl(a) > c.cpl) {
            throw c.gp(selector & 0xfffc | external);
        }
        if (!Segments.present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc | external);
        }
        int level = Segments.conforming(a) ? c.cpl : Segments.dpl(a);
        boolean fromVirtual = c.virtual8086();
        if (fromVirtual && level != 0) {
            throw c.gp(selector & 0xfffc | external);
        }
        int flags = savedFlags(c, kind);
        int oldSs = c.selector[SS];
        long oldSp = c.regs[Cpu.RSP];
        Stack s;
        if (level < c.cpl) {
            s = Stack.inner(c, level, 0);
            if (fromVirtual) {
                for (int r : new int[] {Cpu.GS, Cpu.FS, Cpu.DS, Cpu.ES}) {
                    s.push(c.selector[r], size);
                }
            }
            s.push(oldSs, size);
            s.push(oldSp, size);
        } else {
            s = new Stack(c);
        }
        s.push(flags & 0xffffffffL, size);
        s.push(c.selector[CS], size);
        s.push(at, size);
        if (error != GuestFault.NONE) {
            s.push(error & 0xffffffffL, size);
        }
        Segments.checkTarget(c, d, offset);
        s.commit();
        if (fromVirtual) {
            for (int r : new int[] {Cpu.GS, Cpu.FS, Cpu.DS, Cpu.ES}) {
                Segments.set(c, r, 0, 0, 0, 0);
            }
        }
        c.eflags &= ~(TF | NT | RF | VM);
        if ((type & 1) == 0) {
            c.eflags &= ~IF;
        }
        Segments.enter(c, selector, d, level, offset);
    }

    // ---- IRET

    static void ret(Cpu c, int size, long next) {
        c.nmiMasked = false;
        if (!c.protectedMode()) {
            Stack s = new Stack(c);
            long offset = s.pop(size);
            int selector = (int) s.pop(size) & 0xffff;
            int flags = (int) s.pop(size);
            if (offset > c.limit[CS]) {
                throw c.gp(0);
            }
            s.commit();
            Segments.setReal(c, CS, selector);
            c.deriveMode();
            c.rip = offset;
            setFlags(c, flags, size, true, true, true);
            return;
        }
        if (c.virtual8086()) {
            virtual(c, size);
            return;
        }
        if ((c.eflags & NT) != 0) {
            if (c.longMode()) {
                throw c.gp(0);
            }
            Tasks.back(c, next);
            return;
        }
        Stack s = new Stack(c);
        long offset = s.pop(size);
        int selector = (int) s.pop(size) & 0xffff;
        int flags = (int) s.pop(size);
        if (!c.longMode() && (flags & VM) != 0 && c.cpl == 0 && size == 4) {
            toVirtual(c, s, offset, selector, flags);
            return;
        }
        int old = c.cpl;
        boolean interrupts = old <= c.iopl();
        Segments.returnTo(c, s, selector, offset, size, 0, c.codeSize == 64);
        setFlags(c, flags, size, old == 0, interrupts, false);
    }

    private static void virtual(Cpu c, int size) {
        if (c.iopl() != 3) {
            throw c.gp(0);
        }
        Stack s = new Stack(c);
        long offset = s.pop(size);
        int selector = (int) s.pop(size) & 0xffff;
        int flags = (int) s.pop(size);
        if (offset > 0xffff) {
            throw c.gp(0);
        }
        s.commit();
        Segments.setVirtual(c, CS, selector);
        c.rip = offset;
        setFlags(c, flags, size, false, true, false);
    }

    private static void toVirtual(Cpu c, Stack s, long offset, int selector, int flags) {
        long sp = s.pop(4);
        int ss = (int) s.pop(4);
        int es = (int) s.pop(4);
        int ds = (int) s.pop(4);
        int fs = (int) s.pop(4);
        int gs = (int) s.pop(4);
        c.setArithmeticFlags(flags);
        c.eflags =
                flags
                                & (TF
                                        | IF
                                        | Cpu.DF
                                        | Cpu.IOPL
                                        | NT
                                        | RF
                                        | VM
                                        | Cpu.AC
                                        | Cpu.ID
                                        | Cpu.VIF
                                        | Cpu.VIP)
                        | 2;
        Segments.setVirtual(c, CS, selector & 0xffff);
        Segments.setVirtual(c, SS, ss & 0xffff);
        Segments.setVirtual(c, Cpu.ES, es & 0xffff);
        Segments.setVirtual(c, Cpu.DS, ds & 0xffff);
        Segments.setVirtual(c, Cpu.FS, fs & 0xffff);
        Segments.setVirtual(c, Cpu.GS, gs & 0xffff);
        c.regs[Cpu.RSP] = sp & 0xffffffffL;
        c.rip = offset & 0xffff;
        c.deriveMode();
    }

    /** POPF and IRET: the flags that the privileges allow to change. */
    static void setFlags(
            Cpu c, int flags, int size, boolean privileged, boolean interrupts, boolean real) {
        int mask = TF | Cpu.DF | NT | RF | Cpu.AC | Cpu.ID;
        if (privileged) {
            mask |= Cpu.IOPL | (real ? 0 : Cpu.VIF | Cpu.VIP);
        }
        if (interrupts) {
            mask |= IF;
        }
        if (size == 2) {
            mask &= 0xffff;
        }
        c.setArithmeticFlags(flags);
        c.eflags = c.eflags & ~mask | flags & mask;
        c.resumed = (c.eflags & RF) != 0;
    }
}
