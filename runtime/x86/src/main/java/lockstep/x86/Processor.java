package lockstep.x86;

import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One x86-64 processor. {@link #run} and the state belong to one thread at a time; the requests may be made from any.
 */
public final class Processor {
    /** Why {@link #run} came back. */
    public enum Exit {
        /** {@link #kick} was called. */
        KICKED,
        /** The processor waits for an interrupt. */
        HALTED,
        /** A fault while a double fault was delivered: the processor stands still until it is reset. */
        TRIPLE_FAULT,
        /** A start-up message arrived: {@link #takeStartUp} has it. */
        START_UP,
        /** INIT arrived. */
        INIT
    }

    private static final int KICK = 1;
    private static final int INTERRUPT = 2;
    private static final int NMI = 4;
    private static final int INIT = 8;
    private static final int START_UP = 16;
    private static final int CODE = 32;
    private static final int WRITES = 128;
    private static final int TRIPLE = 256;

    private final Cpu cpu;
    private final CodeCache code;
    private final ConcurrentLinkedQueue<Long> changedPages = new ConcurrentLinkedQueue<>();
    private volatile int startVector;

    /** How often others wanted writes looked up anew, and which of that was seen. */
    private final AtomicInteger writesAsked = new AtomicInteger();

    private volatile int writesSeen;

    /** Whether the runner may write memory: it is in {@link #run}, and no call of the bus waits for anybody. */
    private volatile boolean inside;

    // The thread that is in run(), so that a change of code by itself is dealt with at once.
    private volatile @org.jspecify.annotations.Nullable Thread runner;

    private boolean waitsForStart;

    /** The controllers have something, but interrupts are off: to be looked at when they are on. */
    private boolean held;

    /** Makes a processor in the state after power-on. */
    public Processor(Bus bus, PhysicalMemory memory, CpuidTable cpuid) {
        cpu = new Cpu(bus, memory, cpuid);
        code = new CodeCache(cpu);
        memory.listen(
                new PhysicalMemory.CodeListener() {
                    @Override
                    public void codeAppeared(long hostPage) {
                        if (Thread.currentThread() == runner) {
                            cpu.flushWrites(hostPage);
                        } else {
                            writesAsked.incrementAndGet();
                            request(WRITES);
                        }
                    }

                    @Override
                    public boolean tellsWrites() {
                        if (Thread.currentThread() == runner) {
                            lookAtWrites();
                            return true;
                        }
                        return !inside || writesSeen == writesAsked.get();
                    }

                    @Override
                    public void codeChanged(long hostPage) {
                        if (Thread.currentThread() == runner) {
                            if (code.forget(hostPage)) {
                                cpu.blockEnd = 0;
                            }
                        } else {
                            changedPages.add(hostPage);
                            request(CODE);
                        }
                    }
                });
    }

    Cpu cpu() {
        return cpu;
    }

    // ---- requests, from any thread

    private void request(int bits) {
        Cpu.PENDING.getAndBitwiseOr(cpu, bits);
    }

    private void done(int bits) {
        Cpu.PENDING.getAndBitwiseAnd(cpu, ~bits);
    }

    /** Has the present or next {@link #run} return soon. */
    public void kick() {
        request(KICK);
    }

    /** Says whether the interrupt controllers have something to serve. */
    public void interrupt(boolean wanted) {
        if (wanted) {
            request(INTERRUPT);
        } else {
            done(INTERRUPT);
        }
    }

    /** Raises a non-maskable interrupt. */
    public void nmi() {
        request(NMI);
    }

    /** Sends INIT. */
    public void init() {
        request(INIT);
    }

    /** Sends a start-up message; it counts only while the processor waits for one. */
    public void startUp(int vector) {
        startVector = vector;
        request(START_UP);
    }

    /** Whether a non-maskable interrupt waits to be taken. */
    public boolean nmiWaits() {
        return (cpu.pending & NMI) != 0;
    }

    /** Forgets what was raised and sent, as another state is about to be loaded. */
    public void forgetRequests() {
        done(INTERRUPT | NMI | INIT | START_UP);
    }

    /** Whether the processor would go on if it were run: an interrupt that it takes, or another request. */
    public boolean awake() {
        int p = cpu.pending;
        if (waitsForStart) {
            return (p & (KICK | INIT | START_UP)) != 0;
        }
        return !cpu.halted
                || (p & (KICK | NMI | INIT | TRIPLE)) != 0
                || (held || (p & INTERRUPT) != 0) && (cpu.eflags & Cpu.IF) != 0;
    }

    // ---- state, while nobody runs the processor

    /** Takes the state out. */
    public void save(Registers r) {
        Cpu c = cpu;
        System.arraycopy(c.regs, 0, r.general, 0, 16);
        r.rip = c.rip;
        r.rflags = c.flags() & 0xffffffffL;
        for (int i = 0; i < 8; i++) {
            Registers.Segment s = r.segments[i];
            s.selector = c.selector[i];
            s.base = c.base[i];
            s.limit = (int) c.limit[i];
            s.attributes = c.attributes[i];
        }
        // The privilege level has its place in SS, also where that is not what was loaded.
        Registers.Segment ss = r.segments[Cpu.SS];
        ss.attributes = ss.attributes & ~(3 << 13) | c.cpl << 13;
        r.gdtBase = c.gdtBase;
        r.gdtLimit = c.gdtLimit;
        r.idtBase = c.idtBase;
        r.idtLimit = c.idtLimit;
        r.cr0 = c.cr0 & 0xffffffffL;
        r.cr2 = c.cr2;
        r.cr3 = c.cr3;
        r.cr4 = c.cr4 & 0xffffffffL;
        r.efer = c.efer & 0xffffffffL;
        System.arraycopy(c.dr, 0, r.debug, 0, 8);
        r.directories = c.paging.pdptrs.clone();
        r.sysenterCs = c.sysenterCs;
        r.sysenterEsp = c.sysenterEsp;
        r.sysenterEip = c.sysenterEip;
        r.star = c.star;
        r.lstar = c.lstar;
        r.cstar = c.cstar;
        r.fmask = c.fmask;
        r.kernelGsBase = c.kernelGsBase;
        r.tscAux = c.tscAux;
        r.pat = c.pat;
        c.fpu.save(r);
        r.mxcsr = c.mxcsr;
        for (int i = 0; i < 16; i++) {
            r.xmmLow[i] = c.xmm[2 * i];
            r.xmmHigh[i] = c.xmm[2 * i + 1];
        }
        r.xcr0 = c.xcr0;
        r.interruptShadow = c.shadow;
        r.nmiMasked = c.nmiMasked;
        r.halted = c.halted;
        r.waitsForStart = waitsForStart;
    }

    /** Puts a state in force. Memory may be another one too: nothing that was decoded or translated is kept. */
    public void load(Registers r) {
        Cpu c = cpu;
        System.arraycopy(r.general, 0, c.regs, 0, 16);
        c.rip = r.rip;
        c.setArithmeticFlags((int) r.rflags);
        c.eflags = (int) r.rflags & ~Cpu.ARITHMETIC | 2;
        for (int i = 0; i < 8; i++) {
            Registers.Segment s = r.segments[i];
            Segments.set(
                    c, i, s.selector & 0xffff, s.base, s.limit & 0xffffffffL, s.attributes);
        }
        c.gdtBase = r.gdtBase;
        c.gdtLimit = r.gdtLimit & 0xffff;
        c.idtBase = r.idtBase;
        c.idtLimit = r.idtLimit & 0xffff;
        c.cr0 = (int) r.cr0 | Cpu.ET;
        c.cr2 = r.cr2;
        c.cr3 = r.cr3;
        c.cr4 = (int) r.cr4;
        c.efer = (int) r.efer;
        System.arraycopy(r.debug, 0, c.dr, 0, 8);
        long[] directories = r.directories;
        if (directories != null) {
            System.arraycopy(directories, 0, c.paging.pdptrs, 0, 4);
        } else if ((c.cr4 & Cpu.PAE) != 0 && (c.cr0 & Cpu.PG) != 0 && !c.longMode()) {
            c.paging.loadDirectories(c.cr3);
        }
        c.sysenterCs = r.sysenterCs;
        c.sysenterEsp = r.sysenterEsp;
        c.sysenterEip = r.sysenterEip;
        c.star = r.star;
        c.lstar = r.lstar;
        c.cstar = r.cstar;
        c.fmask = r.fmask;
        c.kernelGsBase = r.kernelGsBase;
        c.tscAux = r.tscAux;
        c.pat = r.pat;
        c.fpu.load(r);
        c.mxcsr = r.mxcsr;
        for (int i = 0; i < 16; i++) {
            c.xmm[2 * i] = r.xmmLow[i];
            c.xmm[2 * i + 1] = r.xmmHigh[i];
        }
        c.xcr0 = r.xcr0;
        c.shadow = r.interruptShadow;
        c.nmiMasked = r.nmiMasked;
        c.halted = r.halted;
        waitsForStart = r.waitsForStart;
        c.breakpoints.changed();
        c.cpl = (r.segments[Cpu.SS].attributes >> 13) & 3;
        c.deriveMode();
        release();
        changedPages.clear();
        done(CODE | WRITES);
        code.forgetAll();
        c.flushAll();
        if (r.injectedVector >= 0) {
            deliver(r.injectedVector, r.injectedError, Interrupts.EXTERNAL, c.rip);
        }
    }

    /** Leaves the wait for a start-up message: the first instruction is at the vector's page. */
    public void start(int vector) {
        waitsForStart = false;
        Segments.set(
                cpu,
                Cpu.CS,
                vector << 8,
                (long) vector << 12,
                0xffff,
                Cpu.P | Cpu.S | 0xb00);
        cpu.rip = 0;
        cpu.deriveMode();
    }

    /** Has all translations looked up anew: the memory's map changed. While nobody runs the processor. */
    public void flushNow() {
        cpu.flushAll();
    }

    /** Has writes looked up anew: the log of written pages began, or was taken. While nobody runs the processor. */
    public void flushWritesNow() {
        cpu.flushWrites();
    }

    // ---- running

    /** Has interrupts that were held back looked at. */
    private void release() {
        if (held) {
            held = false;
            request(INTERRUPT);
        }
    }

    /**
     * Called by the bus on the thread that runs the processor, before it waits for others: nobody waits for this one then.
     */
    public void leave() {
        inside = false;
    }

    /** The end of what {@link #leave} began. */
    public void enter() {
        inside = true;
        lookAtWrites();
    }

    private void lookAtWrites() {
        if ((cpu.pending & WRITES) != 0) {
            done(WRITES); // first: what is asked from now on is looked at once more
            int asked = writesAsked.get();
            cpu.flushWrites();
            writesSeen = asked;
        }
    }

    /** Runs instructions until something is to be dealt with outside. */
    public Exit run() {
        runner = Thread.currentThread();
        enter();
        try {
            while (true) {
                if (held && (cpu.eflags & Cpu.IF) != 0) {
                    release();
                }
                Exit exit = cpu.pending != 0 || cpu.halted || waitsForStart ? serve() : null;
                if (exit != null) {
                    return exit;
                }
                if (alone()) {
                    one();
                } else {
                    many();
                }
            }
        } finally {
            leave();
            runner = null;
        }
    }

    private @org.jspecify.annotations.Nullable Exit serve() {
        int p = cpu.pending;
        if ((p & CODE) != 0) {
            done(CODE);
            for (Long page = changedPages.poll(); page != null; page = changedPages.poll()) {
                code.forget(page);
            }
        }
        lookAtWrites();
        if ((p & KICK) != 0) {
            done(KICK);
            return Exit.KICKED;
        }
        if ((p & INIT) != 0) {
            done(INIT);
            return Exit.INIT;
        }
        if (waitsForStart) {
            if ((p & START_UP) == 0) {
                return Exit.HALTED;
            }
            done(START_UP);
            return Exit.START_UP;
        }
        done(START_UP);
        if ((p & NMI) != 0 && !cpu.nmiMasked && !cpu.shadow) {
            done(NMI);
            cpu.halted = false;
            cpu.nmiMasked = true;
            deliver(2, GuestFault.NONE, Interrupts.EXTERNAL, cpu.rip);
        } else if ((p & INTERRUPT) != 0 && (cpu.eflags & Cpu.IF) == 0) {
            done(INTERRUPT);
            held = true;
        } else if ((p & INTERRUPT) != 0 && !cpu.shadow) {
            // Taken back first: what the controllers have from now on is asked for anew.
            done(INTERRUPT);
            int vector = cpu.bus.acknowledge();
            if (vector >= 0) {
                request(INTERRUPT);
                cpu.halted = false;
                deliver(vector, GuestFault.NONE, Interrupts.EXTERNAL, cpu.rip);
            }
        }
        if ((cpu.pending & TRIPLE) != 0) {
            done(TRIPLE);
            return Exit.TRIPLE_FAULT;
        }
        return cpu.halted ? Exit.HALTED : null;
    }

    /** Whether an interrupt or a trap may come right behind the next instruction. RF holds for one instruction as well. */
    private boolean alone() {
        Cpu c = cpu;
        return (c.eflags & (Cpu.TF | Cpu.RF)) != 0 | c.shadow | c.breakpoints.armed();
    }

    /** Where the next instruction is fetched. */
    private static long fetchAddress(Cpu c) {
        if (c.codeSize == 64) {
            return c.rip;
        }
        if (c.rip > c.limit[Cpu.CS]) {
            throw c.gp(0);
        }
        return c.base[Cpu.CS] + c.rip & 0xffffffffL;
    }

    /** Runs blocks one after the other, as long as there is nothing else to look at. */
    private void many() {
        Cpu c = cpu;
        Trace trace = null;
        Op[] ops = NO_OPS;
        long start = 0;
        int i = 0;
        try {
            do {
                start = c.rip;
                trace = null; // where the next is fetched may be no page
                ops = NO_OPS;
                i = 0;
                Block b = code.find(fetchAddress(c), c.mode);
                trace = b.trace;
                if (trace != null) {
                    c.blockEnd = 1;
                    trace.run(c, b.entry);
                    continue;
                }
                ops = b.ops;
                c.blockEnd = ops.length;
                c.regs[Cpu.BLOCK] = start;
                c.rip = c.codeSize == 64 ? start + b.length : start + b.length & 0xffffffffL;
                for (; i < c.blockEnd; i++) {
                    Op o = ops[i];
                    o.action().run(c, o);
                }
                if (i < ops.length) {
                    c.rip = start + ops[i - 1].end();
                }
                code.ran(b);
            } while (c.pending == 0
                    && !c.halted
                    && !alone()
                    && !(held && (c.eflags & Cpu.IF) != 0));
        } catch (GuestFault f) {
            long at =
                    trace != null
                            ? c.faultAt
                            : i < ops.length ? start + ops[i].offset() : start;
            deliver(f.vector, f.error, Interrupts.FAULT, at);
        }
    }

    /** Runs one instruction, and what comes of it: a trap, the end of what kept interrupts away. */
    private void one() {
        Cpu c = cpu;
        long start = c.rip;
        boolean trap = (c.eflags & Cpu.TF) != 0;
        boolean shadow = c.shadow;
        try {
            c.resumed = false;
            long la = fetchAddress(c);
            c.breakpoints.fetching(la);
            Block b = code.find(la, c.mode | Decoder.SINGLE);
            c.blockEnd = 1;
            c.regs[Cpu.BLOCK] = start;
            c.rip = c.codeSize == 64 ? start + b.length : start + b.length & 0xffffffffL;
            Op o = b.ops[0];
            o.action().run(c, o);
            afterOne(shadow, trap);
        } catch (GuestFault f) {
            if (shadow) {
                c.shadow = false;
            }
            deliver(f.vector, f.error, Interrupts.FAULT, start);
        }
    }

    private void afterOne(boolean shadow, boolean trap) {
        if (shadow) {
            cpu.shadow = false;
        }
        cpu.eflags &= cpu.resumed ? -1 : ~Cpu.RF;
        cpu.resumed = false;
        boolean hit = cpu.breakpoints.takeHit();
        if (trap) {
            cpu.dr[6] |= 1 << 14;
        }
        if (trap | hit) {
            deliver(GuestFault.DB, GuestFault.NONE, Interrupts.TRAP, cpu.rip);
        }
    }

    private static final Op[] NO_OPS = {};

    /** Delivers an exception or interrupt, with what may go wrong in it. */
    private void deliver(int vector, int error, int kind, long at) {
        Cpu c = cpu;
        c.halted = false;
        int v = vector;
        int e = error;
        int k = kind;
        while (true) {
            c.rip = at;
            try {
                Interrupts.deliver(c, v, e, k, at);
                return;
            } catch (GuestFault next) {
                if (v == GuestFault.DF) {
                    request(TRIPLE);
                    return;
                }
                boolean twice = contributory(v) && contributory(next.vector)
                        || v == GuestFault.PF
                                && (contributory(next.vector) || next.vector == GuestFault.PF);
                if (twice && k != Interrupts.EXTERNAL && k != Interrupts.SOFTWARE) {
                    v = GuestFault.DF;
                    e = 0;
                } else {
                    v = next.vector;
                    e = next.error;
                }
                k = Interrupts.FAULT;
            }
        }
    }

    private static boolean contributory(int vector) {
        return vector == GuestFault.DE || vector >= GuestFault.TS && vector <= GuestFault.GP;
    }
}
