package lockstep.x86;

import static lockstep.x86.Cpu.CS;
import static lockstep.x86.Cpu.LDTR;
import static lockstep.x86.Cpu.NT;
import static lockstep.x86.Cpu.TR;

/** Task switches of protected mode (Intel SDM volume 3, chapter 9). */
final class Tasks {
    static final int JUMP = 0;
    static final int CALL = 1;
    static final int INTERRUPT = 2;
    static final int RETURN = 3;

    private static final int BUSY = 2 << 8;

    private Tasks() {}

    /** IRET with the nested task flag set. */
    static void back(Cpu c, long next) {
        switchTo(c, (int) c.systemRead(c.base[TR], 2), RETURN, next);
    }

    /** Switches to the task of a selector; {@code next} is where the present task goes on later. */
    static void switchTo(Cpu c, int selector, int why, long next) {
        int vector = why == RETURN ? GuestFault.TS : GuestFault.GP;
        long at =
                (selector & 4) != 0 ? -1 : Segments.descriptorAddress(c, selector, 8);
        if (at == -1 || (selector & 0xfffc) == 0) {
            throw c.fault(vector, selector & 0xfffc);
        }
        long d = c.systemRead(at, 8);
        int a = Segments.attributesOf(d);
        int type = Segments.type(a);
        boolean busy = (type & 2) != 0;
        if ((a & Cpu.S) != 0
                || (type & ~2) != Segments.TSS && (type & ~2) != Segments.TSS16
                || busy != (why == RETURN)) {
            throw c.fault(vector, selector & 0xfffc);
        }
        if (!Segments.present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        boolean wide = (type & 8) != 0;
        if (Segments.limitOf(d) < (wide ? 0x67 : 0x2b)) {
            throw c.fault(GuestFault.TS, selector & 0xfffc);
        }
        long tss = Segments.baseOf(d);
        int flags = c.flags();
        if (why == RETURN) {
            flags &= ~NT;
        }
        save(c, next, flags);
        if (why == JUMP || why == RETURN) {
            long old = Segments.descriptorAddress(c, c.selector[TR], 8);
            c.systemWrite(old + 4, 4, c.systemRead(old + 4, 4) & ~BUSY);
        }
        if (why != RETURN) {
            c.systemWrite(at + 4, 4, c.systemRead(at + 4, 4) | BUSY);
        }
        if (why == CALL || why == INTERRUPT) {
            c.systemWrite(tss, 2, c.selector[TR]);
        }
        Segments.set(c, TR, selector, tss, Segments.limitOf(d), a | BUSY);
        load(c, tss, wide, why == CALL || why == INTERRUPT);
    }

    private static void save(Cpu c, long next, int flags) {
        long tss = c.base[TR];
        if ((Segments.type(c.attributes[TR]) & 8) != 0) {
            c.systemWrite(tss + 0x20, 4, next);
            c.systemWrite(tss + 0x24, 4, flags);
            for (int i = 0; i < 8; i++) {
                c.systemWrite(tss + 0x28 + i * 4, 4, c.regs[i]);
            }
            for (int i = 0; i < 6; i++) {
                c.systemWrite(tss + 0x48 + i * 4, 2, c.selector[i]);
            }
        } else {
            c.systemWrite(tss + 0x0e, 2, next);
            c.systemWrite(tss + 0x10, 2, flags);
            for (int i = 0; i < 8; i++) {
                c.systemWrite(tss + 0x12 + i * 2, 2, c.regs[i]);
            }
            for (int i = 0; i < 4; i++) {
                c.systemWrite(tss + 0x22 + i * 2, 2, c.selector[i]);
            }
        }
    }

    private static void load(Cpu c, long tss, boolean wide, boolean nested) {
        int[] selectors = new int[6];
        long[] regs = new long[8];
        long rip;
        int flags;
        int ldt;
        long cr3 = c.cr3;
        if (wide) {
            cr3 = c.systemRead(tss + 0x1c, 4);
            rip = c.systemRead(tss + 0x20, 4);
            flags = (int) c.systemRead(tss + 0x24, 4);
            for (int i = 0; i < 8; i++) {
                regs[i] = c.systemRead(tss + 0x28 + i * 4, 4);
            }
            for (int i = 0; i < 6; i++) {
                selectors[i] = (int) c.systemRead(tss + 0x48 + i * 4, 2);
            }
            ldt = (int) c.systemRead(tss + 0x60, 2);
        } else {
            rip = c.systemRead(tss + 0x0e, 2);
            flags = (int) c.systemRead(tss + 0x10, 2);
            for (int i = 0; i < 8; i++) {
                regs[i] = c.systemRead(tss + 0x12 + i * 2, 2) | c.regs[i] & 0xffff0000L;
            }
            for (int i = 0; i < 4; i++) {
                selectors[i] = (int) c.systemRead(tss + 0x22 + i * 2, 2);
            }
            ldt = (int) c.systemRead(tss + 0x2a, 2);
        }
        if (wide && (c.cr0 & Cpu.PG) != 0 && cr3 != c.cr3) {
            SystemRegisters.loadCr3(c, cr3);
        }
        c.cr0 |= Cpu.TS;
        System.arraycopy(regs, 0, c.regs, 0, 8);
        c.setArithmeticFlags(flags);
        c.eflags = flags & ~Cpu.ARITHMETIC & 0x3f7fd7 | 2 | (nested ? NT : 0);
        c.rip = rip;
        c.dr[7] &= ~0x155L;
        for (int s = 0; s < 6; s++) {
            Segments.set(c, s, selectors[s], 0, 0, 0);
        }
        Segments.set(c, LDTR, ldt, 0, 0, Segments.LDT << 8);
        if ((flags & Cpu.VM) != 0) {
            for (int s = 0; s < 6; s++) {
                Segments.setVirtual(c, s, selectors[s]);
            }
            c.deriveMode();
            return;
        }
        loadLdt(c, ldt);
        loadCode(c, selectors[CS]);
        int level = selectors[CS] & 3;
        c.cpl = level;
        c.deriveMode();
        Segments.loadStack(c, selectors[Cpu.SS], level, GuestFault.TS);
        c.deriveMode();
        for (int s : new int[] {Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS}) {
            try {
                Segments.load(c, s, selectors[s]);
            } catch (GuestFault f) {
                throw f.vector == GuestFault.GP ? c.fault(GuestFault.TS, f.error) : f;
            }
        }
        if (rip > c.limit[CS]) {
            throw c.gp(0);
        }
    }

    private static void loadLdt(Cpu c, int ldt) {
        try {
            Segments.loadLdt(c, ldt);
        } catch (GuestFault f) {
            throw c.fault(GuestFault.TS, ldt & 0xfffc);
        }
    }

    private static void loadCode(Cpu c, int selector) {
        if ((selector & 0xfffc) == 0) {
            throw c.fault(GuestFault.TS, 0);
        }
        long d = Segments.descriptor(c, selector, GuestFault.TS);
        int a = Segments.attributesOf(d);
        int rpl = selector & 3;
        if (!Segments.code(a)
                || (Segments.conforming(a) ? Segments.dpl(a) > rpl : Segments.dpl(a) != rpl)) {
            throw c.fault(GuestFault.TS, selector & 0xfffc);
        }
        if (!Segments.present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        Segments.setFrom(c, CS, selector, Segments.markAccessed(c, selector, d));
    }
}
