package lockstep.x86;

/**
 * Pushes and pops of an instruction that may still fail: the stack pointer moves when all went well. For the rare
 * instructions; the frequent ones do without an object.
 */
final class Stack {
    private final Cpu c;
    private final boolean inner;
    private final int segment;
    private final long base;
    private final long limit;
    private final int attributes;
    private final int width;
    private final boolean user;
    private final long descriptor;
    private final int selector;
    private long sp;

    /** The present stack. */
    Stack(Cpu c) {
        this.c = c;
        inner = false;
        segment = Cpu.SS;
        base = 0;
        limit = 0;
        attributes = 0;
        width = c.stackSize;
        sp = c.regs[Cpu.RSP];
        user = c.cpl == 3;
        descriptor = 0;
        selector = 0;
    }

    private Stack(Cpu c, int selector, long descriptor, long sp, int width, int level) {
        this.c = c;
        inner = true;
        segment = Cpu.SS;
        base = width == 8 ? 0 : Segments.baseOf(descriptor);
        limit = width == 8 ? -1 : Segments.limitOf(descriptor);
        attributes = Segments.attributesOf(descriptor);
        this.width = width;
        this.sp = sp;
        this.descriptor = descriptor;
        this.selector = selector;
        user = level == 3;
    }

    /** The stack that the task state segment has for a more privileged level; {@code ist} 1 to 7 in 64-bit mode. */
    static Stack inner(Cpu c, int level, int ist) {
        if (c.longMode()) {
            int at = ist != 0 ? 0x1c + ist * 8 : 4 + level * 8;
            if (at + 7 > c.limit[Cpu.TR]) {
                throw c.fault(GuestFault.TS, c.selector[Cpu.TR] & 0xfffc);
            }
            long sp = c.systemRead(c.base[Cpu.TR] + at, 8);
            if (!Paging.canonical(sp)) {
                throw c.fault(GuestFault.SS, 0);
            }
            return new Stack(c, level, 0, sp, 8, level);
        }
        boolean wide = (Segments.type(c.attributes[Cpu.TR]) & 8) != 0;
        int at = wide ? 4 + level * 8 : 2 + level * 4;
        if (at + (wide ? 5 : 3) > c.limit[Cpu.TR]) {
            throw c.fault(GuestFault.TS, c.selector[Cpu.TR] & 0xfffc);
        }
        long tss = c.base[Cpu.TR] + at;
        long sp = c.systemRead(tss, wide ? 4 : 2);
        int ss = (int) c.systemRead(tss + (wide ? 4 : 2), 2);
        long d = Segments.checkStack(c, ss, level, GuestFault.TS);
        int width = (Segments.attributesOf(d) & Cpu.DB) != 0 ? 4 : 2;
        return new Stack(c, ss, d, sp, width, level);
    }

    /** The present stack's pointer, aligned as 64-bit interrupts want it, in 64-bit form. */
    static Stack wide(Cpu c, int level) {
        return new Stack(c, level, 0, c.regs[Cpu.RSP], 8, level);
    }

    void align16() {
        sp &= ~15L;
    }

    private long mask() {
        return width == 2 ? 0xffff : width == 4 ? 0xffffffffL : -1;
    }

    private long linear(long at, int size, boolean write) {
        long offset = at & mask();
        if (width == 8) {
            return offset;
        }
        if (!inner) {
            return c.linear(segment, offset, size, write);
        }
        long last = offset + size - 1;
        boolean down = (attributes & Cpu.TYPE_DOWN) != 0;
        boolean bad = down ? offset <= limit || last > mask() : last > limit;
        if (bad) {
            throw c.fault(GuestFault.SS, selector & 0xfffc);
        }
        return base + offset & 0xffffffffL;
    }

    void push(long v, int size) {
        sp -= size;
        c.paging.writeSlow(linear(sp, size, true), size, v, user);
    }

    long pop(int size) {
        long v = c.paging.readSlow(linear(sp, size, false), size, user);
        sp += size;
        return v;
    }

    /** Where the stack pointer is. */
    long pointer() {
        return sp;
    }

    void move(int bytes) {
        sp += bytes;
    }

    /** Puts the stack in force. */
    void commit() {
        if (inner) {
            if (width == 8) {
                // SS becomes null, with the new privilege level; a caller that stays at its level does not commit it.
                c.regs[Cpu.RSP] = sp;
                if ((selector & 3) != c.cpl) {
                    Segments.set(
                            c,
                            Cpu.SS,
                            selector,
                            0,
                            0xffffffffL,
                            selector << 13 | Cpu.P | Cpu.S | Cpu.TYPE_WRITE | Cpu.DB | Cpu.G);
                }
                return;
            }
            Segments.setFrom(c, Cpu.SS, selector, Segments.markAccessed(c, selector, descriptor));
        }
        c.regs[Cpu.RSP] =
                width == 2 ? c.regs[Cpu.RSP] & ~0xffffL | sp & 0xffff : sp & mask();
    }
}
