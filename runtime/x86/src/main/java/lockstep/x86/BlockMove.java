package lockstep.x86;

import static lockstep.x86.PhysicalMemory.HOST;
import static lockstep.x86.PhysicalMemory.OFFSET;
import static lockstep.x86.PhysicalMemory.PAGE;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/** Repeated MOVS and STOS upwards, a page at a time, where both pages are memory that is known already. */
final class BlockMove {
    private BlockMove() {}

    /** Moves at most {@code n} elements; how many were moved. Registers follow, the count does not. */
    static long move(Cpu c, Op o, int width, long n) {
        int size = o.size();
        long done = 0;
        while (done < n) {
            long rsi = c.get(Cpu.RSI, width);
            long rdi = c.get(Cpu.RDI, width);
            long from = c.linear(o.segment(), rsi, size, false);
            long to = c.linear(Cpu.ES, rdi, size, true);
            long source = c.hostForRead(from);
            long target = c.hostForWrite(to);
            long room = Math.min(PAGE - (from & OFFSET), PAGE - (to & OFFSET)) / size;
            long run = Math.min(room, n - done);
            run = Math.min(run, limit(c, o.segment(), rsi, width, size));
            run = Math.min(run, limit(c, Cpu.ES, rdi, width, size));
            if (source == 0 || target == 0 || run <= 0) {
                return done;
            }
            long bytes = run * size;
            if (target > source && target < source + bytes) {
                // An overlap repeats what was just written: element by element.
                return done;
            }
            VarHandle.releaseFence();
            MemorySegment.copy(HOST, source, HOST, target, bytes);
            VarHandle.acquireFence();
            c.set(Cpu.RSI, width, rsi + bytes);
            c.set(Cpu.RDI, width, rdi + bytes);
            done += run;
        }
        return done;
    }

    /** Stores {@code v} at most {@code n} times. */
    static long fill(Cpu c, Op o, int width, long n, long v) {
        int size = o.size();
        long done = 0;
        while (done < n) {
            long rdi = c.get(Cpu.RDI, width);
            long to = c.linear(Cpu.ES, rdi, size, true);
            long target = c.hostForWrite(to);
            long run = Math.min((PAGE - (to & OFFSET)) / size, n - done);
            run = Math.min(run, limit(c, Cpu.ES, rdi, width, size));
            if (target == 0 || run <= 0) {
                return done;
            }
            boolean same = size == 1 || v == (v & 0xff) * (0x0101010101010101L >>> 64 - size * 8);
            if (same) {
                VarHandle.releaseFence();
                HOST.asSlice(target, run * size).fill((byte) v);
            } else {
                for (long i = 0; i < run; i++) {
                    c.write(to + i * size, size, v);
                }
            }
            c.set(Cpu.RDI, width, rdi + run * size);
            done += run;
        }
        return done;
    }

    /** How many elements fit before the offset wraps or leaves its segment. */
    private static long limit(Cpu c, int s, long offset, int width, int size) {
        if (width == 8) {
            return Long.MAX_VALUE;
        }
        long wrap = (width == 2 ? 0x10000L : 0x100000000L) - offset;
        if (c.codeSize != 64 && !c.flat[s]) {
            boolean down = (c.attributes[s] & (Cpu.TYPE_CODE | Cpu.TYPE_DOWN)) == Cpu.TYPE_DOWN;
            wrap = down ? 1 : Math.min(wrap, c.limit[s] - offset + 1);
        }
        return wrap / size;
    }
}
