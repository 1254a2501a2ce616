package lockstep.x86;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Runs single instructions in the interpreter, or translated, on the same states as {@link
 * NativeRunner}.
 */
final class Interpreted {
    private static final long TABLES = 0x1000;

    final Cpu cpu;
    private final CodeCache cache;
    private final MemorySegment data;
    private final MemorySegment code;
    private final Decoder decoder;
    private byte[] decoded = {};
    private @Nullable Op operation;

    private final boolean translate;
    private @Nullable Trace trace;

    Interpreted() {
        this(false);
    }

    /** {@code translate}: the way of hot code. */
    Interpreted(boolean translate) {
        this.translate = translate;
        Arena arena = Arena.ofAuto();
        data = arena.allocate(NativeRunner.DATA_SIZE, 4096);
        code = arena.allocate(4096, 4096);
        MemorySegment tables = arena.allocate(4 * 4096, 4096);
        PhysicalMemory memory = new PhysicalMemory(null);
        memory.map(
                List.of(
                        new PhysicalMemory.Piece(TABLES, tables, false),
                        new PhysicalMemory.Piece(NativeRunner.DATA, data, false),
                        new PhysicalMemory.Piece(NativeRunner.CODE, code, false)));
        CpuidTable cpuid =
                new CpuidTable(
                        List.of(
                                new CpuidTable.Leaf(0, 0, false, 0xd, 0, 0, 0),
                                new CpuidTable.Leaf(1, 0, false, 0, 0, -1, -1),
                                new CpuidTable.Leaf(7, 0, true, 0, -1, -1, -1),
                                new CpuidTable.Leaf(0xd, 1, true, 1, 0, 0, 0),
                                new CpuidTable.Leaf(0x80000001, 0, false, 0, 0, -1, -1)),
                        48);
        cpu = new Cpu(new NoBus(), memory, cpuid);
        cpu.cr0 = Cpu.PE | Cpu.MP | Cpu.ET | Cpu.NE | Cpu.PG;
        cpu.cr3 = TABLES;
        cpu.cr4 = Cpu.PAE | Cpu.OSFXSR | Cpu.OSXMMEXCPT | Cpu.OSXSAVE | Cpu.FSGSBASE;
        cpu.efer = Cpu.LME | Cpu.LMA;
        cpu.attributes[Cpu.CS] = Cpu.L | Cpu.P | Cpu.S | Cpu.TYPE_CODE;
        cpu.xcr0 = 3;
        cpu.cpl = 3;
        cpu.deriveMode();
        decoder = new Decoder(cpu);
        cache = new CodeCache(cpu);
        memory.listen(
                new PhysicalMemory.CodeListener() {
                    @Override
                    public boolean tellsWrites() {
                        return true; // all runs on one thread
                    }

                    @Override
                    public void codeAppeared(long hostPage) {
                        cpu.flushWrites(hostPage);
                    }

                    @Override
                    public void codeChanged(long hostPage) {
                        cache.forget(hostPage);
                        cpu.blockEnd = 0;
                    }
                });
        // Only the two pages that the oracle has are there.
        tables.set(ValueLayout.JAVA_LONG, 0, TABLES + 4096 | 0x67);
        tables.set(ValueLayout.JAVA_LONG, 4096, TABLES + 2 * 4096 | 0x67);
        tables.set(ValueLayout.JAVA_LONG, 2 * 4096 + 2 * 8, TABLES + 3 * 4096 | 0x67);
        for (long page : new long[] {NativeRunner.DATA, NativeRunner.CODE}) {
            tables.set(ValueLayout.JAVA_LONG, 3 * 4096 + (page >> 12 & 511) * 8, page | 0x67);
        }
    }

    /** Runs instructions on a state, which becomes what they leave, until the way leads behind the last one. */
    void runAll(byte[] program, NativeRunner.State s) {
        // What an earlier program left decoded is wrong now; so is what one changed of itself.
        cache.forgetAll();
        MemorySegment.copy(MemorySegment.ofArray(program), 0, code, 0, program.length);
        runAgain(program, s);
    }

    /** Likewise, for a program that ran last and does not change itself. */
    void runAgain(byte[] program, NativeRunner.State s) {
        Cpu c = cpu;
        load(s);
        c.rip = NativeRunner.CODE;
        s.fault(-1);
        try {
            while (c.rip != NativeRunner.CODE + program.length) {
                s.faultAt(c.rip);
                c.faultAt = c.rip;
                Block b = cache.find(c.rip, 2);
                if (translate) {
                    Trace t = translated(b, program.length);
                    c.blockEnd = 1;
                    t.run(c, b.entry);
                } else {
                    interpret(b, s);
                }
            }
        } catch (GuestFault f) {
            s.fault(f.vector);
            if (translate) {
                s.faultAt(c.faultAt);
            }
        }
        store(s);
    }

    private void interpret(Block b, NativeRunner.State s) {
        Cpu c = cpu;
        long start = c.rip;
        c.blockEnd = b.ops.length;
        c.regs[Cpu.BLOCK] = start;
        c.rip = start + b.length;
        int i = 0;
        for (; i < c.blockEnd; i++) {
            Op o = b.ops[i];
            s.faultAt(start + o.offset());
            o.action().run(c, o);
        }
        if (i < b.ops.length) {
            c.rip = start + b.ops[i - 1].end();
        }
    }

    private Trace translated(Block b, int length) {
        Trace known = b.trace;
        if (known != null) {
            return known;
        }
        // Everything that the block leads to is decoded, as if it had run.
        List<Block> all = List.of(b);
        for (int n = 0; n != all.size(); ) {
            n = all.size();
            for (Block each : all) {
                for (int next : new int[] {each.taken, each.length}) {
                    if (next != Block.NOWHERE && each.offset + next < length) {
                        cache.find(NativeRunner.CODE + each.offset + next, 2);
                    }
                }
            }
            all = cache.around(b, 0);
        }
        try {
            Trace made = Translator.translate(all);
            Translator.publish(all, made);
            return made;
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Runs an instruction on a state, which becomes what it leaves. */
    void run(byte[] instruction, NativeRunner.State s) {
        Cpu c = cpu;
        if (!Arrays.equals(decoded, instruction)) {
            decoded = instruction.clone();
            MemorySegment.copy(MemorySegment.ofArray(instruction), 0, code, 0, instruction.length);
            Block b = decoder.decode(NativeRunner.CODE, code.address(), 2, 1);
            operation = b.ops[0];
            try {
                trace = translate ? Translator.translate(List.of(b)) : null;
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }
        load(s);
        c.regs[Cpu.BLOCK] = NativeRunner.CODE;
        c.rip = NativeRunner.CODE + instruction.length;
        s.fault(-1);
        try {
            if (trace != null) {
                c.rip = NativeRunner.CODE;
                c.blockEnd = 1;
                trace.run(c, 0);
            } else {
                Op o = Objects.requireNonNull(operation);
                o.action().run(c, o);
            }
        } catch (GuestFault f) {
            s.fault(f.vector);
        }
        store(s);
    }

    private void load(NativeRunner.State s) {
        Cpu c = cpu;
        Registers r = new Registers();
        for (int i = 0; i < 16; i++) {
            c.regs[i] = s.general(i);
            c.xmm[2 * i] = s.xmm(2 * i);
            c.xmm[2 * i + 1] = s.xmm(2 * i + 1);
        }
        c.setArithmeticFlags((int) s.flags());
        c.eflags = (int) s.flags() & ~Cpu.ARITHMETIC | 2;
        c.mxcsr = s.fx32(24);
        r.fcw = s.fx16(0);
        r.fsw = s.fx16(2);
        r.ftw = s.fx16(4);
        for (int i = 0; i < 8; i++) {
            r.mantissa[i] = s.mantissa(i);
            r.exponent[i] = s.exponent(i);
        }
        c.fpu.load(r);
        for (int i = 0; i < NativeRunner.DATA_SIZE; i += 8) {
            data.set(ValueLayout.JAVA_LONG, i, s.data(i));
        }
    }

    private void store(NativeRunner.State s) {
        Cpu c = cpu;
        Registers r = new Registers();
        for (int i = 0; i < 16; i++) {
            s.general(i, c.regs[i]);
            s.xmm(2 * i, c.xmm[2 * i]);
            s.xmm(2 * i + 1, c.xmm[2 * i + 1]);
        }
        s.flags(c.flags());
        s.fx32(24, c.mxcsr);
        c.fpu.save(r);
        s.fx16(0, r.fcw);
        s.fx16(2, r.fsw);
        s.fx16(4, r.ftw);
        for (int i = 0; i < 8; i++) {
            s.stack(i, r.mantissa[i], r.exponent[i]);
        }
        for (int i = 0; i < NativeRunner.DATA_SIZE; i += 8) {
            s.data(i, data.get(ValueLayout.JAVA_LONG, i));
        }
    }
}
