package lockstep.x86;

import static lockstep.x86.Cpu.CS;
import static lockstep.x86.Cpu.DB;
import static lockstep.x86.Cpu.G;
import static lockstep.x86.Cpu.L;
import static lockstep.x86.Cpu.LDTR;
import static lockstep.x86.Cpu.P;
import static lockstep.x86.Cpu.S;
import static lockstep.x86.Cpu.SS;
import static lockstep.x86.Cpu.TR;
import static lockstep.x86.Cpu.TYPE_ACCESSED;
import static lockstep.x86.Cpu.TYPE_CODE;
import static lockstep.x86.Cpu.TYPE_DOWN;
import static lockstep.x86.Cpu.TYPE_WRITE;

/** Segment registers, descriptors, and the transfers between segments (Intel SDM volume 3, chapters 3, 6 and 8). */
final class Segments {
    // System descriptor types.
    static final int TSS16 = 1;
    static final int LDT = 2;
    static final int TSS16_BUSY = 3;
    static final int CALL_GATE16 = 4;
    static final int TASK_GATE = 5;
    static final int TSS = 9;
    static final int TSS_BUSY = 11;
    static final int CALL_GATE = 12;

    private Segments() {}

    static int dpl(int attributes) {
        return attributes >> 13 & 3;
    }

    static int type(int attributes) {
        return attributes >> 8 & 15;
    }

    static boolean code(int attributes) {
        return (attributes & (S | TYPE_CODE)) == (S | TYPE_CODE);
    }

    static boolean conforming(int attributes) {
        return (attributes & TYPE_DOWN) != 0;
    }

    static boolean present(int attributes) {
        return (attributes & P) != 0;
    }

    static long baseOf(long descriptor) {
        return descriptor >>> 16 & 0xffffff | descriptor >>> 32 & 0xff000000L;
    }

    static long limitOf(long descriptor) {
        long limit = descriptor & 0xffff | descriptor >>> 32 & 0xf0000;
        return (descriptor >>> 32 & G) != 0 ? limit << 12 | 0xfff : limit;
    }

    static int attributesOf(long descriptor) {
        return (int) (descriptor >>> 32) & 0x00f0ff00;
    }

    /** The linear address of a selector's descriptor, or -1 when it is outside its table. */
    static long descriptorAddress(Cpu c, int selector, int bytes) {
        int at = selector & 0xfff8;
        if ((selector & 4) != 0) {
            if ((c.selector[LDTR] & 0xfffc) == 0 && !present(c.attributes[LDTR])) {
                return -1;
            }
            return at + bytes - 1 > c.limit[LDTR] ? -1 : c.base[LDTR] + at;
        }
        return at + bytes - 1 > c.gdtLimit ? -1 : c.gdtBase + at;
    }

    /** The descriptor of a selector, or a fault with the selector as its error code. */
    static long descriptor(Cpu c, int selector, int vector) {
        long at = descriptorAddress(c, selector, 8);
        if (at == -1) {
            throw c.fault(vector, selector & 0xfffc);
        }
        return c.systemRead(at, 8);
    }

    /** Sets the accessed bit of a descriptor in its table. */
    static long markAccessed(Cpu c, int selector, long descriptor) {
        long bit = (long) TYPE_ACCESSED << 32;
        if ((descriptor & bit) == 0) {
            long at = descriptorAddress(c, selector, 8);
            c.systemWrite(at + 5, 1, descriptor >>> 40 & 0xff | 1);
        }
        return descriptor | bit;
    }

    static void set(Cpu c, int s, int selector, long base, long limit, int attributes) {
        c.selector[s] = selector;
        c.base[s] = base;
        c.limit[s] = limit;
        c.attributes[s] = attributes;
        c.deriveFlat(s);
    }

    static void setFrom(Cpu c, int s, int selector, long descriptor) {
        set(c, s, selector, baseOf(descriptor), limitOf(descriptor), attributesOf(descriptor));
    }

    /** What a segment register has in real mode: limit and attributes stay, so that unreal mode works. */
    static void setReal(Cpu c, int s, int selector) {
        c.selector[s] = selector;
        c.base[s] = (selector & 0xffffL) << 4;
        c.deriveFlat(s);
    }

    /** What it has in virtual-8086 mode. */
    static void setVirtual(Cpu c, int s, int selector) {
        set(c, s, selector, (selector & 0xffffL) << 4, 0xffff, P | 3 << 13 | S | TYPE_WRITE | TYPE_ACCESSED);
    }

    /** MOV or POP to a segment register other than CS. */
    static void load(Cpu c, int s, int selector) {
        if (!c.protectedMode()) {
            setReal(c, s, selector);
        } else if (c.virtual8086()) {
            setVirtual(c, s, selector);
        } else if (s == SS) {
            loadStack(c, selector, c.cpl, GuestFault.GP);
        } else {
            loadData(c, s, selector);
        }
        if (s == SS) {
            c.deriveMode();
        }
    }

    private static void loadData(Cpu c, int s, int selector) {
        if ((selector & 0xfffc) == 0) {
            set(c, s, selector, 0, 0, 0);
            return;
        }
        long d = descriptor(c, selector, GuestFault.GP);
        int a = attributesOf(d);
        boolean readable = (a & TYPE_CODE) == 0 || (a & TYPE_WRITE) != 0;
        boolean guarded = (a & TYPE_CODE) == 0 || !conforming(a);
        if ((a & S) == 0
                || !readable
                || guarded && (dpl(a) < (selector & 3) || dpl(a) < c.cpl)) {
            throw c.gp(selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        setFrom(c, s, selector, markAccessed(c, selector, d));
    }

    /** Loads SS for a privilege level; {@code vector} is #GP, or #TS while a task or level changes. */
    static void loadStack(Cpu c, int selector, int level, int vector) {
        if ((selector & 0xfffc) == 0) {
            if (c.codeSize == 64 && level != 3 && (selector & 3) == level) {
                set(c, SS, selector, 0, 0xffffffffL, level << 13 | P | S | TYPE_WRITE | DB | G);
                return;
            }
            throw c.fault(vector, 0);
        }
        long d = checkStack(c, selector, level, vector);
        setFrom(c, SS, selector, markAccessed(c, selector, d));
    }

    /** The descriptor of a stack segment for a privilege level, checked. */
    static long checkStack(Cpu c, int selector, int level, int vector) {
        if ((selector & 0xfffc) == 0) {
            throw c.fault(vector, 0);
        }
        long d = descriptor(c, selector, vector);
        int a = attributesOf(d);
        if ((selector & 3) != level
                || (a & (S | TYPE_CODE | TYPE_WRITE)) != (S | TYPE_WRITE)
                || dpl(a) != level) {
            throw c.fault(vector, selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.SS, selector & 0xfffc);
        }
        return d;
    }

    /** LLDT. */
    static void loadLdt(Cpu c, int selector) {
        if ((selector & 0xfffc) == 0) {
            set(c, LDTR, selector, 0, 0, LDT << 8);
            return;
        }
        loadSystem(c, LDTR, selector, LDT, LDT);
    }

    /** LTR. */
    static void loadTask(Cpu c, int selector) {
        if ((selector & 0xfffc) == 0) {
            throw c.gp(0);
        }
        loadSystem(c, TR, selector, TSS, c.longMode() ? TSS : TSS16);
        long at = descriptorAddress(c, selector, 8);
        c.systemWrite(at + 5, 1, c.systemRead(at + 5, 1) | 2);
        c.attributes[TR] |= 2 << 8;
    }

    private static void loadSystem(Cpu c, int s, int selector, int type, int other) {
        int bytes = c.longMode() ? 16 : 8;
        long at = (selector & 4) != 0 ? -1 : descriptorAddress(c, selector, bytes);
        if (at == -1) {
            throw c.gp(selector & 0xfffc);
        }
        long d = c.systemRead(at, 8);
        int a = attributesOf(d);
        if ((a & S) != 0 || type(a) != type && type(a) != other) {
            throw c.gp(selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        long base = baseOf(d);
        if (c.longMode()) {
            base |= c.systemRead(at + 8, 4) << 32;
            if (!Paging.canonical(base)) {
                throw c.gp(selector & 0xfffc);
            }
        }
        set(c, s, selector, base, limitOf(d), a);
    }

    // ---- far transfers

    /** Checks a code descriptor for a jump or call without a gate, and gives what CS is loaded with. */
    static long checkCode(Cpu c, int selector, long d) {
        int a = attributesOf(d);
        int rpl = selector & 3;
        boolean wrong =
                conforming(a)
                        ? dpl(a) > c.cpl
                        : rpl > c.cpl || dpl(a) != c.cpl;
        if (wrong || c.longMode() && (a & (L | DB)) == (L | DB)) {
            throw c.gp(selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        return d;
    }

    /** Loads CS at a privilege level, checks the offset, and goes there. */
    static void enter(Cpu c, int selector, long d, int level, long offset) {
        checkTarget(c, d, offset);
        setFrom(c, CS, selector & 0xfffc | level, markAccessed(c, selector, d));
        c.cpl = level;
        c.deriveMode();
        c.rip = offset;
    }

    static void checkTarget(Cpu c, long d, long offset) {
        boolean wide = c.longMode() && (attributesOf(d) & L) != 0;
        if (wide ? !Paging.canonical(offset) : offset > limitOf(d)) {
            throw c.gp(0);
        }
    }

    private static void enterReal(Cpu c, int selector, long offset) {
        if (offset > c.limit[CS]) {
            throw c.gp(0);
        }
        if (c.virtual8086()) {
            setVirtual(c, CS, selector);
        } else {
            setReal(c, CS, selector);
        }
        c.deriveMode();
        c.rip = offset;
    }

    /** JMP to another segment. */
    static void jump(Cpu c, int selector, long offset, long next) {
        if (c.realOrVirtual()) {
            enterReal(c, selector, offset);
            return;
        }
        if ((selector & 0xfffc) == 0) {
            throw c.gp(0);
        }
        long d = descriptor(c, selector, GuestFault.GP);
        if (code(attributesOf(d))) {
            enter(c, selector, checkCode(c, selector, d), c.cpl, offset);
            return;
        }
        int type = systemType(c, selector, d);
        switch (type) {
            case CALL_GATE16, CALL_GATE -> {
                long[] to = gate(c, selector, d, type);
                long t = to[1];
                int a = attributesOf(t);
                if (conforming(a) ? dpl(a) > c.cpl : dpl(a) != c.cpl) {
                    throw c.gp((int) to[0] & 0xfffc);
                }
                enter(c, (int) to[0], t, c.cpl, to[2]);
            }
            case TASK_GATE -> Tasks.switchTo(c, (int) (d >>> 16) & 0xffff, Tasks.JUMP, next);
            case TSS, TSS16 -> Tasks.switchTo(c, selector, Tasks.JUMP, next);
            default -> throw c.gp(selector & 0xfffc);
        }
    }

    private static int systemType(Cpu c, int selector, long d) {
        int a = attributesOf(d);
        int type = type(a);
        boolean known = (a & S) == 0
                && (c.longMode()
                        ? type == CALL_GATE
                        : type == CALL_GATE
                                || type == CALL_GATE16
                                || type == TASK_GATE
                                || type == TSS
                                || type == TSS16);
        if (!known || dpl(a) < c.cpl || dpl(a) < (selector & 3)) {
            throw c.gp(selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        return type;
    }

    /** What a call gate leads to: selector, its descriptor, offset. */
    private static long[] gate(Cpu c, int selector, long d, int type) {
        int to = (int) (d >>> 16) & 0xffff;
        long offset = type == CALL_GATE16 ? d & 0xffff : d & 0xffff | d >>> 32 & 0xffff0000L;
        if (c.longMode()) {
            long at = descriptorAddress(c, selector, 16);
            if (at == -1 || (c.systemRead(at + 12, 4) & 0x1f00) != 0) {
                throw c.gp(selector & 0xfffc);
            }
            offset |= c.systemRead(at + 8, 4) << 32;
        }
        if ((to & 0xfffc) == 0) {
            throw c.gp(0);
        }
        long t = descriptor(c, to, GuestFault.GP);
        int a = attributesOf(t);
        if (!code(a)
                || dpl(a) > c.cpl
                || c.longMode() && (a & (L | DB)) != L) {
            throw c.gp(to & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, to & 0xfffc);
        }
        return new long[] {to, t, offset};
    }

    /** CALL to another segment; {@code next} is the return address, {@code size} the operand size in bytes. */
    static void call(Cpu c, int selector, long offset, int size, long next) {
        if (c.realOrVirtual()) {
            if (offset > c.limit[CS]) {
                throw c.gp(0);
            }
            Stack s = new Stack(c);
            s.push(c.selector[CS], size);
            s.push(next, size);
            s.commit();
            enterReal(c, selector, offset);
            return;
        }
        if ((selector & 0xfffc) == 0) {
            throw c.gp(0);
        }
        long d = descriptor(c, selector, GuestFault.GP);
        if (code(attributesOf(d))) {
            checkCode(c, selector, d);
            checkTarget(c, d, offset);
            Stack s = new Stack(c);
            s.push(c.selector[CS], size);
            s.push(next, size);
            s.commit();
            enter(c, selector, d, c.cpl, offset);
            return;
        }
        int type = systemType(c, selector, d);
        switch (type) {
            case CALL_GATE16, CALL_GATE -> callGate(c, d, gate(c, selector, d, type), type, next);
            case TASK_GATE -> Tasks.switchTo(c, (int) (d >>> 16) & 0xffff, Tasks.CALL, next);
            case TSS, TSS16 -> Tasks.switchTo(c, selector, Tasks.CALL, next);
            default -> throw c.gp(selector & 0xfffc);
        }
    }

    private static void callGate(Cpu c, long gate, long[] to, int type, long next) {
        int size = c.longMode() ? 8 : type == CALL_GATE16 ? 2 : 4;
        int a = attributesOf(to[1]);
        if (conforming(a) || dpl(a) == c.cpl) {
            checkTarget(c, to[1], to[2]);
            Stack s = new Stack(c);
            s.push(c.selector[CS], size);
            s.push(next, size);
            s.commit();
            enter(c, (int) to[0], to[1], c.cpl, to[2]);
            return;
        }
        int level = dpl(a);
        int oldSs = c.selector[SS];
        long oldSp = c.regs[Cpu.RSP];
        Stack s = Stack.inner(c, level, 0);
        int parameters = c.longMode() ? 0 : (int) (gate >>> 32) & 31;
        s.push(oldSs, size);
        s.push(size == 2 ? oldSp & 0xffff : oldSp, size);
        long mask = c.stackSize == 2 ? 0xffff : c.stackSize == 4 ? 0xffffffffL : -1;
        for (int i = parameters - 1; i >= 0; i--) {
            long at = c.linear(SS, oldSp + (long) i * size & mask, size, false);
            s.push(c.read(at, size), size);
        }
        s.push(c.selector[CS], size);
        s.push(next, size);
        checkTarget(c, to[1], to[2]);
        s.commit();
        enter(c, (int) to[0], to[1], level, to[2]);
    }

    /** RET to another segment; {@code drop} bytes of parameters are taken from the stacks. */
    static void ret(Cpu c, int size, int drop) {
        Stack s = new Stack(c);
        long offset = s.pop(size);
        int selector = (int) s.pop(size) & 0xffff;
        if (c.realOrVirtual()) {
            s.move(drop);
            enterReal(c, selector, offset);
            s.commit();
            return;
        }
        returnTo(c, s, selector, offset, size, drop, false);
    }

    /** The common end of RETF and IRET in protected mode; the flags are the caller's affair. */
    static void returnTo(
            Cpu c, Stack s, int selector, long offset, int size, int drop, boolean alwaysStack) {
        int level = selector & 3;
        if ((selector & 0xfffc) == 0) {
            throw c.gp(0);
        }
        long d = descriptor(c, selector, GuestFault.GP);
        int a = attributesOf(d);
        if (!code(a)
                || level < c.cpl
                || (conforming(a) ? dpl(a) > level : dpl(a) != level)
                || c.longMode() && (a & (L | DB)) == (L | DB)) {
            throw c.gp(selector & 0xfffc);
        }
        if (!present(a)) {
            throw c.fault(GuestFault.NP, selector & 0xfffc);
        }
        checkTarget(c, d, offset);
        s.move(drop);
        if (level == c.cpl && !alwaysStack) {
            enter(c, selector, d, level, offset);
            s.commit();
            return;
        }
        long sp = s.pop(size);
        int ss = (int) s.pop(size) & 0xffff;
        boolean wide = c.longMode() && (a & L) != 0;
        long stack = 0;
        if ((ss & 0xfffc) == 0) {
            if (!wide || level == 3 || (ss & 3) != level) {
                throw c.gp(0);
            }
        } else {
            stack = checkStack(c, ss, level, GuestFault.GP);
        }
        int old = c.cpl;
        setFrom(c, CS, selector, markAccessed(c, selector, d));
        if (stack == 0) {
            set(c, SS, ss, 0, 0xffffffffL, level << 13 | P | S | TYPE_WRITE | DB | G);
        } else {
            setFrom(c, SS, ss, markAccessed(c, ss, stack));
        }
        c.cpl = level;
        c.deriveMode();
        c.rip = offset;
        long mask = c.stackSize == 2 ? 0xffff : c.stackSize == 4 ? 0xffffffffL : -1;
        sp += drop;
        c.regs[Cpu.RSP] =
                c.stackSize == 2 ? c.regs[Cpu.RSP] & ~0xffffL | sp & mask : sp & mask;
        if (level > old) {
            dropPrivileged(c, level);
        }
    }

    /** Data segments that the new, lower level may not use are emptied. */
    static void dropPrivileged(Cpu c, int level) {
        for (int s : new int[] {Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS}) {
            int a = c.attributes[s];
            boolean guarded = (a & TYPE_CODE) == 0 || !conforming(a);
            if (guarded && dpl(a) < level && (a & S) != 0) {
                set(c, s, 0, 0, 0, 0);
            }
        }
    }
}
